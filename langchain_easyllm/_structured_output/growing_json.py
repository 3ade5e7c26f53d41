"""JSON that is read while it is written: each character is looked at once.

What is shown is certain. A string grows; a number, `true`, `false` and `null` appear once they are
over; a key appears with its value. Each value that is shown is new wherever it can still grow, and
shares with those before it what is complete. What is new has to be copied, so long lists are shown
less often: the copies, too, take time that is linear in the text.
"""

from __future__ import annotations

import json
import re
from enum import Enum, auto
from typing import TypeAlias

NOTHING = object()
"""The value where there is no JSON; None is JSON."""

_Container: TypeAlias = dict[str, object] | list[object]
_MAX_DEPTH = 500


class _Next(Enum):
    VALUE = auto()
    FIRST_VALUE = auto()  # of an array, which may also be closed
    KEY = auto()
    FIRST_KEY = auto()  # of an object, which may also be closed
    COLON = auto()
    COMMA = auto()  # or the end of what is open
    STRING = auto()  # more of it
    LITERAL = auto()  # more of it
    END = auto()


_SPACE = re.compile(r"[ \t\r\n]*")
_LITERAL = re.compile(r"[-+.\w]*")
# Up to the end of a string, or to an escape that is not over (a surrogate pair is one escape).
_HIGH = r"u[dD][89abAB][0-9a-fA-F]{2}"
_CODE = r"u(?![dD][89abAB])[0-9a-fA-F]{4}"
_STRING = re.compile(
    rf'(?:[^"\\]+|\\(?:[^u]|{_CODE}|{_HIGH}\\u[0-9a-fA-F]{{4}}|{_HIGH}(?=[^\\]|\\[^u])))*'
)
_MAX_ESCAPE = 12
# So many items may be copied for each character.
_COPIED = 64


class GrowingJson:
    """Reads one object or array, piece by piece."""

    def __init__(self) -> None:
        self.value: object = NOTHING  # what was shown last
        self._growing: object = NOTHING
        self.is_broken = False
        self.after = ""  # what has come after the end
        self._next = _Next.VALUE
        self._open: list[_Container] = []
        self._keys: list[str] = []  # the last one at each depth; "" in an array
        self._fresh = False  # whether what is open has not been shown as it is
        self._copied = 0  # how many items it has cost to make it so
        self._unshown = 0  # how many characters have been read since something was shown
        self._held = ""  # what cannot be read before more comes
        self._parts: list[str] = []  # the string or the literal that is being read
        self._of_key = False  # whether the string is a key
        self._shown: str | None = None  # as much of the string as has its place already

    @property
    def is_over(self) -> bool:
        return self.is_broken or self._next is _Next.END

    def complete_items(self, key: str | None) -> tuple[list[object], int]:
        """Return a list, the value or what is under a key of it, and how many items are over.

        What has been read and is still to be shown does not count.
        """
        is_inside, depth = key is not None, 1 if key is None else 2
        value = self.value.get(key) if isinstance(self.value, dict) and is_inside else self.value
        if self._fresh or not isinstance(value, list):
            return [], 0
        goes_on = len(self._open) >= depth and (not is_inside or self._keys[0] == key)
        in_text = self._next is _Next.STRING and not self._of_key
        return value, len(value) - (goes_on and (len(self._open) > depth or in_text))

    def feed(self, text: str) -> bool:
        """Read on. Returns whether there is a new value to show."""
        self._unshown += len(text)
        if self._held:
            text, self._held = self._held + text, ""
        at = 0
        while at < len(text) and not self.is_over:
            if self._next is _Next.STRING:
                at = self._read_string(text, at)
            elif self._next is _Next.LITERAL:
                at = self._read_literal(text, at)
            else:
                found = _SPACE.match(text, at)
                at = found.end() if found else at
                if at < len(text):
                    at = self._read_mark(text[at], at)
        if self._next is _Next.STRING and not self._of_key:
            self._show_string()
        self.after = text[at:]
        if not self._fresh or not (self.is_over or self._unshown * _COPIED >= self._copied):
            return False
        self.value, self._fresh, self._unshown = self._growing, False, 0
        return True

    def _read_mark(self, mark: str, at: int) -> int:
        """Read one character between strings and literals; return where to read on."""
        following = self._next
        if not self._open and mark not in "{[":
            self.is_broken = True
        elif following in (_Next.VALUE, _Next.FIRST_VALUE):
            if mark in "{[":
                self._enter({} if mark == "{" else [])
            elif mark == "]" and following is _Next.FIRST_VALUE:
                self._leave()
            elif mark == '"':
                self._begin_string(is_key=False)
            else:
                self._next, self._parts, self._shown = _Next.LITERAL, [], None
                return at
        elif mark == '"' and following in (_Next.KEY, _Next.FIRST_KEY):
            self._begin_string(is_key=True)
        elif mark == "}" and following is _Next.FIRST_KEY:
            self._leave()
        elif mark == ":" and following is _Next.COLON:
            self._next = _Next.VALUE
        elif following is _Next.COMMA and mark == ",":
            self._next = _Next.KEY if isinstance(self._open[-1], dict) else _Next.VALUE
        elif following is _Next.COMMA and mark == "]}"[isinstance(self._open[-1], dict)]:
            self._leave()
        else:
            self.is_broken = True
        return at + 1

    def _begin_string(self, *, is_key: bool) -> None:
        self._next, self._of_key = _Next.STRING, is_key
        self._parts, self._shown = [""], None

    def _read_string(self, text: str, at: int) -> int:
        found = _STRING.match(text, at)
        end = found.end() if found else at
        piece = text[at:end]
        if "\\" in piece:
            try:
                piece = json.loads(f'"{piece}"', strict=False)
            except ValueError:
                self.is_broken = True
                return end
        self._parts.append(piece)
        if end == len(text):
            return end
        if text[end] != '"':  # an escape that is not over, or none
            self._held = text[end:]
            self.is_broken = len(self._held) >= _MAX_ESCAPE
            return len(text)
        if self._of_key:
            self._keys[-1] = "".join(self._parts)
            self._next = _Next.COLON
        else:
            self._show_string()
            self._next = _Next.COMMA
        return end + 1

    def _show_string(self) -> None:
        text = "".join(self._parts)
        self._parts = [text]
        if text != self._shown:
            self._place(text)
            self._shown = text

    def _read_literal(self, text: str, at: int) -> int:
        found = _LITERAL.match(text, at)
        end = found.end() if found else at
        self._parts.append(text[at:end])
        if end < len(text):
            try:
                self._place(json.loads("".join(self._parts)))
            except ValueError:
                self.is_broken = True
            self._next = _Next.COMMA
        return end

    def _place(self, value: object) -> None:
        """Put a value where it belongs, in containers that nobody has seen."""
        self._refresh()
        container = self._open[-1]
        if isinstance(container, dict):
            container[self._keys[-1]] = value
        elif self._shown is None:
            container.append(value)
        else:
            container[-1] = value

    def _refresh(self) -> None:
        """Copy what is open, if it has been shown."""
        if self._fresh:
            return
        self._fresh = True
        self._copied = sum(map(len, self._open))
        for depth, container in enumerate(self._open):
            copied = container.copy()
            self._open[depth] = copied
            if depth == 0:
                self._growing = copied
            elif isinstance(outer := self._open[depth - 1], dict):
                outer[self._keys[depth - 1]] = copied
            else:
                outer[-1] = copied

    def _enter(self, container: _Container) -> None:
        if len(self._open) >= _MAX_DEPTH:
            self.is_broken = True
            return
        self._shown = None
        if self._open:
            self._place(container)
        else:
            self._growing, self._fresh = container, True
        self._open.append(container)
        self._keys.append("")
        self._next = _Next.FIRST_KEY if isinstance(container, dict) else _Next.FIRST_VALUE

    def _leave(self) -> None:
        self._open.pop()
        self._keys.pop()
        self._next = _Next.COMMA if self._open else _Next.END
