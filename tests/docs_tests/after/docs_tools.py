assert printed[0].startswith("multiply {'a': 17, 'b': 23}\n")
assert "391" in printed[0]
assert "Karim Singh" in printed[1]
