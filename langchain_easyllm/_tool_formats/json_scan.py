"""Finds where a JSON value ends, without parsing it, however the text is split."""

from __future__ import annotations

import re

__all__ = ["JsonScan"]


_OUTSIDE = re.compile(r'["{}\[\]<`]')
_INSIDE = re.compile(r'["\\]')


class JsonScan:
    """Looks for the end of one JSON object or list in a text that grows.

    Args:
        start: Where it begins in the text.
        closers: Texts that end what surrounds the value, for a value that is never closed. They
            count outside of strings only, and begin with `<` or a backtick.

    Attributes:
        end: Where the value ends (after its last bracket), or a closer begins; None so far.
        whole: Whether the value was closed.
    """

    __slots__ = ("_at", "_closers", "_depth", "_in_string", "end", "whole")

    def __init__(self, start: int, closers: tuple[str, ...] = ()) -> None:
        self._at = start
        self._closers = closers
        self._depth = 0
        self._in_string = False
        self.end: int | None = None
        self.whole = False

    def scan(self, text: str) -> None:
        """Go on to the end of the text so far, or of the value."""
        while self.end is None:
            match = (_INSIDE if self._in_string else _OUTSIDE).search(text, self._at)
            if match is None:
                self._at = len(text)
                return
            if not self._take(text, match.start()):
                return

    def _take(self, text: str, at: int) -> bool:
        """Take one mark; whether the text was long enough to tell what it is."""
        mark = text[at]
        size = 1
        if mark == "\\":
            size = 2
        elif mark == '"':
            self._in_string = not self._in_string
        elif mark in "{[":
            self._depth += 1
        elif mark in "}]":
            self._depth -= 1
            if self._depth == 0:
                self.end, self.whole = at + 1, True
        elif any(text.startswith(closer, at) for closer in self._closers):
            self.end = at
        elif any(closer.startswith(text[at:]) for closer in self._closers):
            size = 0
        if at + size > len(text) or not size:
            self._at = at
            return False
        self._at = at + size
        return True
