"""Whether a value fits a JSON schema, for the keywords with which types are described.

Format: JSON Schema, drafts 7 and 2020-12. Keywords that are not here (`format`, `if`,
`patternProperties`, ...) are not checked, as validators do with those that they do not know; nor is
a `pattern` that Python cannot compile.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import cast

from .._tool_formats.json_schema import resolve_ref
from ..errors import ConfigurationError

Schema = Mapping[str, object]
_MAX_DEPTH = 100


def problem_of(value: object, schema: Schema) -> str | None:
    """Return the first way in which a value does not fit a schema; None if it fits."""
    return next(_Checker(schema).check(value, schema, "", 0), None)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Mapping[str, Callable[[object], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": _is_number,
    "integer": lambda value: _is_number(value) and cast("float", value) % 1 == 0,
}


# What types are called elsewhere. JSON Schema has no name for any value: it leaves the type out.
_NEAREST = {
    "str": "string",
    "text": "string",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "decimal": "number",
    "dict": "object",
    "map": "object",
    "list": "array",
    "tuple": "array",
    "set": "array",
    "none": "null",
    "nil": "null",
}

# Keywords that hold schemas by their names, and those that hold one or a list of them.
_NAMED = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_PARTS = {"items", "prefixItems", "additionalItems", "contains", "unevaluatedItems"}
_PARTS |= {"additionalProperties", "propertyNames", "unevaluatedProperties"}
_PARTS |= {"allOf", "anyOf", "oneOf", "not", "if", "then", "else"}


def check_types(schema: Schema) -> None:
    """Refuse a schema that names a type which JSON Schema does not have."""
    seen: set[int] = set()
    left: list[tuple[str, object]] = [("", schema)]
    while left:
        at, part = left.pop()
        if not isinstance(part, Mapping) or id(part) in seen:
            continue
        seen.add(id(part))
        if "type" in part:
            _check_type(part["type"], at)
        if isinstance(ref := part.get("$ref"), str):
            left.append((ref, resolve_ref(ref, schema)))
        for keyword, inner in part.items():
            if keyword in _NAMED and isinstance(inner, Mapping):
                left += [(_join(at, f"{keyword}.{name}"), one) for name, one in inner.items()]
            elif keyword in _PARTS:
                parts = inner if isinstance(inner, list) else [inner]
                left += [(_join(at, keyword), one) for one in parts]


def _check_type(kind: object, at: str) -> None:
    kinds = kind if isinstance(kind, list) else [kind]
    wrong = [one for one in kinds if not isinstance(one, str) or one not in _TYPES]
    if kinds and not wrong:
        return
    name = wrong[0] if wrong else kind
    where = f" at {at}" if at else ""
    word = name.lower() if isinstance(name, str) else "null" if name is None else ""
    near = _NEAREST.get(word) or next(iter(get_close_matches(word, _TYPES, n=1)), None)
    if word == "any" or not kinds:
        hint = "leave type out where any value fits"
    else:
        hint = f"did you mean {near!r}?" if near else f"it has {', '.join(map(repr, _TYPES))}"
    raise ConfigurationError(f"JSON Schema has no type {name!r} (in the schema{where}): {hint}.")


def _matches(value: object, pattern: object) -> bool:
    try:
        return bool(re.search(str(pattern), str(value)))
    except (re.error, OverflowError, RecursionError):  # ECMA's syntax is not Python's
        return True


def _size(value: object) -> int:
    return len(cast("str", value))


# Bounds: the type that each is about, and whether a value keeps within.
_BOUNDS: Mapping[str, tuple[str, Callable[[object, object], bool]]] = {
    "minimum": ("number", lambda value, bound: value >= bound),  # type: ignore[operator]
    "maximum": ("number", lambda value, bound: value <= bound),  # type: ignore[operator]
    "exclusiveMinimum": ("number", lambda value, bound: value > bound),  # type: ignore[operator]
    "exclusiveMaximum": ("number", lambda value, bound: value < bound),  # type: ignore[operator]
    "minLength": ("string", lambda value, bound: _size(value) >= cast("int", bound)),
    "maxLength": ("string", lambda value, bound: _size(value) <= cast("int", bound)),
    "pattern": ("string", _matches),
    "minItems": ("array", lambda value, bound: _size(value) >= cast("int", bound)),
    "maxItems": ("array", lambda value, bound: _size(value) <= cast("int", bound)),
}


def _same(one: object, other: object) -> bool:
    """Whether two values are one in JSON, where `true` is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return one == other


class _Checker:
    def __init__(self, root: Schema) -> None:
        self._root = root

    def check(self, value: object, schema: object, at: str, depth: int) -> Iterator[str]:
        if schema is False or depth > _MAX_DEPTH:
            yield f"{at or 'it'} should not be there"
        if not isinstance(schema, Mapping):
            return
        if isinstance(ref := schema.get("$ref"), str):
            yield from self.check(value, resolve_ref(ref, self._root), at, depth + 1)
        yield from _own(value, schema, at or "it")
        for part in cast("list[object]", schema.get("allOf") or ()):
            yield from self.check(value, part, at, depth + 1)
        for keyword, counted in (("anyOf", 1), ("oneOf", 2)):
            options = schema.get(keyword)
            if isinstance(options, list):
                fitting = (o for o in options if not any(self.check(value, o, "", depth + 1)))
                if len(list(islice(fitting, counted))) != 1:
                    yield f"{at or 'it'} fits none of its forms"
        if isinstance(value, dict):
            yield from self._check_object(value, schema, at, depth + 1)
        elif isinstance(value, list):
            yield from self._check_list(value, schema, at, depth + 1)

    def _check_object(
        self, value: dict[str, object], schema: Schema, at: str, depth: int
    ) -> Iterator[str]:
        properties = cast("Schema", schema.get("properties") or {})
        for name in cast("list[str]", schema.get("required") or ()):
            if name not in value:
                yield f"{_join(at, name)} is missing"
        other = schema.get("additionalProperties")
        if "patternProperties" in schema:
            other = None
        for name, item in value.items():
            if name in properties:
                yield from self.check(item, properties[name], _join(at, name), depth)
            elif other is not None:
                yield from self.check(item, other, _join(at, name), depth)

    def _check_list(
        self, value: list[object], schema: Schema, at: str, depth: int
    ) -> Iterator[str]:
        given = schema.get("prefixItems")
        first: list[object] = given if isinstance(given, list) else []
        rest = schema.get("items")
        for number, item in enumerate(value):
            known = first[number] if number < len(first) else rest
            yield from self.check(item, known, f"{at}[{number}]", depth)


def _own(value: object, schema: Schema, at: str) -> Iterator[str]:
    """Yield what a schema's own keywords say against a value, without what is inside."""
    kind = schema.get("type", [])
    kinds = cast("list[str]", kind if isinstance(kind, list) else [kind])
    if kinds and not any(_TYPES[one](value) for one in kinds):
        yield f"{at} is not of type {' or '.join(map(str, kinds))}"
        return
    if "enum" in schema and not any(
        _same(value, one) for one in cast("list[object]", schema["enum"])
    ):
        yield f"{at} is none of {schema['enum']}"
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{at} is not {schema['const']!r}"
    for keyword, (about, keeps) in _BOUNDS.items():
        if keyword in schema and _TYPES[about](value) and not keeps(value, schema[keyword]):
            yield f"{at} breaks {keyword} {schema[keyword]!r}"


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name
