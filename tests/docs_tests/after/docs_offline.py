assert printed[0] == "The capital of France is Paris.\n"
assert "4 passed" in printed[1]
assert printed[2] == "The capital of France is \n"
