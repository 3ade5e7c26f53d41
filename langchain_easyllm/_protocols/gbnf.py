"""Choices and regular expressions as grammars in GBNF, llama.cpp's own format.

It has no regular expressions, but a grammar can allow exactly the same answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import ConfigurationError


def choice_to_gbnf(choices: Sequence[str]) -> str:
    return f"root ::= {' | '.join(map(_quoted, choices))}"


def regex_to_gbnf(pattern: str) -> str:
    r"""Return the grammar of the texts that a regular expression matches from begin to end.

    `\d`, `\w` and `\s` are ASCII's, as in the other servers' engines.

    Raises:
        ConfigurationError: If it has a part that no grammar of this kind can express (an assertion,
            a back reference, a flag), or that engines read in different ways.
    """
    return f"root ::= {_RegexReader(pattern).read()}"


_QUOTES = {'"': r"\"", "\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
_BRACKETS = {"\\": r"\\", "]": r"\]", "[": r"\[", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
_HEX_IN_BRACKETS = "^-"


def _quoted(text: str) -> str:
    return f'"{"".join(_QUOTES.get(one) or _printable(one) for one in text)}"'


def _printable(one: str) -> str:
    return one if (one.isprintable() and not one.isspace()) or one == " " else _hex(one)


def _hex(one: str) -> str:
    code = ord(one)
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else one


def _in_brackets(one: str) -> str:
    if one in _HEX_IN_BRACKETS:
        return _hex(one)
    return _BRACKETS.get(one) or _printable(one)


_CLASSES = {"d": "0-9", "w": "a-zA-Z0-9_", "s": r" \t\n\r\x0B\x0C"}
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v"}
_HEX = {"x": re.compile(r"[0-9A-Fa-f]{2}"), "u": re.compile(r"[0-9A-Fa-f]{4}")}
_GROUP = re.compile(r"\((?:\?:|\?P?<[A-Za-z_]\w*>|(?!\?))")
_TIMES = re.compile(r"[*+?]|\{\d+(?:,\d*)?\}")
_SET_OPERATORS = ("&&", "||", "--", "~~", "[:", "[.", "[=")
_MAX_DEPTH = 100


class _RegexReader:
    """Reads a regular expression from left to right and writes it in GBNF."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    def read(self) -> str:
        if self._pattern.startswith("^"):
            self._at = 1
        written = self._alternatives()
        if self._at < len(self._pattern):
            raise self._unknown(")")
        return written

    def _alternatives(self) -> str:
        parts = [self._sequence()]
        while self._next() == "|":
            self._at += 1
            parts.append(self._sequence())
        return " | ".join(parts)

    def _sequence(self) -> str:
        parts: list[str] = []
        text = ""  # characters without a quantifier so far
        while (one := self._next()) and one not in "|)":
            if one == "$" and self._at == len(self._pattern) - 1:
                self._at += 1
                continue
            character, atom = self._atom()
            times = self._times()
            if character and not times:
                text += character
                continue
            if text:
                parts.append(_quoted(text))
                text = ""
            parts.append(atom + times)
        if text or not parts:
            parts.append(_quoted(text))
        return " ".join(parts)

    def _atom(self) -> tuple[str, str]:
        """Read one atom; return its character, if it is one, and the atom in GBNF."""
        one = self._next()
        if one == "(":
            return "", self._group()
        if one == "[":
            return "", self._brackets()
        if one in "^$*+?{}":
            raise self._unknown(one)
        self._at += 1
        if one == ".":
            return "", r"[^\n]"
        if one != "\\":
            return one, _quoted(one)
        return self._escape()

    def _group(self) -> str:
        found = _GROUP.match(self._pattern, self._at)
        if found is None:
            raise self._unknown(self._pattern[self._at : self._at + 3])
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._unknown(f"more than {_MAX_DEPTH} groups in one another")
        self._at = found.end()
        inner = self._alternatives()
        if self._next() != ")":
            raise self._unknown("(")
        self._at += 1
        self._depth -= 1
        return f"({inner})"

    def _times(self) -> str:
        found = _TIMES.match(self._pattern, self._at)
        if found is None:
            return ""
        self._at = found.end()
        if self._next() == "?":  # a lazy one allows the same texts
            self._at += 1
        if (one := self._next()) and one in "*+?":
            raise self._unknown(found[0] + one)
        return found[0]

    def _escape(self) -> tuple[str, str]:
        """Read what follows a backslash."""
        name = self._next()
        if name.lower() in _CLASSES:
            self._at += 1
            negated = "^" if name.isupper() else ""
            return "", f"[{negated}{_CLASSES[name.lower()]}]"
        one = self._escaped_character()
        return one, _quoted(one)

    def _escaped_character(self) -> str:
        name = self._next()
        self._at += 1
        if name in _HEX and (digits := _HEX[name].match(self._pattern, self._at)):
            self._at = digits.end()
            return chr(int(digits[0], 16))
        if name in _CONTROLS:
            return _CONTROLS[name]
        if not name or name.isalnum():
            raise self._unknown(f"\\{name}")
        return name

    def _brackets(self) -> str:
        self._at += 1
        written = "["
        if self._next() == "^":
            written += "^"
            self._at += 1
        begin = self._at
        while (one := self._next()) != "]" or self._at == begin:
            if not one:
                raise self._unknown("[")
            written += self._bracket_item()
        self._at += 1
        return written + "]"

    def _bracket_item(self) -> str:
        """Read a character, a range or the name of a class between brackets."""
        pair = self._pattern[self._at : self._at + 2]
        if pair in _SET_OPERATORS:
            raise self._unknown(pair)
        if pair[0] == "\\" and pair[1:] in _CLASSES:
            self._at += 2
            return _CLASSES[pair[1:]]
        first = self._bracket_character()
        follows = self._pattern[self._at : self._at + 2]
        if not follows.startswith("-") or follows == "-]" or len(follows) < 2:
            return _in_brackets(first)
        self._at += 1
        if self._next() == "-":
            raise self._unknown("--")
        last = self._bracket_character()
        if last < first:
            raise self._unknown(f"{first}-{last}")
        return f"{_in_brackets(first)}-{_in_brackets(last)}"

    def _bracket_character(self) -> str:
        one = self._next()
        self._at += 1
        return self._escaped_character() if one == "\\" else one

    def _next(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _unknown(self, part: str) -> ConfigurationError:
        return ConfigurationError(
            f"The regex {self._pattern!r:.50} has a part ({part}) that llama.cpp's grammars cannot "
            "express: write it without, or give a grammar ({'type': 'ebnf', 'value': '...'})."
        )
