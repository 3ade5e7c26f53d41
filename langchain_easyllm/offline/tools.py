"""Tools of a chat request: reading and forcing them, and reading calls.

The model calls a tool as `<tool_call>` text. TGI answers a call's arguments as a JSON string and
numbers every call "0"; a stream has the name first, then the arguments in parts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import orjson

from .._llguidance import SPACING, close_schema
from .._tool_formats.base import OfferedTools, call_schema
from .._tool_formats.call_syntax import JsonScan
from .bodies import BOOLEAN, OBJECT, STRING, HTTPError, Json, read_fields
from .constraint import Constraint, ConstraintError
from .wordings import CALL_END, CALL_START

_TOOL = {"type": STRING, "function": OBJECT}
_FUNCTION = {
    "name": STRING,
    "description": STRING,
    "parameters": OBJECT,
    "arguments": OBJECT,
    "strict": BOOLEAN,
}
_CHOICE = {"type": STRING, "function": OBJECT}
_DECODER = json.JSONDecoder()
_OPENING = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*')


def read_tools(tools: Sequence[Json]) -> list[Json]:
    """Return tools in OpenAI's format, each with parameters that describe an object."""
    found: list[Json] = []
    for index, tool in enumerate(tools):
        where = f"tools[{index}]."
        fields = read_fields(tool, _TOOL, required=("type", "function"), where=where)
        if fields["type"] != "function":
            raise _refused(f"`{where}type` must be function")
        where += "function."
        function = read_fields(cast("Json", fields["function"]), _FUNCTION, ("name",), where)
        given = function.pop("arguments", {})  # TGI's own name for them
        parameters = {"type": "object", **cast("Json", function.setdefault("parameters", given))}
        parameters.setdefault("properties", {})
        found.append({"type": "function", "function": {**function, "parameters": parameters}})
    return found


def forced(choice: object, tools: Sequence[Json]) -> tuple[Sequence[Json], Constraint | None]:
    """Return the tools that a `tool_choice` shows to the model, and the constraint of its answer.

    The choice is "auto", "none", "required", a tool's name, or `{"type": "function", "function":
    {"name": ...}}`; None for "auto".
    """
    if choice == "none":
        return (), None
    if choice in (None, "auto"):
        return tools, _call_of(OfferedTools(tuple(tools)), text=True)
    use = OfferedTools(tuple(tools), required=True, only=_chosen(choice))
    if not use.callable:
        raise _refused(f"Tool with name {use.only} not found")
    return tools, _call_of(use)


def read_calls(text: str) -> list[dict[str, object]]:
    """Return the calls of an answer; none if it is plain text or a call that is not valid."""
    start, end = CALL_START.strip(), CALL_END.strip()
    calls: list[dict[str, object]] = []
    rest = text.lstrip()
    while rest.startswith(start):
        rest = rest.removeprefix(start).lstrip()
        try:
            value, length = _DECODER.raw_decode(rest)  # the markers may stand in its strings
            arguments = json.dumps(value["arguments"], ensure_ascii=False)
            function = {"name": value["name"], "description": None, "arguments": arguments}
        except (KeyError, TypeError, ValueError):
            return []
        calls.append({"id": "0", "type": "function", "function": function})
        rest = rest[length:].lstrip()
        if not (rest.startswith(end) or end.startswith(rest)):
            return []
        rest = rest.removeprefix(end)
        rest = rest[rest.find(start) :] if start in rest else ""
    return calls


_BETWEEN = re.compile(rf"\s*}}\s*{CALL_END.strip()}\s*{CALL_START.strip()}{_OPENING.pattern}")


@dataclass
class CallReader:
    """Reads an answer that may be tool calls, while it is generated."""

    name: str | None = None  # the tool's, until the caller takes it
    index: int = 0  # of the call that is read
    plain: bool = False  # it is known to be plain text
    calling: bool = False  # it is known to be a call
    _held: str = ""
    _arguments: str = ""
    _scan: JsonScan = field(default_factory=lambda: JsonScan(0))

    def push(self, text: str) -> str:
        """Add text; return plain text, or a part of the arguments."""
        if self.plain:
            return text
        if self.calling:
            return self._argument_text(text)
        self._held += text
        start, held = CALL_START.strip(), self._held.lstrip()
        if not held.startswith(start):
            if start.startswith(held):
                return ""
            self.plain = True
            return self._held
        opening = _OPENING.match(held, len(start))
        if opening is None:
            return ""
        self.calling = True
        self.name = cast("str", orjson.loads(opening[1]))
        return self._argument_text(held[opening.end() :])

    def _argument_text(self, text: str) -> str:
        """Take text behind the name, and return what of it belongs to the arguments."""
        start = len(self._arguments)
        self._arguments += text if start else text.lstrip()
        self._scan.scan(self._arguments)
        end = self._scan.end
        following = None if end is None else _BETWEEN.match(self._arguments, end)
        if following is None:
            return self._arguments[start:end]
        # No token is so long that it ends the arguments before as well.
        self.index += 1
        self.name = cast("str", orjson.loads(following[1]))
        text = self._arguments[following.end() :]
        self._arguments, self._scan = "", JsonScan(0)
        return self._argument_text(text)

    def rest(self) -> str:
        """Return the text held back until the end of an answer that is not a call."""
        return "" if self.calling or self.plain else self._held


def _chosen(choice: object) -> str | None:
    if isinstance(choice, str):
        return None if choice == "required" else choice
    if not isinstance(choice, dict):
        raise _refused("tool_choice must be auto, none, required or a function")
    fields = read_fields(choice, _CHOICE, required=("function",), where="tool_choice.")
    where = "tool_choice.function."
    function = read_fields(cast("Json", fields["function"]), {"name": STRING}, ("name",), where)
    return cast("str", function["name"])


_TEXT = r"/[^<](.|\n)*/"
"""An answer that is not a call. The bundled model begins nothing else with a bracket."""


def _call_of(use: OfferedTools, *, text: bool = False) -> Constraint:
    """Constrain an answer to calls of some tools, or with `text`, to calls or plain text."""
    schema = cast("Json", close_schema(call_schema(use, "name", "arguments")))
    start, end = json.dumps(CALL_START), json.dumps(CALL_END)
    call = json.dumps({"x-guidance": SPACING, **schema})
    try:
        if text:
            whole = f"start: one (/\\n*/ one)* | TEXT\nTEXT: {_TEXT}\none: {start} call {end}"
        else:
            whole = f"start: {start} call {end}"
        return Constraint.lark(f"{whole}\ncall: %json {call}")
    except ConstraintError as error:
        raise _refused(f"the tools' parameters cannot be compiled: {error}") from error


def _refused(message: str) -> HTTPError:
    return HTTPError(f"Tool error: {message}", "tool_error")
