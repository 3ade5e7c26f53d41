"""The JSON in an answer, among reasoning, code fences and prose."""

from __future__ import annotations

import json
import re
from itertools import islice

from .._protocols.reasoning import CLOSE
from .growing_json import NOTHING, GrowingJson

_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)(?:\n?```|\Z)", re.DOTALL)
_MAX_TRIES = 100
_decode = json.JSONDecoder(strict=False).raw_decode


def find_json(text: str) -> object:
    """Return the JSON of an answer, or `NOTHING`.

    In other text only an object is taken for an answer.
    """
    answer = text.rpartition(CLOSE)[2]
    for candidate in (text, answer, *(match[1] for match in _FENCE.finditer(answer))):
        try:
            return json.loads(candidate, strict=False)
        except (ValueError, RecursionError):
            continue
    for match in islice(re.finditer(r"\{", answer), _MAX_TRIES):
        try:
            return _decode(answer, match.start())[0]
        except (ValueError, RecursionError):
            if _is_cut(answer[match.start() :]):  # what is inside is not the answer
                break
    return NOTHING


def _is_cut(text: str) -> bool:
    """Whether a text is the beginning of JSON."""
    growing = GrowingJson()
    growing.feed(text)
    return not growing.is_broken


def find_partial_json(text: str, *, arrays: bool = False) -> object:
    """Return as much of the JSON as has been answered so far; None for nothing yet."""
    growing = GrowingText(arrays=arrays)
    growing.feed(text)
    return None if growing.value is NOTHING else growing.value


_MARK = re.compile(rf"{re.escape(CLOSE)}|```[\w-]{{0,40}}[ \t]{{0,9}}\n")
# What may become a mark.
_BEGUN = re.compile(
    "(?:"
    + "|".join(re.escape(CLOSE[:size]) for size in range(len(CLOSE) - 1, 0, -1))
    + r"|`{1,2}|```[\w-]{0,40}[ \t]{0,9})\Z"
)
_MAX_MARK = 60


class GrowingText:
    """Finds the JSON of an answer as the answer grows: an object, or an array if these are wanted.

    An answer that begins with it is JSON to its end. In other text, what follows reasoning or a
    code fence counts, else the first object.
    """

    def __init__(self, *, arrays: bool) -> None:
        self.value: object = NOTHING
        self._first = "{[" if arrays else "{"
        self._json: GrowingJson | None = None
        self._read: list[str] = []  # what the JSON has read, to look for another if it is none
        self._tries = 0
        self._is_whole = True  # whether the JSON is, or may become, all of the answer
        self._is_fenced = False
        self._at_start = True
        self._held = ""  # what may become a mark

    def complete_items(self, key: str | None) -> tuple[list[object], int]:
        """Return a list and how many items of it are over; see `GrowingJson.complete_items`."""
        return self._json.complete_items(key) if self._json else ([], 0)

    def feed(self, text: str) -> bool:
        """Read on. Returns whether there is a new value."""
        before = self.value
        if self._is_whole and self._json is not None:
            self._read_json(text)
        else:
            self._read_text(self._held + text)
        return self.value is not before

    def _read_text(self, text: str) -> None:
        at = 0
        if self._is_whole:  # it has not begun
            start = text.lstrip()
            if start and start[0] not in self._first:
                self._is_whole = False
        if self._is_whole:
            self._held = ""
            self._look(text)
            return
        for mark in _MARK.finditer(text):
            is_fence = mark[0][0] == "`"
            if is_fence and self._is_fenced:
                continue
            self._look(text[at : mark.start()])
            at = mark.end()
            self._json, self._at_start, self._is_fenced = None, True, is_fence
        begun = _BEGUN.search(text, max(at, len(text) - _MAX_MARK))
        end = begun.start() if begun else len(text)
        self._held = text[end:]
        self._look(text[at:end])

    def _look(self, text: str) -> None:
        """Read on in text without marks."""
        if self._json is None:
            start = text.lstrip()
            if not start:
                return
            if not (self._at_start and start[0] in self._first):
                start = text[text.find("{") :] if "{" in text else ""
            self._at_start = False
            if not start:
                return
            self._begin()
            text = start
        self._read_json(text)

    def _begin(self) -> None:
        self._json, self._read = GrowingJson(), []
        self._tries += 1

    def _read_json(self, text: str) -> None:
        while self._json is not None:
            self._read.append(text)
            if self._json.feed(text):
                self.value = self._json.value
            if not self._json.is_broken or self._tries >= _MAX_TRIES:
                if self._is_whole and self._json.after.strip():
                    self._is_whole = self._at_start = False
                    self._read_text(self._json.after)
                return
            self._is_whole = False
            read = "".join(self._read)
            start = read.find("{", 1)
            self._json = None
            if start > 0:
                self._begin()
                text = read[start:]
