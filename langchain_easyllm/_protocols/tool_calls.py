"""Tool calls as servers send them, brought into one form.

Seen on real servers: every call with the id "0" (TGI), or none; `arguments` as an object (TGI 2)
or a string; a call as a bare object, its name inside the arguments (TGI 2); id and name repeated
in each chunk (llama-cpp-python); every call at index 0, or none; a call in one chunk; pseudo-tools
that say that no tool fits (TGI); a call cut by `max_tokens` and reported as complete.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, cast
from uuid import uuid4

from .._tool_formats.call_syntax import parse_arguments
from .events import ToolCallDelta

__all__ = [
    "ExpectedToolCalls",
    "ToolCallReader",
    "merge_calls",
    "parse_arguments",
    "recover_truncated_tool_call",
]


_Json = Mapping[str, object]


def merge_calls(pieces: Iterable[ToolCallDelta]) -> tuple[ToolCallDelta, ...]:
    """Put the pieces of an answer's calls together."""
    calls: dict[int, ToolCallDelta] = {}
    for piece in pieces:
        call = calls.setdefault(piece.index, ToolCallDelta(piece.index, piece.id, piece.name))
        call.arguments += piece.arguments
        call.error = piece.error or call.error
    return tuple(calls.values())


@dataclass(slots=True)
class _Call:
    """A call that is being read.

    Attributes:
        index: Which call of the answer it is.
        theirs: The server's id for it.
        name: The tool's name, "" while unknown.
        arguments: What came of the arguments.
        shown: Whether its first piece was handed on.
        parsed: Whether its arguments came as an object, which needs no check.
    """

    index: int
    theirs: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    shown: bool = False
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
    """What is known of the tool calls that may come in an answer.

    Attributes:
        offered: Names of the tools that were offered; None if that is not known.
        known_ids: Ids of the conversation so far, which a new call must not have.
        single: Whether one call only was allowed.
    """

    offered: tuple[str, ...] | None = None
    known_ids: frozenset[str] = frozenset()
    single: bool = False


class ToolCallReader:
    """Reads the tool calls of one answer.

    Args:
        expected: What is known of them.
        whole: Whether the answer comes in one piece.

    Attributes:
        any: Whether there is a call at all, whether it can be run or not.
        valid: Whether a call was found that can be run.
        cut: Whether a call ended in the middle of its arguments.
    """

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
        self.any = False
        self.valid = False
        self.cut = False

    def feed(self, fragments: Iterable[_Json]) -> list[ToolCallDelta]:
        """Take what one event holds of calls, in OpenAI's shape; return what can be handed on."""
        pieces = []
        met: set[int] = set()
        for fragment in fragments:
            call = self._begin(fragment) if self._whole else self._find(fragment, met)
            met.add(call.index)
            if piece := self._take(call, fragment):
                pieces.append(piece)
        return pieces

    def close(self, *, length: bool) -> tuple[list[ToolCallDelta], str]:
        """Return the last pieces and the text of answers that were dressed up as calls.

        Args:
            length: Whether the answer was cut off, as the server says.
        """
        pieces: list[ToolCallDelta] = []
        said: list[str] = []
        for call in self._calls:
            if not call.name:
                _unwrap(call)
            if self._is_pseudo(call):
                said.append(_said(call.text))
                continue
            piece = None if call.shown else self._show(call, call.text)
            self.any = True
            error = self._judge(call, cut=length and call is self._calls[-1])
            if error is None:
                self.valid = True
            else:
                piece = piece or ToolCallDelta(call.index)
                piece.error, piece.ending = error, _ending(call.text)
            if piece:
                pieces.append(piece)
        return pieces, "".join(said)

    def _find(self, fragment: _Json, met: Collection[int]) -> _Call:
        """Return the call that a streamed fragment belongs to."""
        index, theirs, name = fragment.get("index"), _id_of(fragment), _name_of(fragment)
        call: _Call | None
        if isinstance(index, int):
            call = self._at.get(index)
        elif theirs:
            call = next((c for c in reversed(self._calls) if c.theirs == theirs), None)
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

    def _begin(self, fragment: _Json) -> _Call:
        call = _Call(len(self._calls), _id_of(fragment))
        self._calls.append(call)
        index = fragment.get("index")
        if isinstance(index, int):
            self._at[index] = call
        return call

    def _take(self, call: _Call, fragment: _Json) -> ToolCallDelta | None:
        call.name = call.name or _name_of(fragment)
        call.theirs = call.theirs or _id_of(fragment)
        text = _arguments_of(fragment)
        if not any(call.arguments):
            text = text.lstrip()  # langchain-core takes white space for broken JSON
        call.parsed = not call.arguments and isinstance(_arguments_in(fragment), dict)
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
            return (
                f"There is no tool {call.name!r}: there are {', '.join(self._offered) or 'none'}."
            )
        if not call.parsed and (_is_unfinished(call.text) or (cut and not call.text)):
            self.cut = True
            return "The call was cut off in the middle of its arguments: raise max_tokens."
        if not call.parsed and parse_arguments(call.text) is None:
            return "The arguments are no JSON object."
        if self._single and call.index:
            return "One call only was allowed (parallel_tool_calls=False)."
        return None


def _new_id() -> str:
    """Return an id of nine letters and digits, which Mistral's templates insist on."""
    return "c" + uuid4().hex[:8]


def _function(fragment: _Json) -> _Json:
    function = fragment.get("function")
    return cast("_Json", function) if isinstance(function, Mapping) else {}


def _name_of(fragment: _Json) -> str:
    name = _function(fragment).get("name")
    return name if isinstance(name, str) else ""


def _id_of(fragment: _Json) -> str:
    identity = fragment.get("id")
    return str(identity) if isinstance(identity, str | int) else ""


def _arguments_in(fragment: _Json) -> object:
    return _function(fragment).get("arguments")


def _arguments_of(fragment: _Json) -> str:
    value = _arguments_in(fragment)
    if value is None or value == "null":
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_whole(text: str) -> bool:
    return bool(text) and parse_arguments(text) is not None


_decode = json.JSONDecoder(strict=False).raw_decode


def _unwrap(call: _Call) -> None:
    """Read a call whose name is in its arguments: `{"function": {"_name": ..., ...}}`."""
    try:
        value, _ = _decode(call.text.lstrip())
    except ValueError:
        return
    function = value.get("function") if isinstance(value, dict) else None
    name = function.pop("_name", None) if isinstance(function, dict) else None
    if isinstance(name, str):
        call.name = name
        call.arguments = [json.dumps(function, ensure_ascii=False)]


def _said(arguments: str) -> str:
    """Return what a pseudo-tool's arguments say."""
    found = parse_arguments(arguments)
    if found is None:
        return arguments
    said = next((found[key] for key in _SAID if isinstance(found.get(key), str)), None)
    return str(said) if said is not None else arguments if found else ""


def _open(text: str) -> tuple[str, bool, bool]:
    """Return what closes the open brackets of JSON, and whether a string and an escape are open."""
    closing, string, escaped = "", False, False
    for char in text:
        if string:
            string = char != '"' or escaped
            escaped = char == "\\" and not escaped
        elif char == '"':
            string = True
        elif char in "{[":
            closing += "}" if char == "{" else "]"
        elif char in "}]":
            closing = closing[:-1]
    return closing, string, escaped


def _is_unfinished(text: str) -> bool:
    closing, string, _ = _open(text)
    return text.lstrip().startswith("{") and bool(closing or string)


def _ending(text: str) -> str:
    """Return what no reader of partial JSON takes for its end.

    langchain-core completes arguments that were cut off by guessing, and knows no tool names:
    merged chunks would hold a call that must not be run. A bracket that closes nothing is the one
    thing that it gives up at.
    """
    closing, string, escaped = _open(text)
    return '"' * (string + escaped) + ("]" if closing.endswith("}") else "}")


# A report of TGI 3: why, and what the model had written, quoted.
_UNREAD = re.compile(r'Failed to parse generated text: .*?("(?:[^"\\]|\\.)*")', re.DOTALL)
_BEGUN = re.compile(r'\s*\{\s*"function"\s*:\s*\{\s*"_name"\s*:\s*"([^"\\]+)"\s*,?\s*')


def recover_truncated_tool_call(report: str) -> bytes | None:
    """Return the chat answer that TGI should have given in place of an error.

    It answers 422 where `max_tokens` cut a call off, and the call is in the report.

    Args:
        report: The error's body.

    Returns:
        An answer that holds the call as far as it went; None if the report is of something else.
    """
    try:
        words = json.loads(report)["error"]
        found = _UNREAD.search(words)
        written = json.loads(found[1]) if found else ""
    except (KeyError, TypeError, ValueError):
        return None
    begun = _BEGUN.match(written)
    if begun is None:
        return None
    function = {"name": begun[1], "arguments": "{" + written[begun.end() :]}
    message = {"role": "assistant", "content": None, "tool_calls": [{"function": function}]}
    return json.dumps({"choices": [{"message": message, "finish_reason": "length"}]}).encode()
