import re

made = page.python()[1].code
documented = re.findall(r"^(prompt\..*?)(?:\n#|\s+#) (.*)$", made, flags=re.MULTILINE)
assert len(documented) == 3
for line, value in documented:
    assert repr(eval(line)) == value
