assert answer.text == "yes"
assert servers["8080"].requests[-1].json["structured_outputs"] == {"choice": ["yes", "no"]}
