"""The two tools of the demo's agents. Both really do what they say."""

# Without `from __future__ import annotations`: LangChain describes a tool to the model by its
# signature, which then reads `query: str` and not `query: 'str'`.

from functools import cache
from pathlib import Path

from langchain_core.tools import BaseTool, tool

from .calculator import calculate
from .search import Index

__all__ = ["ERROR", "TOOLS", "calculator", "found_something", "library", "search"]

NOTHING = "No results found."
ERROR = "Error:"


@cache
def library() -> Index:
    """Return the index of the bundled text, one entry a line."""
    return Index(Path(__file__).with_name("library.txt").read_text("utf-8").splitlines())


@tool
def search(query: str) -> str:
    """Search for people, places and facts."""
    return next(iter(library().search(query)), NOTHING)


@tool
def calculator(expression: str) -> str:
    """Work out a calculation such as 2**0.5."""
    try:
        value = calculate(expression)
    except ValueError as error:
        return f"{ERROR} {error}."
    # Four decimals, since small models copy short numbers better; and no minus zero.
    return f"{(round(value, 4) or value) + 0:.15g}"


TOOLS: list[BaseTool] = [search, calculator]
for (
    each
) in TOOLS:  # a model may write a number or an object where a text belongs: let it correct it
    each.handle_validation_error = f"{ERROR} the input must be one text."


def found_something(result: str) -> bool:
    """Tell whether a tool's result is one."""
    return not result.startswith((NOTHING, ERROR))
