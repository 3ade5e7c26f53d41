from langchain_easyllm import errors

assert [answer.text for answer in answers] == ["391"] * 200
assert [type(one) for one in vectors] == [list, errors.ConfigurationError, list]
assert printed[1].startswith("1\n{1: ConfigurationError(")
