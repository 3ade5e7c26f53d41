"""Tools of a chat request: which there are, how one is forced, how a call is read.

The model calls a tool as `<tool_call>` text. TGI answers a call's arguments as a JSON string and
numbers every call "0"; a stream tells the name first, then the arguments bit by bit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import orjson

from .constraint import Constraint, ConstraintError
from .fields import BOOLEAN, OBJECT, STRING, Json, read_fields
from .refusals import Refusal
from .schemas import closed
from .wordings import CALL_END, CALL_START

__all__ = ["CallReader", "Called", "forced", "read_calls", "read_tools"]

_TOOL = {"type": STRING, "function": OBJECT}
_FUNCTION = {
    "name": STRING,
    "description": STRING,
    "parameters": OBJECT,
    "arguments": OBJECT,
    "strict": BOOLEAN,
}
_CHOICE = {"type": STRING, "function": OBJECT}
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_OPENING = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*')


@dataclass(frozen=True, slots=True)
class Called:
    """A tool call.

    Attributes:
        name: The tool.
        arguments: Its arguments, as JSON.
    """

    name: str
    arguments: str

    def to_json(self) -> dict[str, object]:
        """Return the call as a chat message has it."""
        function = {"name": self.name, "description": None, "arguments": self.arguments}
        return {"id": "0", "type": "function", "function": function}


def read_tools(tools: Sequence[Json]) -> list[dict[str, object]]:
    """Return name, description and parameters of each tool.

    Raises:
        Refusal: For a tool that is no function, or a field that is unknown or mistyped.
    """
    found = []
    for index, tool in enumerate(tools):
        where = f"tools[{index}]."
        fields = read_fields(tool, _TOOL, required=("type", "function"), where=where)
        if fields["type"] != "function":
            raise _refused(f"`{where}type` must be function")
        where += "function."
        function = read_fields(cast("Json", fields["function"]), _FUNCTION, ("name",), where)
        parameters = function.get("parameters", function.get("arguments", {}))
        found.append(
            {
                "name": function["name"],
                "description": function.get("description"),
                "parameters": parameters,
            }
        )
    return found


def forced(choice: object, tools: Sequence[Json]) -> tuple[list[Json], Constraint | None]:
    """Read a `tool_choice`.

    Args:
        choice: "auto", "none", "required", a tool's name, or `{"type": "function", "function":
            {"name": ...}}`; None for "auto".
        tools: What `read_tools` gave.

    Returns:
        The tools that the model is told of, and the constraint that forces a call.

    Raises:
        Refusal: For an unknown tool, or parameters that are no JSON schema that can be compiled.
    """
    if choice == "none":
        return [], None
    if choice in (None, "auto"):
        return list(tools), None
    allowed = list(tools)
    if choice != "required":
        name = _chosen(choice)
        allowed = [tool for tool in tools if tool["name"] == name]
        if not allowed:
            raise _refused(f"Tool with name {name} not found")
    if not allowed:
        raise _refused("tool_choice needs tools")
    return list(tools), _only(allowed)


def read_calls(text: str) -> list[Called]:
    """Return the calls of an answer; none if it is plain text or a call that cannot be read."""
    if not text.lstrip().startswith(CALL_START.strip()):
        return []
    calls = []
    for part in text.split(CALL_START.strip())[1:]:
        try:
            value = json.loads(part.partition(CALL_END.strip())[0])
            calls.append(Called(value["name"], json.dumps(value["arguments"], ensure_ascii=False)))
        except (KeyError, TypeError, ValueError):
            return []
    return calls


@dataclass
class _Braces:
    """Passes on the text of one JSON object and drops what stands around it."""

    depth: int = 0
    quoted: bool = False
    escaped: bool = False
    over: bool = False

    def push(self, text: str) -> str:
        if not self.depth:
            text = text.lstrip()
        for index, char in enumerate(text):
            if self.over:
                return text[:index]
            self._step(char)
        return text

    def _step(self, char: str) -> None:
        if self.escaped:
            self.escaped = False
        elif self.quoted:
            self.escaped = char == "\\"
            self.quoted = char != '"'
        elif char == '"':
            self.quoted = True
        elif char in "{[":
            self.depth += 1
        elif char in "}]":
            self.depth -= 1
            self.over = self.depth <= 0


@dataclass
class CallReader:
    """Reads an answer that may be a tool call, while it is written.

    Attributes:
        name: The tool's name once it is known and until the caller has taken it.
        plain: Whether the answer has turned out to be plain text.
        calling: Whether it has turned out to be a call.
    """

    name: str | None = None
    plain: bool = False
    calling: bool = False
    _held: str = ""
    _arguments: _Braces = field(default_factory=_Braces)

    def push(self, text: str) -> str:
        """Take a piece of the answer.

        Returns:
            What can be passed on: plain text, or a piece of the arguments.
        """
        if self.plain:
            return text
        if self.calling:
            return self._arguments.push(text)
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
        return self._arguments.push(held[opening.end() :])

    def rest(self) -> str:
        """Return what is still held back when the answer ends: it was no call after all."""
        return "" if self.calling or self.plain else self._held


def _chosen(choice: object) -> str:
    if isinstance(choice, str):
        return choice
    if not isinstance(choice, dict):
        raise _refused("tool_choice must be auto, none, required or a function")
    fields = read_fields(choice, _CHOICE, required=("function",), where="tool_choice.")
    where = "tool_choice.function."
    function = read_fields(cast("Json", fields["function"]), {"name": STRING}, ("name",), where)
    return cast("str", function["name"])


def _only(tools: Sequence[Json]) -> Constraint:
    """Hold an answer to a call of one of some tools."""
    definitions: dict[str, object] = {}
    calls = [_call_schema(tool, definitions) for tool in tools]
    schema = {"x-guidance": _SPACING, "anyOf": calls, "$defs": definitions}
    start, end = json.dumps(CALL_START), json.dumps(CALL_END)
    try:
        return Constraint.lark(f"start: {start} call {end}\ncall: %json {json.dumps(schema)}")
    except ConstraintError as error:
        raise _refused(f"the tools' parameters cannot be compiled: {error}") from error


def _call_schema(tool: Json, definitions: dict[str, object]) -> Json:
    """Return the schema of a tool's call, and move what it refers to into `definitions`."""
    given = cast("Json", closed(tool["parameters"]))
    parameters = {"type": "object", "additionalProperties": False, **given}
    definitions.update(cast("Json", parameters.pop("$defs", {})))
    return {
        "type": "object",
        "properties": {"name": {"const": tool["name"]}, "arguments": parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _refused(message: str) -> Refusal:
    return Refusal(f"Tool error: {message}", "tool_error")
