"""How a tool call is written in text: the marker that begins it, and the syntax behind it."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from .json_schema import as_mapping
from .lenient_json import load_json

FENCES = ("```", "~~~")
"""What opens and closes a code fence."""

Tool = Mapping[str, object]


def function_of(tool: Tool) -> Mapping[str, object]:
    function = tool.get("function")
    return function if isinstance(function, Mapping) else tool


def tool_name(tool: Tool) -> str:
    """Return the name of a tool, or of a choice that names one."""
    return str(function_of(tool).get("name"))


_TOKENS_BEFORE = re.compile(r"\s*(?:<[|｜][^<>]{1,60}[|｜]>\s*)*")
_AFTER_NAME = re.compile(r"\s*(?:<[|｜/]|\[(?:ARGS|CALL_ID)\]|[\r\n]).*", re.DOTALL)
_NAMESPACE = re.compile(r"(?:functions|tools)[.:]")
_NUMBER = re.compile(r":\d{1,4}$")


def clean_name(name: str, tools: Collection[str] = ()) -> str:
    """Return the name of a tool without the special tokens that a model wrote around it.

    The namespace and the number that some models write at a name are cut off if the rest is the
    name of a tool.
    """
    if name in tools:
        return name
    name = _AFTER_NAME.sub("", name[_end_of(_TOKENS_BEFORE, name) :]).strip()
    if name in tools:
        return name
    short = name[_end_of(_NAMESPACE, name) :]
    return next((n for n in (short, _NUMBER.sub("", short)) if n in tools), name)


def _end_of(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.match(text)
    return match.end() if match else 0


def properties_of(tool: Tool) -> Mapping[str, object]:
    """Return the schema of each argument."""
    return as_mapping(as_mapping(function_of(tool).get("parameters")).get("properties"))


@dataclass(frozen=True, slots=True)
class ParsedToolCall:
    """A call as it was read from text.

    A syntax reads arguments of any type. The parser's own calls have a dict, or the text of a call
    that cannot be run.
    """

    name: str
    arguments: object


ParsedCalls = tuple[ParsedToolCall, ...]


@dataclass(frozen=True, slots=True)
class ParsedReasoning:
    """Reasoning that a format writes into the text of an answer."""

    text: str


Part = str | ParsedToolCall | ParsedReasoning
"""What is read from an answer's text."""


class AnswerReader(Protocol):
    """Reads what a format writes around the calls of an answer."""

    def feed(self, parts: Iterable[Part]) -> list[Part]:
        """Take text and calls, and return what is decided."""

    def close(self) -> list[Part]:
        """Return what is held back, now that nothing more comes."""


class ValueScan(Protocol):
    """Finds where a value ends in a growing text."""

    end: int | None  # where the value ends, or what surrounds it; None so far
    whole: bool  # whether the value was closed

    def scan(self, text: str) -> None:
        """Go on to the end of the text so far, or of the value."""


class CallSyntax(ABC):
    """How calls are written behind their marker."""

    @abstractmethod
    def scan(self, text: str, start: int, closer: str, /) -> ValueScan | None:
        """Return what finds the end of the value that starts here; None if none does."""

    @abstractmethod
    def parse(self, value: str, tools: Mapping[str, Tool], /) -> ParsedCalls | None:
        """Read a whole value, one call or more, with the tools by name; None if it is not valid."""

    @abstractmethod
    def find_name(self, text: str) -> str:
        """Return the tool's name in a broken call, or ""."""


_OUTSIDE = re.compile(r'["{}\[\]<`]')
_INSIDE = re.compile(r'["\\]')


class JsonScan:
    """Finds the end of one JSON object or list, without parsing it.

    A value that is never closed ends at a closer outside of strings, which begins with `<` or a
    backtick.
    """

    __slots__ = ("_at", "_closer", "_depth", "_in_string", "end", "whole")

    def __init__(self, start: int, closer: str = "") -> None:
        self._at = start
        self._closer = closer
        self._depth = 0
        self._in_string = False
        self.end: int | None = None
        self.whole = False

    def scan(self, text: str) -> None:
        while self.end is None:
            match = (_INSIDE if self._in_string else _OUTSIDE).search(text, self._at)
            if match is None:
                self._at = len(text)
                return
            if not self._take(text, match.start()):
                return

    def _take(self, text: str, at: int) -> bool:
        """Take one mark; whether the text was long enough to tell what it is."""
        mark, closer = text[at], self._closer
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
        elif closer and text.startswith(closer, at):
            self.end = at
        elif closer.startswith(text[at:]):
            size = 0
        if at + size > len(text) or not size:
            self._at = at
            return False
        self._at = at + size
        return True


_NAME = re.compile(r'"(?:name|action|function)"\s*:\s*"([^"\\]*)"')


class _JsonSyntax(CallSyntax):
    """A JSON object of a name and arguments under any of their usual keys, or a list of them."""

    def scan(self, text: str, start: int, closer: str, /) -> ValueScan | None:
        return JsonScan(start, closer) if text[start : start + 1] in ("{", "[") else None

    def parse(self, value: str, _: Mapping[str, Tool], /) -> ParsedCalls | None:
        try:
            read = load_json(value)
        except (ValueError, RecursionError):
            return None
        calls = [_parse_one(call) for call in (read if isinstance(read, list) else [read])]
        good = [call for call in calls if call is not None]
        return tuple(good) if good and len(good) == len(calls) else None

    def find_name(self, text: str) -> str:
        match = _NAME.search(text)
        return match[1] if match else ""


JSON = _JsonSyntax()


def _parse_one(call: object) -> ParsedToolCall | None:
    if not isinstance(call, Mapping):
        return None
    function = function_of(call)  # OpenAI's form holds one in another
    name = _first(function, "name", "action", "function")
    arguments = _first(function, "arguments", "parameters", "action_input")
    if not isinstance(name, str):
        return None
    return ParsedToolCall(name, {} if arguments is None else arguments)


def _first(call: Mapping[str, object], *keys: str) -> object:
    return next((call[key] for key in keys if key in call), None)


_MOST_ENCODINGS = 3


def parse_arguments(text: str) -> dict[str, object] | None:
    """Return a call's arguments; None if they are not a JSON object.

    No text at all is no arguments. Line breaks inside a string, which models often leave unescaped,
    are forgiven, and an object that was encoded up to three times more is decoded.
    """
    if not text:
        return {}
    try:
        value = load_json(text)
        for _ in range(_MOST_ENCODINGS):
            if not isinstance(value, str):
                break
            value = load_json(value)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def unwrap_json(text: str) -> str | None:
    """Return the JSON text that a JSON string holds, as parsed strings hold it; None if none."""
    for _ in range(_MOST_ENCODINGS):
        try:
            value = load_json(text)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, str):
            return None
        text = value.strip()
        if not text.startswith('"'):
            return text
    return None


@dataclass(frozen=True, slots=True)
class CallMarker:
    """One way in which a call begins."""

    words: tuple[str, ...]  # texts that follow each other, with any white space between them
    where: Literal["anywhere", "line", "start"]  # "start": of the answer
    value: int  # which word begins the value; `len(words)` where the value follows them
    closer: str = ""  # what follows the value, or ""
    marked: bool = False  # whether it can mean nothing but a call, broken or not
    syntax: CallSyntax = JSON  # how the value is written
    # what a value that follows the words begins with; None for anything
    first: re.Pattern[str] | None = None

    def match(self, text: str, *, final: bool) -> tuple[int | None, bool]:
        """Return where the value begins if the text begins so, and whether it may still."""
        at = value = 0
        for index, word in enumerate(self.words):
            at = skip_space(text, at) if index else 0
            value = at if index == self.value else value
            if not text.startswith(word, at):
                return None, word.startswith(text[at:])
            at += len(word)
        if self.value < len(self.words):
            return value, True
        value = skip_space(text, at)
        if value == len(text):
            return (value, True) if final and self.first is None else (None, not final)
        fits = self.first is None or self.first.match(text, value) is not None
        return (value, True) if fits else (None, False)


UNMARKED_JSON = (CallMarker(("{", '"'), "start", 0), CallMarker(("[", "{"), "start", 0))
"""All that a decoder constrained to calls can write."""

_MOST_SPACE = 100


def skip_space(text: str, at: int) -> int:
    """Return where the white space ends that begins here, 100 characters of it at most."""
    end = min(len(text), at + _MOST_SPACE)
    while at < end and text[at].isspace():
        at += 1
    return at
