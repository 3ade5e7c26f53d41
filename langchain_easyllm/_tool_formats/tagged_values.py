"""Calls whose arguments stand in tags as plain values, typed by the tool's schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .call_syntax import (
    CallSyntax,
    ParsedCalls,
    ParsedToolCall,
    Tool,
    ValueScan,
    parse_arguments,
)
from .json_schema import as_mapping, resolve_ref
from .lenient_json import load_json

_LONGEST_TAG = 500
_WINDOW = 120  # characters after the end of an argument that are searched


@dataclass(frozen=True, slots=True)
class TaggedSyntax(CallSyntax):
    """A name, and a tag for each argument, or a JSON object in place of them."""

    head: re.Pattern[str]  # how a call begins; its group is the name of the tool
    tag: re.Pattern[str]  # begins an argument, with its name as group, or ends the call
    value_end: str  # ends an argument
    outer_end: str  # ends a call as well, and is no part of it
    # Only before one of these does the end of an argument end it: a value may speak of the tags.
    after: tuple[str, ...]
    own_lines: bool = False  # whether a line break at each end of a value is none of it

    def scan(self, _: str, start: int, __: str, /) -> ValueScan:
        return _TagScan(self, start)

    def parse(self, value: str, tools: Mapping[str, Tool], /) -> ParsedCalls | None:
        head, scan = self.head.match(value), _TagScan(self, 0)
        scan.scan(f"{value}{self.outer_end}")  # at which it may have ended
        if head is None:
            return None
        name = head[1].strip()
        if not scan.arguments:
            read = parse_arguments(value[head.end() : scan.body_end].strip())
            return None if read is None else (ParsedToolCall(name, read),)
        schema = as_mapping(tools.get(name, {}).get("parameters"))
        properties, others = (
            as_mapping(schema.get("properties")),
            schema.get("additionalProperties"),
        )
        arguments = {
            key: _typed(self._value(value[slice(*span)]), properties.get(key, others), schema)
            for key, span in scan.arguments.items()
        }
        return (ParsedToolCall(name, arguments),)

    def find_name(self, text: str) -> str:
        head = self.head.search(text)
        return head[1].strip() if head else ""

    def _value(self, text: str) -> str:
        return text.removeprefix("\n").removesuffix("\n") if self.own_lines else text


class _TagScan:
    def __init__(self, syntax: TaggedSyntax, start: int) -> None:
        self._syntax = syntax
        self._at = start
        self._name: str | None = None  # of the argument that is open
        self._value = start
        self.arguments: dict[str, tuple[int, int]] = {}  # where each value begins and ends
        self.body_end = start
        self.end: int | None = None
        self.whole = False

    def scan(self, text: str) -> None:
        going = True
        while going and self.end is None:
            going = self._between(text) if self._name is None else self._in_value(text)

    def _between(self, text: str) -> bool:
        """Go on to the next tag; whether the text was long enough."""
        tag = self._syntax.tag.search(text, self._at)
        if tag is None:
            begun = text.find("<", max(self._at, len(text) - _LONGEST_TAG))
            self._at = begun if begun >= 0 else len(text)
            return False
        if tag[1]:
            self._name, self._at, self._value = tag[1].strip(), tag.end(), tag.end()
        else:
            self.body_end, self.whole = tag.start(), True
            self.end = tag.start() if tag[0] == self._syntax.outer_end else tag.end()
        return True

    def _in_value(self, text: str) -> bool:
        """Go on to the end of the open argument; whether the text was long enough."""
        end, tags = self._syntax.value_end, self._syntax.after
        at = text.find(end, self._at)
        if at < 0:
            self._at = max(self._at, len(text) - len(end) + 1)
            return False
        after = at + len(end)
        rest = text[after : after + _WINDOW].lstrip()
        if any(rest.startswith(tag) for tag in tags):
            self.arguments[self._name or ""] = (self._value, at)
            self._name, self._at = None, after
            return True
        undecided = len(text) - after < _WINDOW and any(tag.startswith(rest) for tag in tags)
        self._at = at if undecided else after
        return not undecided


def _typed(text: str, schema: object, root: Mapping[str, object]) -> object:
    """Return the value that a text stands for: the text where no other type of the schema fits."""
    kinds: list[object] = []
    constants: list[object] = []
    for each in _alternatives(schema, root, set()):
        kind, values = each.get("type"), each.get("enum")
        kinds += kind if isinstance(kind, list) else [kind]
        constants += values if isinstance(values, list) else []
        constants += [each["const"]] if "const" in each else []
    if text in constants:
        return text
    try:
        value = load_json(_PYTHON.get(text.strip(), text))
    except (ValueError, RecursionError):
        return text
    integral = isinstance(value, float) and value.is_integer()
    kind = "integer" if integral else _KINDS.get(type(value))  # a string stays the text that it is
    fits = kind in kinds or (kind == "integer" and "number" in kinds) or value in constants
    return value if kind and fits else text


_PYTHON = {"True": "true", "False": "false", "None": "null"}
_KINDS = {
    dict: "object",
    list: "array",
    bool: "boolean",
    type(None): "null",
    int: "integer",
    float: "number",
}


def _alternatives(
    schema: object, root: Mapping[str, object], seen: set[str]
) -> Iterator[Mapping[str, object]]:
    """Yield a schema and those that it refers to or is made of, each reference once."""
    known = as_mapping(schema)
    yield known
    ref = known.get("$ref")
    if isinstance(ref, str) and ref not in seen:
        seen.add(ref)
        yield from _alternatives(resolve_ref(ref, root), root, seen)
    for key in ("anyOf", "oneOf", "allOf"):
        options = known.get(key)
        for option in options if isinstance(options, list) else ():
            yield from _alternatives(option, root, seen)
