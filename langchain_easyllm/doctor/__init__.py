"""`langchain-easyllm doctor`: what a server is, and what of what it claims works.

`examination` runs `checks` on a `Subject`, which has the package's own classes for the server and
records what they send; `report` is the result, and `display` what is printed of it.
"""
