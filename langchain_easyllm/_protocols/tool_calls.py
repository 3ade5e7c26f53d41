"""Tool calls as servers send them, brought into one form.

Seen on real servers: every call with the id "0" (TGI), or none; `arguments` as an object (TGI 2)
or a string; a call outside a list, its name inside the arguments (TGI 2); id and name repeated in
each chunk (llama-cpp-python); every call at index 0, or none; a call in one chunk; pseudo-tools
that say that no tool fits (TGI); a call cut by `max_tokens` and reported as complete; a new id in
each chunk; a name in two chunks, or once more in the last one; the arguments once more as a whole,
or `{}` before them; special tokens behind a name.

What a streamed fragment belongs to is decided by this evidence, the strongest first:

1. Another index is another call. Without an index, a known id is that id's call, and a new id
   beside a name is another call; all else concerns the last call.
2. A fragment that names no tool begins no call, whatever its id. Neither does one with the id of
   the call, unless that is a mere counter.
3. Before the arguments, a name goes on: as the same name, or as the rest of the name of an offered
   tool. If both are names of tools and the ids differ, they are two calls.
4. While the arguments are open, the same name is the same call and another name is another one.
5. Behind whole arguments another name is another call, and so is the same name with arguments if
   the ids differ, if both stand in one event, or if there is no index.
6. Behind whole arguments the same name at the same index is another call only if other arguments
   follow: none are a repetition, the same ones and `{}` too. `{}` before all others is no arguments
   until the end shows that none follow.

Hence the calls of a tool with the same arguments are two only with ids of their own, in one event,
or without an index.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import uuid4

from .._tool_formats.call_syntax import clean_name, parse_arguments
from .._tool_formats.json_schema import as_mapping
from .events import ToolCallDelta
from .tool_arguments import ArgumentBuffer, settle_arguments


def merge_calls(deltas: Iterable[ToolCallDelta]) -> tuple[ToolCallDelta, ...]:
    calls: dict[int, ToolCallDelta] = {}
    for delta in deltas:
        call = calls.setdefault(delta.index, ToolCallDelta(delta.index, delta.id, delta.name))
        call.arguments += delta.arguments
        call.error = delta.error or call.error
    return tuple(calls.values())


class _Fragment(NamedTuple):
    """What one event holds of a call."""

    position: object  # its `index`
    id: str
    name: str
    arguments: str
    parsed: bool  # whether the arguments came as an object, which needs no check


def _parse_fragment(fragment: Mapping[str, object]) -> _Fragment:
    function = as_mapping(fragment.get("function"))
    identity, name, arguments = fragment.get("id"), function.get("name"), function.get("arguments")
    position = fragment.get("index")
    if arguments is None:
        arguments = ""
    text = arguments if isinstance(arguments, str) else _dump(arguments)
    return _Fragment(
        position=position if isinstance(position, int | float | str) else None,
        id=str(identity) if isinstance(identity, str | int) else "",
        name=name if isinstance(name, str) else "",
        arguments=text,
        parsed=isinstance(arguments, dict) and text != "{",
    )


def _dump(arguments: object) -> str:
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except RecursionError:  # nested deeper than it can be written: a call that cannot be read
        return "{"


@dataclass(slots=True, eq=False)
class _Call:
    position: object
    index: int = -1  # among the calls of the answer, once it is sure to be one
    theirs: str = ""  # the server's id for it
    written: str = ""  # its name as it came
    name: str = ""
    arguments: ArgumentBuffer = field(default_factory=ArgumentBuffer)
    ready: list[str] = field(default_factory=list)  # arguments to hand on with the first delta
    whole: str | None = None  # all arguments, if they came in one piece
    named: bool = False  # whether it has its whole name
    shown: bool = False  # whether its first delta was handed on
    parsed: bool = False
    # The call before it, if it may turn out to be a repetition of that one, ...
    repeats: _Call | None = None
    # ... and whether any arguments at all show that it is not.
    distinct: bool = False

    @property
    def text(self) -> str:
        return self.arguments.text if self.whole is None else self.whole

    @property
    def raw(self) -> str:
        return self.arguments.raw if self.whole is None else self.whole


# A server's own way to say that no tool fits, and where in it the answer may be.
_PSEUDO = frozenset({"no_tool", "notify_error"})
_SAID = ("content", "response", "error", "message")
# TGI numbers the calls of each answer anew.
_COUNTED = re.compile(r"\d{1,4}")


class ExpectedToolCalls(NamedTuple):
    """What is known of the tool calls that may come in an answer."""

    offered: tuple[str, ...] | None = None  # names of the tools; None if not known
    known_ids: frozenset[str] = frozenset()  # which a new call must not have
    single: bool = False  # whether one call only was allowed


class ToolCallReader:
    def __init__(
        self,
        expected: ExpectedToolCalls = ExpectedToolCalls(),  # noqa: B008 - it cannot change
        *,
        whole: bool = False,
    ) -> None:
        self._offered = expected.offered
        self._ids = set(expected.known_ids)
        self._single = expected.single
        self._whole = whole
        self._calls: list[_Call] = []
        self._at: dict[object, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._last: _Call | None = None
        self._waiting: deque[_Call] = deque()  # not handed on so far, in order
        self._undecided: list[_Call] = []  # which may repeat the call before them
        self.any = False  # whether there is a call at all, whether it can be run or not
        self.valid = False  # whether a call was found that can be run
        self.cut = False  # whether a call ended in the middle of its arguments

    def feed(
        self, fragments: Iterable[Mapping[str, object]], *, whole: bool = False
    ) -> tuple[ToolCallDelta, ...]:
        """Take what one event holds of calls, in OpenAI's format; return what can be handed on.

        `whole`: each of them is a whole call, as all are in an answer that is not streamed.
        """
        deltas: list[ToolCallDelta] = []
        met: set[_Call] = set()
        for fragment in map(_parse_fragment, fragments):
            if whole or self._whole:
                self._take_whole(fragment, deltas)
            else:
                call = self._find(fragment, met)
                met.add(call)
                self._take(call, fragment, deltas)
        return tuple(deltas)

    def close(self, *, length: bool) -> tuple[tuple[ToolCallDelta, ...], str]:
        """Return the last deltas, and the text of answers in the form of calls.

        `length`: the server says that the answer was cut off.
        """
        for call in self._undecided:
            if call.text and not call.arguments.empty_object:  # cut off before it could tell
                self._add(call)
        deltas: list[ToolCallDelta] = []
        said: list[str] = []
        for call in self._calls:
            rest = "" if call.whole is not None else call.arguments.close()
            if not call.name:
                _unwrap(call)
            if self._is_pseudo(call):
                said.append(_said(call.text))
                continue
            if call.shown:
                delta = ToolCallDelta(call.index, arguments=rest) if rest else None
            else:
                delta = self._show(call, call.text)
            self.any = True
            error = self._judge(call, cut=length and call is self._calls[-1])
            if error is None:
                self.valid = True
            else:
                delta = delta or ToolCallDelta(call.index)
                delta.error, delta.unparseable_suffix = error, _unparseable_suffix(call.text)
            if delta:
                deltas.append(delta)
        return tuple(deltas), "".join(said)

    def _find(self, fragment: _Fragment, met: Collection[_Call]) -> _Call:
        """Return the call that a streamed fragment belongs to."""
        theirs, name, no_index = fragment.id, fragment.name, fragment.position is None
        call = self._at.get(fragment.position) if not no_index else self._last
        if no_index and theirs:
            call = self._by_id.get(theirs, None if name else call)
        if call is None:
            return self._begin(fragment)
        if not name or not call.written:
            return call
        if theirs and theirs == call.theirs and not _COUNTED.fullmatch(theirs):
            return call
        both = call in met
        another = both or bool(theirs and call.theirs and theirs != call.theirs)
        if not call.arguments.begun and not (no_index and both):
            goes_on = self._name_with(call, name, another=another) is not None
            return call if goes_on else self._begin(fragment)
        if self._clean(name) != call.name:
            return self._begin(fragment)
        if not call.arguments.complete:
            return call
        return self._behind(call, fragment, another=another)

    def _behind(self, call: _Call, fragment: _Fragment, *, another: bool) -> _Call:
        """Return what a fragment with the name of a call belongs to that has its arguments."""
        no_index = fragment.position is None
        if fragment.arguments.strip() and (another or no_index):
            return self._begin(fragment)
        if not another and not no_index and call.arguments.empty_object:
            return call
        return self._begin(fragment, repeats=call, distinct=another or no_index)

    def _name_with(self, call: _Call, name: str, *, another: bool) -> str | None:
        """Return a call's name with the next fragment of it; None if that names another call."""
        written = call.written
        joined, cleaned = written + name, self._clean(name)
        if cleaned == call.name:
            return written
        if self._offered is None:
            return None if another else joined
        if not (another and call.name in self._offered and cleaned in self._offered):
            for longer in (joined, name if name.startswith(written) else joined):
                known = self._clean(longer)
                if any(tool.startswith(known) for tool in self._offered):
                    return longer
        unknown = call.name not in self._offered and cleaned not in self._offered
        return joined if unknown and not another else None

    def _begin(
        self, fragment: _Fragment, *, repeats: _Call | None = None, distinct: bool = False
    ) -> _Call:
        call = _Call(fragment.position, theirs=fragment.id, repeats=repeats, distinct=distinct)
        before = self._last if call.position is None else self._at.get(call.position)
        if before is not None:
            before.named = bool(before.name)
        if repeats is None:
            self._add(call)
        else:
            self._undecided.append(call)
        self._place(call)
        return call

    def _add(self, call: _Call) -> None:
        call.index, call.repeats = len(self._calls), None
        self._calls.append(call)
        self._waiting.append(call)

    def _place(self, call: _Call) -> None:
        """Make a call the one that the next fragments belong to."""
        self._last = call
        if call.position is not None:
            self._at[call.position] = call
        if call.theirs:
            self._by_id[call.theirs] = call

    def _take(self, call: _Call, fragment: _Fragment, deltas: list[ToolCallDelta]) -> None:
        if fragment.id and not call.theirs:
            call.theirs = fragment.id
            self._by_id.setdefault(fragment.id, call)
        if fragment.name and not call.named and not call.arguments.begun:
            name = self._name_with(call, fragment.name, another=False) if call.written else None
            call.written = name or call.written or fragment.name
            call.name = self._clean(call.written)
        text = call.arguments.feed(fragment.arguments)
        if call.shown:
            if text:
                deltas.append(ToolCallDelta(call.index, arguments=text))
            return
        call.ready.append(text)
        call.named = call.named or self._is_named(call)
        if call.repeats is not None:
            self._decide(call, call.repeats)
        # The order of calls is that of their first deltas.
        while self._waiting and self._waiting[0].named:
            first = self._waiting.popleft()
            if not self._is_pseudo(first):
                deltas.append(self._show(first, "".join(first.ready)))

    def _take_whole(self, fragment: _Fragment, deltas: list[ToolCallDelta]) -> None:
        call = _Call(None, len(self._calls), fragment.id)
        self._calls.append(call)
        call.name = self._clean(fragment.name)
        call.parsed = fragment.parsed
        call.whole = fragment.arguments if call.parsed else settle_arguments(fragment.arguments)
        if call.name and not self._is_pseudo(call):
            deltas.append(self._show(call, call.whole))

    def _decide(self, call: _Call, before: _Call) -> None:
        """Find out whether a call is another one or the one before it once more."""
        arguments = call.arguments
        decided = arguments.complete and not arguments.empty_object
        if not arguments.begun or not (call.distinct or decided):
            return
        repeated = parse_arguments(call.text) == parse_arguments(before.text)
        self._undecided.remove(call)
        if repeated and not call.distinct:
            self._place(before)
        else:
            self._add(call)

    def _is_named(self, call: _Call) -> bool:
        """Whether a call has its whole name: the next fragment may hold the rest of it."""
        name = call.name
        if not name or call.arguments.begun:
            return bool(name)
        tools = self._offered or ()
        return name in tools and not any(tool != name and tool.startswith(name) for tool in tools)

    def _clean(self, name: str) -> str:
        return clean_name(name, self._offered or ())

    def _show(self, call: _Call, text: str) -> ToolCallDelta:
        call.shown = True
        identity = call.theirs
        if not identity or identity in self._ids or _COUNTED.fullmatch(identity):
            identity = _new_id()
        self._ids.add(identity)
        return ToolCallDelta(call.index, identity, call.name, text)

    def _is_pseudo(self, call: _Call) -> bool:
        return call.name in _PSEUDO and call.name not in (self._offered or ())

    def _judge(self, call: _Call, *, cut: bool) -> str | None:
        """Return why a call cannot be run, or None."""
        if not call.name:
            return "The call names no tool."
        if self._offered is not None and call.name not in self._offered:
            names = ", ".join(self._offered) or "none"
            return f"There is no tool {call.name!r}: the tools are {names}."
        text = call.text
        if (cut and not text) or not (call.parsed or parse_arguments(text) is not None):
            if not text or _is_unfinished(text):
                self.cut = True
                return "The call was cut off in the middle of its arguments: raise max_tokens."
            return "The arguments are not a JSON object."
        if self._single and call.index:
            return "One call only was allowed (parallel_tool_calls=False)."
        return None


def _new_id() -> str:
    """Return an id of nine letters and digits, which Mistral's templates insist on."""
    return "c" + uuid4().hex[:8]


_decode = json.JSONDecoder(strict=False).raw_decode


def _unwrap(call: _Call) -> None:
    """Read a call whose name is in its arguments: `{"function": {"_name": ..., ...}}`."""
    try:
        value, _ = _decode(call.raw.lstrip())
    except (ValueError, RecursionError):
        return
    function = value.get("function") if isinstance(value, dict) else None
    name = function.pop("_name", None) if isinstance(function, dict) else None
    if isinstance(name, str):
        call.name, call.whole = name, _dump(function)


def _said(arguments: str) -> str:
    found = parse_arguments(arguments)
    if found is None:
        return arguments
    said = next((found[key] for key in _SAID if isinstance(found.get(key), str)), None)
    return str(said) if said is not None else arguments if found else ""


def _open(text: str) -> tuple[str, bool, bool]:
    """Return what closes the open brackets of JSON, and whether a string and an escape are open."""
    closing: list[str] = []
    string, escaped = False, False
    for char in text:
        if string:
            string = char != '"' or escaped
            escaped = char == "\\" and not escaped
        elif char == '"':
            string = True
        elif char in "{[":
            closing.append("}" if char == "{" else "]")
        elif char in "}]" and closing:
            closing.pop()
    return "".join(closing), string, escaped


def _is_unfinished(text: str) -> bool:
    closing, string, _ = _open(text)
    return text.lstrip().startswith(("{", '"')) and bool(closing or string)


def _unparseable_suffix(text: str) -> str:
    """Return what no reader of partial JSON takes for its end.

    langchain-core completes arguments that were cut off by guessing, and knows no tool names:
    merged chunks would hold a call that must not be run. A bracket that closes nothing is the one
    thing that it gives up at.
    """
    closing, string, escaped = _open(text)
    return '"' * (string + escaped) + ("]" if closing.endswith("}") else "}")


# A report of TGI 3: why, and what the model had written, quoted.
_UNREAD = "Failed to parse generated text: "
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BEGUN = re.compile(r'\s*\{\s*"function"\s*:\s*\{\s*"_name"\s*:\s*"([^"\\]+)"\s*,?\s*')


def recover_truncated_tool_call(report: str) -> bytes | None:
    """Return the chat answer that TGI should have given in place of an error.

    It answers 422 where `max_tokens` cut a call off, and the call is in the report.
    """
    try:
        _, unread, said = json.loads(report)["error"].partition(_UNREAD)
        found = _QUOTED.match(said, said.find('"')) if unread and '"' in said else None
        written = json.loads(found[0]) if found else ""
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None
    begun = _BEGUN.match(written)
    if begun is None:
        return None
    function = {"name": begun[1], "arguments": "{" + written[begun.end() :]}
    message = {"role": "assistant", "content": None, "tool_calls": [{"function": function}]}
    return json.dumps({"choices": [{"message": message, "finish_reason": "length"}]}).encode()
