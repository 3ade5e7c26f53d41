"""The two tools of the demo's agents, in each of its languages. Both really do what they say."""

# Without `from __future__ import annotations`: LangChain describes a tool to the model by its
# signature, which then reads `query: str` and not `query: 'str'`.

from functools import cache
from pathlib import Path

from langchain_core.tools import BaseTool, tool

from .calculator import calculate
from .languages import ENGLISH, Language
from .search import Index

__all__ = ["TOOLS", "calculator", "found_something", "library", "search", "tools"]


@cache
def library(name: str) -> Index:
    """Return the index of a bundled text, one entry a line."""
    return Index(Path(__file__).with_name(name).read_text("utf-8").splitlines())


def tools(language: Language) -> list[BaseTool]:
    """Return the tools; names and descriptions are English, as models know them best."""

    @tool
    def search(query: str) -> str:
        """Search for people, places and facts."""
        return next(iter(library(language.library).search(query)), language.no_results)

    @tool
    def calculator(expression: str) -> str:
        """Work out a calculation such as 2**0.5."""
        try:
            value = calculate(expression)
        except ValueError as error:
            return language.no_value.format(reason=error)
        # Four decimals, since small models copy short numbers better; and no minus zero.
        return f"{(round(value, 4) or value) + 0:.15g}"

    # A model may write a number or an object where a text belongs: let it correct it.
    search.handle_validation_error = calculator.handle_validation_error = language.no_text
    return [search, calculator]


def found_something(result: str, language: Language) -> bool:
    """Tell whether a tool's result is one."""
    return not result.startswith((language.no_results, language.error))


TOOLS = search, calculator = tools(ENGLISH)
