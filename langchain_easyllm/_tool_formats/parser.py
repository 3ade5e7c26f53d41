"""Tool calls that a model writes into its text, read while it streams."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import orjson

from .._protocols.events import Delta
from .._protocols.tool_calls import parse_arguments
from .json_scan import JsonScan

__all__ = [
    "CALL_MARKERS",
    "FENCES",
    "FINAL_ACTION",
    "CallMarker",
    "Match",
    "ParsedToolCall",
    "Part",
    "PartialMatch",
    "ToolTextReader",
    "guess_name",
]


FENCES = ("```", "~~~")
"""What opens and closes a code fence."""

FINAL_ACTION = "Final Answer"
"""The action that LangChain's structured chat agents finish with."""


@dataclass(frozen=True, slots=True)
class CallMarker:
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


CALL_MARKERS: Mapping[str, tuple[CallMarker, ...]] = MappingProxyType(
    {
        "hermes": (CallMarker(("<tool_call>",), "anywhere", 1, "</tool_call>", marked=True),),
        "llama3": (
            *(CallMarker(("{", word), "line", 0) for word in ('"name"', '"type"', '"function"')),
            CallMarker(("<|python_tag|>", "{"), "anywhere", 1),
        ),
        "mistral": (
            CallMarker(("[TOOL_CALLS]", "["), "anywhere", 1, marked=True),
            CallMarker(("[TOOL_CALLS]", "{"), "anywhere", 1, marked=True),
            CallMarker(("[", "{", '"name"'), "start", 0),
        ),
        "react": (
            CallMarker(("Action:", "```json", "{"), "line", 2, "```", marked=True),
            CallMarker(("Action:", "```", "{"), "line", 2, "```", marked=True),
            CallMarker(("Action:", "{"), "line", 1, marked=True),
            CallMarker(("```json", "{", '"action'), "line", 1, "```"),
            CallMarker(("```", "{", '"action'), "line", 1, "```"),
        ),
        # All that a decoder constrained to calls can write.
        "bare": (CallMarker(("{", '"'), "start", 0), CallMarker(("[", "{"), "start", 0)),
    }
)
"""Every way that a call begins, by the convention's name."""


@dataclass(frozen=True, slots=True)
class ParsedToolCall:
    """A call as it was read from text.

    Attributes:
        name: The tool's name.
        arguments: Its arguments: a mapping, JSON text of one, or one bare argument.
    """

    name: str
    arguments: object


@dataclass(frozen=True, slots=True)
class Match:
    """A stretch of text that begins as a call does.

    Attributes:
        size: How many characters it has as calls.
        as_text: How many of them are text, if it is none.
        calls: The calls, none where it is text; None where their JSON is broken.
        marked: Whether a broken one is a broken call all the same.
    """

    size: int
    as_text: int
    calls: tuple[ParsedToolCall, ...] | None = ()
    marked: bool = False


class PartialMatch:
    """Text that begins as a call does, while it arrives.

    Args:
        leads: The ways in which it may be one.
        word: The text that they all begin with.
    """

    def __init__(self, leads: Sequence[CallMarker], word: str) -> None:
        self._leads = tuple(leads)
        self._word = word
        self._lead: CallMarker | None = None
        self._value = 0
        self._scan: JsonScan | None = None

    def read(self, text: str, *, final: bool) -> Match | None:
        """Return what the text turned out to be, or None while that is open.

        Args:
            text: All of it so far.
            final: Whether nothing more comes.
        """
        if self._lead is None:
            self._follow(text, final=final)
        if self._lead is None:
            undecided = self._leads and not final
            return None if undecided else Match(len(self._word), len(self._word))
        value_end = self._end_of_value(text, self._lead.closer, final=final)
        if value_end is None:
            return None
        end = _after_closer(text, value_end, self._lead.closer, final=final)
        if end is None:
            return None
        whole = self._scan is not None and self._scan.whole
        calls = _read_calls(text[self._value : value_end]) if whole else None
        return Match(end, self._text_size(text, end), calls, self._lead.marked)

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


def _read_calls(value: str) -> tuple[ParsedToolCall, ...] | None:
    """Read the JSON of one call or of a list of calls; None if it is no JSON, or none of calls."""
    try:
        # Models write line breaks inside of strings, which JSON forbids.
        read = json.loads(value, strict=False)
    except (ValueError, RecursionError):
        return None
    calls = [_one(call) for call in (read if isinstance(read, list) else [read])]
    good = [call for call in calls if call is not None]
    return tuple(good) if good and len(good) == len(calls) else None


def _one(call: object) -> ParsedToolCall | None:
    if not isinstance(call, Mapping):
        return None
    inner = call.get("function")
    told = inner if isinstance(inner, Mapping) else call  # OpenAI's form holds one in another
    name = _first(told, "name", "action", "function")
    arguments = _first(told, "arguments", "parameters", "action_input")
    if not isinstance(name, str):
        return None
    return ParsedToolCall(name, {} if arguments is None else arguments)


def _first(call: Mapping[str, object], *keys: str) -> object:
    return next((call[key] for key in keys if key in call), None)


_NAME = re.compile(r'"(?:name|action|function)"\s*:\s*"([^"\\]*)"')


def guess_name(text: str) -> str:
    """Return the tool's name in a broken call, or ""."""
    match = _NAME.search(text)
    return match[1] if match else ""


Part = str | Delta
"""Text, or a delta that holds one call."""

_BETWEEN = " \t\r\n;,"  # what models put between calls
_MAX_GAP = 1000  # characters before a call that are held back, and dropped with it


class ToolTextReader:
    """Sets tool calls apart from the text around them.

    The result is the same however the text is split. Text before a call is passed on as soon as it
    cannot be the beginning of one; white space around calls is dropped; calls inside code fences
    or behind a backtick are text.

    Args:
        conventions: Names of `call_forms.LEADS`.
        tools: The tools that are offered, in OpenAI's shape.
        prompted: Whether the prompt asked for calls in this form: what is marked as a call is then
            one, if only an invalid one, whatever it holds. Otherwise it stays text unless it names
            a tool that is offered.

    Attributes:
        calls: How many calls were read, invalid ones among them.
    """

    def __init__(
        self,
        conventions: Iterable[str],
        tools: Sequence[Mapping[str, object]],
        *,
        prompted: bool = False,
    ) -> None:
        self._leads = tuple([lead for name in conventions for lead in CALL_MARKERS[name]])
        self._marks = _Marks(self._leads)
        self._offered = {str(f.get("name")): f for f in map(_function, tools)}
        self._prompted = prompted
        self._held = ""  # what is not decided yet
        self._last = "\n"  # the character before it
        self._candidate: PartialMatch | None = None
        self._gap = 0  # how much white space is held before the candidate
        self._fence = ""  # the code fence that is open
        self._fresh = True  # whether no text was passed on so far
        self._after_call = False
        self.calls = 0

    def feed(self, text: str) -> list[Part]:
        """Take the next piece and return what is decided."""
        self._held += text
        return self._decide(final=False)

    def close(self) -> list[Part]:
        """Return the rest, now that nothing more comes; a call that was cut off is invalid."""
        parts = self._decide(final=True)
        if not self._after_call or self._held.strip(_BETWEEN):
            parts += self._show(len(self._held))
        return parts

    def _decide(self, *, final: bool) -> list[Part]:
        parts: list[Part] = []
        while self._held:
            if self._candidate is None:
                shown = self._read_text()
                parts += shown
                if self._candidate is None and not shown:
                    break
            else:
                region = self._candidate.read(self._held[self._gap :], final=final)
                if region is None:
                    break
                parts += self._settle(region)
        return parts

    def _read_text(self) -> list[Part]:
        """Pass text on up to what may begin a call, and over what opens or closes a code fence."""
        if self._after_call and self._marks.may_begin(self._held.lstrip(_BETWEEN)):
            return []
        mark = self._marks.find(self._held, self._last, self._fence, after_call=self._after_call)
        if mark is None:
            return self._show(self._marks.settled(self._held, self._last, self._fence))
        start, word = mark
        before = self._held[:start]
        quoted = word not in FENCES and (before[-1:] or self._last) == "`"
        fresh = self._fresh and not before.strip()
        leads = [] if self._fence or quoted else self._leads_of(word, fresh=fresh)
        if not leads:
            return self._show_mark(start + len(word), word)
        follows = self._after_call and not before.strip(_BETWEEN)
        size = 0 if follows else _without_space(before)
        self._candidate, self._gap = PartialMatch(leads, word), len(before) - size
        return self._show(size)

    def _leads_of(self, word: str, *, fresh: bool) -> list[CallMarker]:
        """Return the ways to begin a call that a mark may belong to, one of which may be longer."""
        begun = [lead for lead in self._leads if lead.words[0].startswith(word)]
        return [lead for lead in begun if fresh or lead.where != "start"]

    def _show(self, size: int) -> list[Part]:
        """Pass the first characters on as text."""
        if not size:
            return []
        text, self._held = self._held[:size], self._held[size:]
        self._last = text[-1]
        if self._after_call and self._fresh:
            text = text.lstrip()
        self._after_call = False
        self._fresh = self._fresh and not text.strip()
        return [text]

    def _show_mark(self, size: int, word: str) -> list[Part]:
        """Pass text on that ends with a mark, which may be a code fence."""
        if word in FENCES:
            self._fence = "" if self._fence else word
        return self._show(size)

    def _settle(self, region: Match) -> list[Part]:
        """Turn a region into calls, or into text."""
        text = self._held[self._gap : self._gap + region.size]
        self._candidate = None
        calls = self._accept(region, text)
        if not calls:
            return self._show_mark(self._gap + region.as_text, text[: region.as_text])
        self._held = self._held[self._gap + region.size :]
        self._last, self._after_call = "\n", True
        return calls

    def _accept(self, region: Match, text: str) -> list[Part]:
        """Return the region's calls, if it is one that counts."""
        calls = region.calls
        if calls is None:
            name = guess_name(text)
            counts = name in self._offered or (region.marked and self._prompted)
            return [self._call(name, text)] if counts else []
        if not any(call.name in self._offered for call in calls):
            if not (calls and region.marked and self._prompted):
                return []
            if calls[0].name == FINAL_ACTION:  # the answer, said as an action
                return [str(calls[0].arguments)]
            return [self._call(calls[0].name, text)]
        return [self._call(call.name, self._arguments(call, text)) for call in calls]

    def _arguments(self, call: ParsedToolCall, text: str) -> str:
        """Return a call's arguments as JSON, or its text where it cannot be called so."""
        tool = self._offered.get(call.name)
        if tool is None:
            return text
        key, value = _only_argument(tool), call.arguments
        read = parse_arguments(value) if isinstance(value, str) else None
        if read is not None and (key is None or key in read):
            value = read
        if not isinstance(value, Mapping):
            return text if key is None else orjson.dumps({key: value}).decode()
        return orjson.dumps(value).decode()

    def _call(self, name: str, arguments: str) -> Delta:
        call = {
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }
        self.calls += 1
        return Delta(tool_calls=(call,))


class _Marks:
    """Finds what may begin a call, and code fences."""

    def __init__(self, leads: Sequence[CallMarker]) -> None:
        firsts = {lead.words[0]: lead.where for lead in leads}
        plain = {word: where for word, where in firsts.items() if not word.startswith(FENCES)}
        self._anywhere = [word for word, where in plain.items() if where == "anywhere"]
        self._line = [word for word, where in plain.items() if where != "anywhere"]
        line = _either([*self._line, *FENCES])
        anywhere = f"|({_either(self._anywhere)})" if self._anywhere else "|(?!)()"
        self._open = re.compile(f"^[ \\t]*({line}){anywhere}", re.MULTILINE)
        self._next = re.compile(f"[{_BETWEEN}]*({_either([*self._line, *self._anywhere])})")
        self._close = {fence: re.compile(f"^[ \\t]*({fence})", re.MULTILINE) for fence in FENCES}

    def find(self, text: str, last: str, fence: str, *, after_call: bool) -> tuple[int, str] | None:
        """Return where the first mark begins, and the mark."""
        match = self._next.match(text) if after_call else None
        if match:
            return match.start(1), match[1]
        # The character before tells whether a line begins here.
        match = (self._close[fence] if fence else self._open).search(last + text, 1)
        if match is None:
            return None
        group = match.lastindex or 1
        return match.start(group) - 1, match[group]

    def may_begin(self, text: str) -> bool:
        """Whether a text may still become a mark that begins a call."""
        marks = (*self._line, *self._anywhere)
        return any(len(text) < len(mark) and mark.startswith(text) for mark in marks)

    def settled(self, text: str, last: str, fence: str) -> int:
        """Return how much of a text without a mark is sure to hold no beginning of one."""
        end = len(text)
        line = text.rfind("\n") + 1
        if line or last == "\n":
            begun = text[line:].lstrip(" \t")
            if any(
                word.startswith(begun) for word in ([fence] if fence else [*self._line, *FENCES])
            ):
                end = line
        for word in () if fence else self._anywhere:
            sizes = range(min(len(word) - 1, len(text)), 0, -1)
            size = next((size for size in sizes if text.endswith(word[:size])), 0)
            end = min(end, len(text) - size)
        return _without_space(text[:end])


def _without_space(text: str) -> int:
    return max(len(text.rstrip()), len(text) - _MAX_GAP)


def _either(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, words)) or "(?!)"


def _function(tool: Mapping[str, object]) -> Mapping[str, object]:
    function = tool.get("function")
    return function if isinstance(function, Mapping) else tool


def _only_argument(tool: Mapping[str, object]) -> str | None:
    """Return the name of the one argument that a bare value can stand for."""
    parameters = tool.get("parameters")
    known = parameters.get("properties") if isinstance(parameters, Mapping) else None
    names = list(known) if isinstance(known, Mapping) else []
    required = parameters.get("required") if isinstance(parameters, Mapping) else None
    needed = required if isinstance(required, list) and len(required) == 1 else names
    return str(needed[0]) if len(needed) == 1 else None
