"""Tool calls that a model writes into its text, read while it streams."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from .call_syntax import (
    FENCES,
    UNMARKED_JSON,
    CallMarker,
    ParsedToolCall,
    Part,
    Tool,
    ValueScan,
    clean_name,
    function_of,
    parse_arguments,
    properties_of,
    skip_space,
)
from .json_schema import as_mapping

if TYPE_CHECKING:
    from .base import ToolCallFormat  # with the prompts, which load when used


@dataclass(frozen=True, slots=True)
class TextTools:
    """How an answer's text may hold tool calls, in one of some formats."""

    formats: tuple[ToolCallFormat, ...]
    tools: tuple[Tool, ...]
    # whether the prompt requests calls in this format: what is marked as a call is then one, if
    # only an invalid one, whatever it holds. Otherwise it stays text unless it names a tool that is
    # offered
    prompted: bool = False
    prefill: str = ""  # what the prompt begins the answer with
    stops: tuple[str, ...] = ()  # after which nothing is a call
    unmarked_json: bool = False  # whether JSON alone is a call: decoding is constrained


@dataclass(frozen=True, slots=True)
class Match:
    """A stretch of text that begins as a call does."""

    size: int
    as_text: int  # how many characters of it are text, if it is no call
    marker: CallMarker | None = None
    value: str | None = None  # None where it is broken


class PartialMatch:
    """Text that begins as a call does, by a word of several markers, while it arrives."""

    def __init__(self, markers: Sequence[CallMarker], word: str) -> None:
        self._markers = tuple(markers)
        self._word = word
        self._marker: CallMarker | None = None
        self._value = 0
        self._searched = 0  # up to where there is no closer
        self._scan: ValueScan | None = None

    def read(self, text: str, *, final: bool) -> Match | None:
        """Return what the text, all of it so far, turned out to be; None while that is open."""
        if self._marker is None:
            self._follow(text, final=final)
        marker = self._marker
        if marker is None:
            undecided = self._markers and not final
            return None if undecided else Match(len(self._word), len(self._word))
        value_end = self._end_of_value(text, marker.closer, final=final)
        if value_end is None:
            return None
        end = _after_closer(text, value_end, marker.closer, final=final)
        if end is None:
            return None
        whole = self._scan is not None and self._scan.whole
        value = text[self._value : value_end] if whole else None
        return Match(end, self._text_size(text, end), marker, value)

    def _follow(self, text: str, *, final: bool) -> None:
        """Follow the beginning up to the value; the first marker that fits is the one."""
        possible: list[CallMarker] = []
        for marker in self._markers:
            value, may_match = marker.match(text, final=final)
            if value is not None and (final or not possible):
                self._marker, self._value = marker, value
                self._scan = marker.syntax.scan(text, value, marker.closer)
                return
            if value is not None or may_match:
                possible.append(marker)
        self._markers = tuple(possible)

    def _end_of_value(self, text: str, closer: str, *, final: bool) -> int | None:
        if self._scan is not None:
            self._scan.scan(text)
            if self._scan.end is not None or not final:
                return self._scan.end
        # What has another syntax, or was never closed, goes on to the closer.
        start = max(self._value, self._searched - len(closer))
        found = text.find(closer, start) if closer else -1
        self._searched = len(text)
        return found if found >= 0 else len(text) if final else None

    def _text_size(self, text: str, end: int) -> int:
        """Return how much is text if this is no call: a code fence in it counts as one then."""
        if self._word in FENCES:
            return len(self._word)
        fence = text.find(FENCES[0], 0, self._value)
        return end if fence < 0 else fence


def _after_closer(text: str, end: int, closer: str, *, final: bool) -> int | None:
    """Return where the closer ends that may follow a value; None while it may still come."""
    after = skip_space(text, end)
    if closer and text.startswith(closer, after):
        return after + len(closer)
    return None if closer and not final and closer.startswith(text[after:]) else end


_BETWEEN = " \t\r\n;,"  # what models put between calls
_PIECE = 4096  # characters that are looked at together, at least
_MAX_GAP = 1000  # characters before a call that are held back, and dropped with it


class StreamingToolCallParser:
    """Sets tool calls apart from the text around them.

    The result is the same however the text is split. Text before a call is passed on as soon as it
    cannot be the beginning of one; white space around calls is dropped; calls inside code fences
    or behind a backtick are text.
    """

    def __init__(self, spec: TextTools) -> None:
        unmarked = UNMARKED_JSON if spec.unmarked_json else ()
        markers = [*[m for form in spec.formats for m in form.markers], *unmarked]
        # What several formats share comes after what is their own, as it is less specific.
        self._markers = [*{id(m): m for m in reversed(markers)}.values()][::-1]
        self._marks = _Marks(self._markers)
        self._trailers = tuple({word: None for form in spec.formats for word in form.trailers})
        self._offered = {str(f.get("name")): f for f in map(function_of, spec.tools)}
        self._prompted = spec.prompted
        self._final_actions = {form.final_action for form in spec.formats if form.final_action}
        self._held = ""  # what is not decided yet
        self._last = "\n"  # the character before it
        self._candidate: PartialMatch | None = None
        self._gap = ""  # the white space that is held before the candidate
        self._fence = ""  # the code fence that is open
        self._fresh = True  # whether no text was passed on so far
        self._after_call = False
        self._push(spec.prefill)  # the text in it is ours
        readers = [form.new_answer_reader() for form in spec.formats if spec.prompted]
        self._answer = next(filter(None, readers), None)

    def feed(self, text: str) -> list[Part]:
        """Take the next text and return what is decided: text, reasoning, and calls."""
        parts = self._push(text)
        return parts if self._answer is None else self._answer.feed(parts)

    def close(self) -> list[Part]:
        """Return the rest, now that nothing more comes; a call that was cut off is invalid."""
        parts = self._decide(final=True)
        if not self._after_call or not self._only_ends(self._held.strip(_BETWEEN)):
            parts += self._show(len(self._held))
        return parts if self._answer is None else [*self._answer.feed(parts), *self._answer.close()]

    def _push(self, text: str) -> list[Part]:
        """Take text in pieces no shorter than what is held: what is left of one is copied often."""
        parts: list[Part] = []
        start = 0
        while start < len(text):
            end = start + max(_PIECE, len(self._held))
            # Appended to a name of its own, which Python does in place: a long call is not copied
            # for each chunk of it.
            held, self._held = self._held, ""
            held += text[start:end]
            self._held = held
            del held
            parts += self._decide(final=False)
            start = end
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
                match = self._candidate.read(self._held, final=final)
                if match is None:
                    break
                parts += self._settle(match)
        return parts

    def _read_text(self) -> list[Part]:
        """Pass text on up to what may begin a call, and over what opens or closes a code fence."""
        if self._after_call and self._in_trailers():
            return []
        mark = self._marks.find(self._held, self._last, self._fence, after_call=self._after_call)
        if mark is None:
            return self._show(self._marks.settled(self._held, self._last, self._fence))
        start, word = mark
        before = self._held[:start]
        quoted = word not in FENCES and (before[-1:] or self._last) == "`"
        fresh = self._fresh and not before.strip()
        markers = [] if self._fence or quoted else self._markers_of(word, fresh=fresh)
        if not markers:
            return self._show_mark(start + len(word), word)
        follows = self._after_call and not before.strip(_BETWEEN)
        size = 0 if follows else _without_space(before)
        self._candidate, self._gap = PartialMatch(markers, word), before[size:]
        shown = self._show(size)
        self._held = self._held[len(self._gap) :]
        return shown

    def _in_trailers(self) -> bool:
        """Drop what belongs to the calls behind them; whether the rest may yet, or begin a call."""
        held = self._held.lstrip(_BETWEEN)
        while trailer := next((t for t in self._trailers if held.startswith(t)), None):
            held = self._held = held[len(trailer) :].lstrip(_BETWEEN)
        begun = any(len(held) < len(t) and t.startswith(held) for t in self._trailers)
        return begun or self._marks.may_begin(held)

    def _only_ends(self, rest: str) -> bool:
        """Whether the rest of an answer that ends behind a call is nothing, or half a trailer."""
        begun = len(rest) > 2 and any(t.startswith(rest) for t in self._trailers)
        return begun or not rest

    def _markers_of(self, word: str, *, fresh: bool) -> list[CallMarker]:
        """Return the markers that begin with a word, one of which may be longer."""
        begun = [marker for marker in self._markers if marker.words[0].startswith(word)]
        return [marker for marker in begun if fresh or marker.where != "start"]

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
        if word in FENCES:
            self._fence = "" if self._fence else word
        return self._show(size)

    def _settle(self, match: Match) -> list[Part]:
        """Turn a match into calls, or into text."""
        text = self._held[: match.size]
        gap, self._gap = self._gap, ""
        self._candidate = None
        calls = [] if match.marker is None else self._accept(match, match.marker, text)
        if not calls:
            self._held = gap + self._held
            return self._show_mark(len(gap) + match.as_text, text[: match.as_text])
        self._held = self._held[match.size :]
        self._last, self._after_call = "\n", True
        return calls

    def _accept(self, match: Match, marker: CallMarker, text: str) -> list[Part]:
        """Return the calls of a match, if it is one that counts."""
        value, syntax, sure = match.value, marker.syntax, marker.marked and self._prompted
        parsed = None if value is None else syntax.parse(value, self._offered)
        calls = None if parsed is None else [self._named(call) for call in parsed]
        if calls is None:
            name = clean_name(syntax.find_name(text), self._offered)
            return [ParsedToolCall(name, text)] if sure or name in self._offered else []
        if not any(call.name in self._offered for call in calls):
            if not sure:
                return []
            if calls[0].name in self._final_actions:  # the answer, written as an action
                return [str(calls[0].arguments)]
            return [ParsedToolCall(calls[0].name, text)]
        return [ParsedToolCall(call.name, self._arguments(call, text)) for call in calls]

    def _named(self, call: ParsedToolCall) -> ParsedToolCall:
        return ParsedToolCall(clean_name(call.name, self._offered), call.arguments)

    def _arguments(self, call: ParsedToolCall, text: str) -> object:
        """Return a call's arguments as a dict, or its text where it cannot be called so."""
        tool = self._offered.get(call.name)
        if tool is None:
            return text
        key, value = _only_argument(tool), call.arguments
        read = parse_arguments(value) if isinstance(value, str) else None
        if read is not None and (key is None or key in read):
            value = read
        if not isinstance(value, Mapping):
            return text if key is None else {key: value}
        return value


class _Marks:
    """Finds what may begin a call, and code fences."""

    def __init__(self, markers: Sequence[CallMarker]) -> None:
        firsts = {marker.words[0]: marker.where for marker in markers}
        plain = {word: where for word, where in firsts.items() if not word.startswith(FENCES)}
        self._anywhere = [word for word, where in plain.items() if where == "anywhere"]
        self._line = [word for word, where in plain.items() if where != "anywhere"]
        line = _either([*self._line, *FENCES])
        anywhere = f"|({_either(self._anywhere)})" if self._anywhere else "|(?!)()"
        self._open = re.compile(f"^[ \\t]*({line}){anywhere}", re.MULTILINE)
        self._next = re.compile(f"[{_BETWEEN}]*({_either([*self._line, *self._anywhere])})")
        self._longest = max(map(len, self._anywhere), default=0)
        self._first = re.compile(_either({word[0] for word in self._anywhere}))
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
        if not fence:
            end = min(end, self._tail(text))
        return _without_space(text[:end])

    def _tail(self, text: str) -> int:
        """Return where at the end of a text a word begins that may be anywhere."""
        for match in self._first.finditer(text, max(0, len(text) - self._longest + 1)):
            rest = text[match.start() :]
            if any(word.startswith(rest) for word in self._anywhere):
                return match.start()
        return len(text)


def _without_space(text: str) -> int:
    return max(len(text.rstrip()), len(text) - _MAX_GAP)


def _either(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, words)) or "(?!)"


def _only_argument(tool: Mapping[str, object]) -> str | None:
    """Return the name of the one argument that a lone value can stand for."""
    required = as_mapping(tool.get("parameters")).get("required")
    one = isinstance(required, list) and len(required) == 1
    needed = cast("list[object]", required) if one else [*properties_of(tool)]
    return str(needed[0]) if len(needed) == 1 else None
