"""The messages of Harmony, gpt-oss's format, as they stand in the text of an answer.

A message is a header and a text: `<|start|>role<|channel|>name to=recipient
<|constrain|>type<|message|>text`, ended by `<|end|>`, `<|return|>` or `<|call|>`. An answer begins
behind the first role.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .call_syntax import ParsedReasoning, Part

START, CHANNEL, CONSTRAIN = "<|start|>", "<|channel|>", "<|constrain|>"
MESSAGE, END, CALL, RETURN = "<|message|>", "<|end|>", "<|call|>", "<|return|>"

_start, _channel, _constrain, _message = map(re.escape, (START, CHANNEL, CONSTRAIN, MESSAGE))
_HEADER = re.compile(
    rf"(?={_start}|{_channel})"
    rf"(?:{_start}\w{{0,20}}(?P<to>\s{{1,9}}to=[^\s<>]{{1,100}})?\s{{0,9}})?"
    rf"(?P<own>{_channel}\s{{0,9}}(?P<channel>\w{{1,20}})(?P<more>[^<>\n]{{0,120}})"
    rf"(?:{_constrain}[^<>\n]{{0,40}})?)?{_message}"
)
_MARK = re.compile(
    rf"{_HEADER.pattern}|{_start}\w{{1,20}}(?=<)"
    rf"|(?P<end>{re.escape(END)}|{re.escape(RETURN)}|{re.escape(CALL)})"
)
_OPENINGS = (START, CHANNEL, END, RETURN, CALL)
_LONGEST_HEADER = 400


def begins_message(text: str) -> bool | None:
    """Whether a text begins with the header of a message; None while that is open."""
    if not text.startswith((START, CHANNEL)):
        return False
    if _HEADER.match(text):
        return True
    return None if len(text) <= _LONGEST_HEADER else False


class HarmonyReader:
    """Reads the channel `analysis` as reasoning, and the others as text, a blank line between them.

    A message that has a recipient is a call: it stays as it was written, for what reads calls.
    """

    def __init__(self) -> None:
        self._held = ""
        self._reasons = False
        self._is_call = False
        self._spoke = False  # whether there was text of an earlier message
        self._gap = ""  # before the text of this one

    def feed(self, parts: Iterable[Part]) -> list[Part]:
        out: list[Part] = []
        for part in parts:
            if isinstance(part, str):
                self._held += part
                self._read(out)
            else:
                out += [*self.close(), part]
        return out

    def close(self) -> list[Part]:
        text, self._held = self._held, ""
        begun = len(text) > 2 and any(mark.startswith(text) for mark in _OPENINGS)
        return self._part("" if begun or text.startswith((START, CHANNEL)) else text)

    def _read(self, out: list[Part]) -> None:
        at = 0
        while (mark := self._held.find("<|", at)) >= 0:
            found = _MARK.match(self._held, mark)
            if found is not None:
                out += self._part(self._held[:mark])
                out += self._begin(found)
                self._held, at = self._held[found.end() :], 0
            elif len(self._held) - mark <= _LONGEST_HEADER and self._may_open(mark):
                break
            else:
                at = mark + 2
        end = mark if mark >= 0 else len(self._held) - self._held.endswith("<")
        out += self._part(self._held[:end])
        self._held = self._held[end:]

    def _begin(self, mark: re.Match[str]) -> list[Part]:
        """Take the header, or the end, of a message; return what stays of it."""
        was_call, self._is_call, self._reasons = self._is_call, False, False
        if mark["end"]:
            return [CALL] if was_call and mark["end"] == CALL else []
        channel, more = mark["channel"], mark["more"] or ""
        if mark["to"] or "to=" in more:
            self._is_call = True
            return [mark[0] if mark["to"] else mark["own"] + MESSAGE]
        self._reasons = channel == "analysis"
        self._gap = "\n\n" if self._spoke else ""
        return []

    def _may_open(self, at: int) -> bool:
        """Whether the text from a place on may be a header that is not whole yet."""
        rest = self._held[at:]
        return any(rest.startswith(word) or word.startswith(rest) for word in _OPENINGS)

    def _part(self, text: str) -> list[Part]:
        if not text:
            return []
        if self._reasons:
            return [ParsedReasoning(text)]
        if self._is_call:
            return [text]
        text, self._gap, self._spoke = self._gap + text, "", True
        return [text]
