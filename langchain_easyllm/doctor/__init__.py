"""The command `langchain-easyllm doctor`: which server answers, and which of its claims are true.

`examination` runs `checks` on a `Subject`, which has the package's own classes for the server and
records what they send; `report` is the result, and `display` what is printed of it.
"""
