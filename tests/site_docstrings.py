"""Prepares docstrings for the pages of the API."""

from __future__ import annotations

import ast
import re
from textwrap import dedent
from typing import Any

from griffe import Docstring, Extension

__all__ = ["LangChainSections"]

KNOWN = "Args|Arguments|Attributes|Example|Examples|Note|Raises|Returns|Warning|Yields"
SECTION = re.compile(rf"^(?!(?:{KNOWN}):)([A-Z][\w (),-]*):\n((?:(?: {{4}}.*)?\n)+)", re.MULTILINE)
ARGUMENT = re.compile(r"^(\w+): ", re.MULTILINE)


def with_headings(text: str) -> str:
    """Write LangChain's own sections ("Key init args", "Instantiate", ...) as Markdown."""

    def section(found: re.Match[str]) -> str:
        title, body = found[1], dedent(found[2])
        if title.startswith("Key init args"):
            body = ARGUMENT.sub(r"- **`\1`**: ", body)
        return f"**{title}**\n\n{body}\n"

    return SECTION.sub(section, text + "\n")


def with_code_fenced(text: str) -> str:
    """Fence the paragraphs of a module's docstring that are Python."""
    return "\n\n".join(map(_fenced, text.split("\n\n"))) if "```" not in text else text


def _fenced(paragraph: str) -> str:
    try:
        [*statements] = ast.parse(dedent(paragraph)).body
    except SyntaxError:
        return paragraph
    words = all(isinstance(getattr(one, "value", None), ast.Name) for one in statements)
    return paragraph if words else f"```python\n{dedent(paragraph)}\n```"


class LangChainSections(Extension):
    """Applies that to classes and modules."""

    def on_class(self, *, cls: Any, **_: Any) -> None:
        """Prepare a class's docstring."""
        if isinstance(cls.docstring, Docstring):
            cls.docstring.value = with_headings(cls.docstring.value).rstrip()

    def on_module(self, *, mod: Any, **_: Any) -> None:
        """Prepare a module's docstring."""
        if isinstance(mod.docstring, Docstring):
            mod.docstring.value = with_code_fenced(mod.docstring.value)
