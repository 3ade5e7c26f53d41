"""How models write tool calls into their text: one row for each way that a call begins.

Sources: the chat templates of Qwen2.5 and Hermes (`<tool_call>`), Llama 3.1 (a JSON object with
`parameters`) and Mistral (`[TOOL_CALLS]`), and the ReAct JSON of LangChain's agents. Tokens such as
`[TOOL_CALLS]` are special to their tokenizers, and most servers leave them out of the text: there a
list at the very start is all that is seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from .json_scan import JsonScan

__all__ = [
    "FENCES",
    "FINAL_ACTION",
    "LEADS",
    "Candidate",
    "Lead",
    "Region",
    "WrittenCall",
    "guess_name",
]

FENCES = ("```", "~~~")
"""What opens and closes a code fence."""

FINAL_ACTION = "Final Answer"
"""The action that LangChain's structured chat agents finish with."""


@dataclass(frozen=True, slots=True)
class Lead:
    """One way in which a call begins.

    Attributes:
        words: Texts that follow each other, with any white space between them.
        where: Whether it counts anywhere, at the start of a line, or at the start of the answer.
        value: Which word begins the JSON value; `len(words)` where the value follows them.
        closer: What follows the value, or "".
        marked: Whether it can mean nothing but a call, so that a broken one is a broken call.
    """

    words: tuple[str, ...]
    where: Literal["anywhere", "line", "start"]
    value: int
    closer: str = ""
    marked: bool = False

    def match(self, text: str, *, final: bool) -> tuple[int | None, bool]:
        """Return where the value begins if the text begins so, and whether it may still."""
        at = value = 0
        for index, word in enumerate(self.words):
            at = _skip_space(text, at) if index else 0
            value = at if index == self.value else value
            if not text.startswith(word, at):
                return None, word.startswith(text[at:])
            at += len(word)
        if self.value < len(self.words):
            return value, True
        value = _skip_space(text, at)
        return (value, True) if final or value < len(text) else (None, True)


_MOST_SPACE = 100


def _skip_space(text: str, at: int) -> int:
    end = min(len(text), at + _MOST_SPACE)
    while at < end and text[at].isspace():
        at += 1
    return at


LEADS: Mapping[str, tuple[Lead, ...]] = MappingProxyType(
    {
        "hermes": (Lead(("<tool_call>",), "anywhere", 1, "</tool_call>", marked=True),),
        "llama3": (
            *(Lead(("{", word), "line", 0) for word in ('"name"', '"type"', '"function"')),
            Lead(("<|python_tag|>", "{"), "anywhere", 1),
        ),
        "mistral": (
            Lead(("[TOOL_CALLS]", "["), "anywhere", 1, marked=True),
            Lead(("[TOOL_CALLS]", "{"), "anywhere", 1, marked=True),
            Lead(("[", "{", '"name"'), "start", 0),
        ),
        "react": (
            Lead(("Action:", "```json", "{"), "line", 2, "```", marked=True),
            Lead(("Action:", "```", "{"), "line", 2, "```", marked=True),
            Lead(("Action:", "{"), "line", 1, marked=True),
            Lead(("```json", "{", '"action'), "line", 1, "```"),
            Lead(("```", "{", '"action'), "line", 1, "```"),
        ),
        # All that a decoder constrained to calls can write.
        "bare": (Lead(("{", '"'), "start", 0), Lead(("[", "{"), "start", 0)),
    }
)
"""Every way that a call begins, by the convention's name."""


@dataclass(frozen=True, slots=True)
class WrittenCall:
    """A call as it was read from text.

    Attributes:
        name: The tool's name.
        arguments: Its arguments: a mapping, JSON text of one, or one bare argument.
    """

    name: str
    arguments: object


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of text that begins as a call does.

    Attributes:
        size: How many characters it has as calls.
        as_text: How many of them are text, if it is none.
        calls: The calls, none where it is text; None where their JSON is broken.
        marked: Whether a broken one is a broken call all the same.
    """

    size: int
    as_text: int
    calls: tuple[WrittenCall, ...] | None = ()
    marked: bool = False


class Candidate:
    """Text that begins as a call does, while it arrives.

    Args:
        leads: The ways in which it may be one.
        word: The text that they all begin with.
    """

    def __init__(self, leads: Sequence[Lead], word: str) -> None:
        self._leads = tuple(leads)
        self._word = word
        self._lead: Lead | None = None
        self._value = 0
        self._scan: JsonScan | None = None

    def read(self, text: str, *, final: bool) -> Region | None:
        """Return what the text turned out to be, or None while that is open.

        Args:
            text: All of it so far.
            final: Whether nothing more comes.
        """
        if self._lead is None:
            self._follow(text, final=final)
        if self._lead is None:
            undecided = self._leads and not final
            return None if undecided else Region(len(self._word), len(self._word))
        value_end = self._end_of_value(text, self._lead.closer, final=final)
        if value_end is None:
            return None
        end = _after_closer(text, value_end, self._lead.closer, final=final)
        if end is None:
            return None
        whole = self._scan is not None and self._scan.whole
        calls = _read_calls(text[self._value : value_end]) if whole else None
        return Region(end, self._text_size(text, end), calls, self._lead.marked)

    def _follow(self, text: str, *, final: bool) -> None:
        """Follow the beginning up to the value."""
        possible = []
        for lead in self._leads:
            value, may = lead.match(text, final=final)
            if value is not None:
                self._lead, self._value = lead, value
                if text[value : value + 1] in ("{", "["):
                    self._scan = JsonScan(value, (lead.closer,) if lead.closer else ())
                return
            if may:
                possible.append(lead)
        self._leads = tuple(possible)

    def _end_of_value(self, text: str, closer: str, *, final: bool) -> int | None:
        if self._scan is not None:
            self._scan.scan(text)
            if self._scan.end is not None or not final:
                return self._scan.end
        # What is no JSON, or was never closed, goes on to the closer.
        found = text.find(closer, self._value) if closer else -1
        return found if found >= 0 else len(text) if final else None

    def _text_size(self, text: str, end: int) -> int:
        """Return how much is text if this is no call: a code fence in it counts as one then."""
        if self._word in FENCES:
            return len(self._word)
        fence = text.find(FENCES[0], 0, self._value)
        return end if fence < 0 else fence


def _after_closer(text: str, end: int, closer: str, *, final: bool) -> int | None:
    """Return where the closer ends that may follow a value; None while it may still come."""
    after = _skip_space(text, end)
    if closer and text.startswith(closer, after):
        return after + len(closer)
    return None if closer and not final and closer.startswith(text[after:]) else end


def _read_calls(value: str) -> tuple[WrittenCall, ...] | None:
    """Read the JSON of one call or of a list of calls; None if it is no JSON, or none of calls."""
    try:
        # Models write line breaks inside of strings, which JSON forbids.
        read = json.loads(value, strict=False)
    except (ValueError, RecursionError):
        return None
    calls = [_one(call) for call in (read if isinstance(read, list) else [read])]
    good = [call for call in calls if call is not None]
    return tuple(good) if good and len(good) == len(calls) else None


def _one(call: object) -> WrittenCall | None:
    if not isinstance(call, Mapping):
        return None
    inner = call.get("function")
    told = inner if isinstance(inner, Mapping) else call  # OpenAI's form holds one in another
    name = _first(told, "name", "action", "function")
    arguments = _first(told, "arguments", "parameters", "action_input")
    if not isinstance(name, str):
        return None
    return WrittenCall(name, {} if arguments is None else arguments)


def _first(call: Mapping[str, object], *keys: str) -> object:
    return next((call[key] for key in keys if key in call), None)


_NAME = re.compile(r'"(?:name|action|function)"\s*:\s*"([^"\\]*)"')


def guess_name(text: str) -> str:
    """Return the tool's name in a broken call, or ""."""
    match = _NAME.search(text)
    return match[1] if match else ""
