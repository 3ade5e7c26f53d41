"""Prepares docstrings for the pages of the API."""

from __future__ import annotations

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


class LangChainSections(Extension):
    """Applies that to each class."""

    def on_class(self, *, cls: Any, **_: Any) -> None:
        """Prepare a class's docstring."""
        if isinstance(cls.docstring, Docstring):
            cls.docstring.value = with_headings(cls.docstring.value).rstrip()
