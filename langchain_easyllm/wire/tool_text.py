"""Tool calls that a model writes into its text, read while it streams."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import orjson

from .call_forms import (
    FENCES,
    FINAL_ACTION,
    LEADS,
    Candidate,
    Lead,
    Region,
    WrittenCall,
    guess_name,
)
from .events import Delta
from .toolcalls import parse_arguments

__all__ = ["Part", "ToolReader"]

Part = str | Delta
"""Text, or a delta that holds one call."""

_BETWEEN = " \t\r\n;,"  # what models put between calls
_MOST_SPACE = 1000  # characters before a call that are held back, and dropped with it


class ToolReader:
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
        self._leads = tuple([lead for name in conventions for lead in LEADS[name]])
        self._marks = _Marks(self._leads)
        self._offered = {str(f.get("name")): f for f in map(_function, tools)}
        self._prompted = prompted
        self._held = ""  # what is not decided yet
        self._last = "\n"  # the character before it
        self._candidate: Candidate | None = None
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
        self._candidate, self._gap = Candidate(leads, word), len(before) - size
        return self._show(size)

    def _leads_of(self, word: str, *, fresh: bool) -> list[Lead]:
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

    def _settle(self, region: Region) -> list[Part]:
        """Turn a region into calls, or into text."""
        text = self._held[self._gap : self._gap + region.size]
        self._candidate = None
        calls = self._accept(region, text)
        if not calls:
            return self._show_mark(self._gap + region.as_text, text[: region.as_text])
        self._held = self._held[self._gap + region.size :]
        self._last, self._after_call = "\n", True
        return calls

    def _accept(self, region: Region, text: str) -> list[Part]:
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

    def _arguments(self, call: WrittenCall, text: str) -> str:
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

    def __init__(self, leads: Sequence[Lead]) -> None:
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
    return max(len(text.rstrip()), len(text) - _MOST_SPACE)


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
