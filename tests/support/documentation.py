"""Reads the examples of the documentation, and runs them."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterable, Mapping
from textwrap import dedent

__all__ = ["code_blocks", "run"]


def code_blocks(language: str, text: str) -> list[str]:
    """List the fenced blocks of a language, without the indentation of a docstring."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text, flags=re.DOTALL | re.MULTILINE)
    return [dedent(block) for _, block in found]


def run(
    blocks: Iterable[str], urls: Mapping[str, str], names: dict[str, object] | None = None
) -> dict[str, object]:
    """Run blocks one after the other, as a notebook does, and return the names that they define.

    Args:
        blocks: The blocks; `await` may stand outside of functions.
        urls: The server to use in place of each that the documentation names.
        names: Names that are defined already.
    """
    names = {} if names is None else names
    for block in blocks:
        for shown, used in urls.items():
            block = block.replace(shown, used)
        code = compile(block, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        coroutine = eval(code, names)
        if coroutine is not None:
            asyncio.run(coroutine)
    return names
