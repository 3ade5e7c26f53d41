"""Tool calls as servers send them, brought into one form.

Seen on real servers: every call with the id "0" (TGI), or none; `arguments` as an object (TGI 2)
or a string; a call outside a list, its name inside the arguments (TGI 2); id and name repeated in
each chunk (llama-cpp-python); every call at index 0, or none; a call in one chunk; pseudo-tools
that say that no tool fits (TGI); a call cut by `max_tokens` and reported as complete.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import uuid4

from .._tool_formats.call_syntax import parse_arguments
from .._tool_formats.json_schema import as_mapping
from .events import ToolCallDelta


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
    text = arguments if isinstance(arguments, str) else _dump(arguments)
    return _Fragment(
        position=fragment.get("index"),
        id=str(identity) if isinstance(identity, str | int) else "",
        name=name if isinstance(name, str) else "",
        arguments="" if text == "null" else text,
        parsed=isinstance(arguments, dict),
    )


def _dump(arguments: object) -> str:
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except RecursionError:  # nested deeper than it can be written: a call that cannot be read
        return "{"


@dataclass(slots=True)
class _Call:
    index: int
    theirs: str = ""  # the server's id for it
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    begun: bool = False  # whether there is any text of its arguments
    shown: bool = False  # whether its first delta was handed on
    parsed: bool = False

    @property
    def text(self) -> str:
        return "".join(self.arguments)


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
        self._at: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self.any = False  # whether there is a call at all, whether it can be run or not
        self.valid = False  # whether a call was found that can be run
        self.cut = False  # whether a call ended in the middle of its arguments

    def feed(self, fragments: Iterable[Mapping[str, object]]) -> tuple[ToolCallDelta, ...]:
        """Take what one event holds of calls, in OpenAI's format; return what can be handed on."""
        deltas = []
        met: set[int] = set()
        for fragment in map(_parse_fragment, fragments):
            call = self._begin(fragment) if self._whole else self._find(fragment, met)
            met.add(call.index)
            if delta := self._take(call, fragment):
                deltas.append(delta)
        return tuple(deltas)

    def close(self, *, length: bool) -> tuple[tuple[ToolCallDelta, ...], str]:
        """Return the last deltas, and the text of answers in the form of calls.

        `length`: the server says that the answer was cut off.
        """
        deltas: list[ToolCallDelta] = []
        said: list[str] = []
        for call in self._calls:
            if not call.name:
                _unwrap(call)
            if self._is_pseudo(call):
                said.append(_said(call.text))
                continue
            delta = None if call.shown else self._show(call, call.text)
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

    def _find(self, fragment: _Fragment, met: Collection[int]) -> _Call:
        """Return the call that a streamed fragment belongs to."""
        index, theirs, name = fragment.position, fragment.id, fragment.name
        call: _Call | None
        if isinstance(index, int):
            call = self._at.get(index)
        elif theirs:
            call = self._by_id.get(theirs)
        else:
            call = self._calls[-1] if self._calls and not name else None
        if call is None or (index is None and call.index in met):
            return self._begin(fragment)
        if theirs and call.theirs and theirs != call.theirs:
            return self._begin(fragment)
        if theirs and theirs == call.theirs and not _COUNTED.fullmatch(theirs):
            return call
        if name and call.name and (name != call.name or _is_whole(call.text)):
            return self._begin(fragment)
        return call

    def _begin(self, fragment: _Fragment) -> _Call:
        call = _Call(len(self._calls), fragment.id)
        self._calls.append(call)
        if isinstance(fragment.position, int):
            self._at[fragment.position] = call
        if fragment.id:
            self._by_id[fragment.id] = call
        return call

    def _take(self, call: _Call, fragment: _Fragment) -> ToolCallDelta | None:
        call.name = call.name or fragment.name
        if fragment.id and not call.theirs:
            call.theirs = fragment.id
            self._by_id.setdefault(fragment.id, call)
        text = fragment.arguments
        if not call.begun:
            text = text.lstrip()  # langchain-core takes white space for broken JSON
            call.begun = bool(text)
        call.parsed = not call.arguments and fragment.parsed
        call.arguments.append(text)
        if not call.name or self._is_pseudo(call):
            return None
        if not call.shown:
            return self._show(call, call.text)
        return ToolCallDelta(call.index, arguments=text) if text else None

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
        if not call.parsed and (_is_unfinished(call.text) or (cut and not call.text)):
            self.cut = True
            return "The call was cut off in the middle of its arguments: raise max_tokens."
        if not call.parsed and parse_arguments(call.text) is None:
            return "The arguments are not a JSON object."
        if self._single and call.index:
            return "One call only was allowed (parallel_tool_calls=False)."
        return None


def _new_id() -> str:
    """Return an id of nine letters and digits, which Mistral's templates insist on."""
    return "c" + uuid4().hex[:8]


def _is_whole(text: str) -> bool:
    return bool(text) and parse_arguments(text) is not None


_decode = json.JSONDecoder(strict=False).raw_decode


def _unwrap(call: _Call) -> None:
    """Read a call whose name is in its arguments: `{"function": {"_name": ..., ...}}`."""
    try:
        value, _ = _decode(call.text.lstrip())
    except (ValueError, RecursionError):
        return
    function = value.get("function") if isinstance(value, dict) else None
    name = function.pop("_name", None) if isinstance(function, dict) else None
    if isinstance(name, str):
        call.name = name
        call.arguments = [_dump(function)]


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
    return text.lstrip().startswith("{") and bool(closing or string)


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
