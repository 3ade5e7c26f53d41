"""Calls of a name, with special tokens around it, and arguments as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .call_syntax import (
    CallSyntax,
    JsonScan,
    ParsedCalls,
    ParsedToolCall,
    Tool,
    ValueScan,
    parse_arguments,
    skip_space,
)

_LONGEST_HEAD = 400
_FENCE = "```"


@dataclass(frozen=True, slots=True)
class HeadedJson(CallSyntax):
    """A name, what separates it from its arguments, and these as a JSON object.

    Where the head ends in a code fence, the call does as well.
    """

    head: re.Pattern[str]  # up to the arguments; its only group that matches is the name
    name: re.Pattern[str]  # finds the name in a call that is broken

    def scan(self, _: str, start: int, closer: str, /) -> ValueScan:
        return _HeadedScan(self.head, start, closer)

    def parse(self, value: str, _: Mapping[str, Tool], /) -> ParsedCalls | None:
        head = self.head.match(value)
        if head is None:
            return None
        text = value[head.end() :].strip()
        if head[0].rstrip().endswith(_FENCE + "json"):
            text = text.removesuffix(_FENCE).rstrip()
        arguments = parse_arguments("" if text == "null" else text)
        return None if arguments is None else (ParsedToolCall(_name(head), arguments),)

    def find_name(self, text: str) -> str:
        found = self.name.search(text)
        return _name(found) if found else ""


def _name(match: re.Match[str]) -> str:
    return next(filter(None, match.groups()), "").strip()


class _HeadedScan:
    def __init__(self, head: re.Pattern[str], start: int, closer: str) -> None:
        self._head = head
        self._start = start
        self._closer = closer
        self._json: JsonScan | None = None
        self._rest: int | None = None  # where the closer is searched: there is no object
        self._fenced = False
        self.end: int | None = None
        self.whole = False

    def scan(self, text: str) -> None:
        if self._json is None and self._rest is None and not self._begin(text):
            return
        if self._json is None:
            self._find_closer(text)
            return
        self._json.scan(text)
        self.whole = self._json.whole
        end = self._json.end
        if end is None or not (self._fenced and self.whole):
            self.end = end
            return
        after = skip_space(text, end)
        if text.startswith(_FENCE, after):
            self.end = after + len(_FENCE)
        elif not _FENCE.startswith(text[after:]):
            self.end = end

    def _begin(self, text: str) -> bool:
        """Read the head; whether the text was long enough."""
        head = self._head.match(text, self._start)
        at = self._start if head is None else head.end()
        if head is None and len(text) - self._start <= _LONGEST_HEAD:
            closed = bool(self._closer) and self._closer in text[self._start :]
            if not closed:
                return False
        if head is not None and at == len(text):
            return False
        self._fenced = head is not None and head[0].rstrip().endswith(_FENCE + "json")
        if head is not None and text[at] == "{":
            self._json = JsonScan(at, self._closer)
        elif self._closer:
            self._rest = at
        else:
            self._rest = self.end = at
        return True

    def _find_closer(self, text: str) -> None:
        if self.end is not None or self._rest is None:
            return
        found = text.find(self._closer, self._rest)
        if found >= 0:
            self.end, self.whole = found, True
        else:
            self._rest = max(self._rest, len(text) - len(self._closer) + 1)
