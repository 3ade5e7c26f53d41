"""What the demo writes on: plain text, unless it is a terminal that has colours."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .languages import Language

__all__ = [
    "WIDTH",
    "NobodyReadsError",
    "OutputError",
    "Screen",
    "cells",
    "folded",
    "has_colours",
    "open_screen",
    "shortened",
]

WIDTH = 105
"""Columns of a line, where it is no terminal that sets them."""

NARROWEST = 20


class OutputError(BaseException):
    """The output takes no text. It is no `Exception`, which LangChain would log."""


class NobodyReadsError(OutputError):
    """The reader, `head` say, has seen enough and closed it."""


class Screen:
    """Writes plain text to the standard output as it comes.

    Args:
        language: The reader's language.
        width: The columns of a line.
    """

    def __init__(self, language: Language, width: int = WIDTH) -> None:
        self.language = language
        self.width = max(width, NARROWEST)

    def write(self, text: str, style: str = "") -> None:
        """Write a piece of text.

        Args:
            text: The text. Lines end with a line feed.
            style: What it is: "title", "question", "sent", "said", "tool", "answer", "note" or "".
        """
        try:
            print(text, end="", flush=True)
        except BrokenPipeError:
            raise NobodyReadsError from None
        except OSError as error:  # a full disk, say
            raise OutputError(error.strerror) from None

    def line(self, text: str = "", style: str = "") -> None:
        """Write a line."""
        self.write(f"{text}\n", style)

    def progress(self, doing: str, done: float | None = None) -> None:
        """Tell what is being done, and how much of all is done, from 0 to 1: not in plain text."""


@contextmanager
def open_screen(language: Language, environment: Mapping[str, str]) -> Iterator[Screen]:
    """Yield the screen that fits the standard output."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what a terminal without Korean letters lacks
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    width = shutil.get_terminal_size((WIDTH, 0)).columns if on_terminal else WIDTH
    if on_terminal and has_colours(environment):
        from .terminal import open_terminal  # a plain screen does not wait for rich

        with open_terminal(language, width) as screen:
            yield screen
    else:
        yield Screen(language, width)


def has_colours(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a terminal shows colours, and its user wants them (https://no-color.org)."""
    dumb = environment.get("TERM", "").lower() in {"", "dumb", "unknown"}
    return not environment.get("NO_COLOR") and (not dumb or os.name == "nt")


def cells(text: str) -> int:
    """Return how many columns a text takes on a terminal: a Korean letter takes two."""
    return sum(_width(char) for char in text)


def _width(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Cf", "Me", "Mn"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "FW" else 1


def shortened(text: str, width: int) -> str:
    """Return a text as it is, or cut to so many columns."""
    return text if cells(text) <= width else f"{_fitting(text, width - 4)} ..."


def _fitting(text: str, width: int) -> str:
    """Return as much of a text's beginning as goes into so many columns."""
    for place, char in enumerate(text):
        width -= _width(char)
        if width < 0:
            return text[:place]
    return text


def folded(line: str, width: int) -> list[str]:
    """Break a line at spaces, or within a word that is too long; all of it is indented alike."""
    indent = re.match(r" *(?:[<>] )?", line)[0]  # type: ignore[index]
    room = max(2, width - cells(indent))
    lines, last = [], ""
    for word in re.findall(r"\S+\s*|\s+", line.removeprefix(indent)):
        if last and cells(last + word.rstrip()) > room:
            lines.append(last.rstrip())
            last = ""
        while cells(word.rstrip()) > room:
            head = _fitting(word, room)
            lines.append(head)
            word = word[len(head) :]
        last += word
    return [indent + each for each in (*lines, last)]
