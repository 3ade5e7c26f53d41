"""Whether a value fits a JSON schema, for the keywords with which types are described.

Format: JSON Schema, drafts 7 and 2020-12. Keywords that are not here (`format`, `if`,
`patternProperties`, ...) are not checked, as validators do with those that they do not know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import cast

__all__ = ["problem_of"]


Schema = Mapping[str, object]
_MAX_DEPTH = 100


def problem_of(value: object, schema: Schema) -> str | None:
    """Return the first way in which a value does not fit a schema; None if it fits.

    Args:
        value: What `json.loads` makes of JSON.
        schema: The schema; what it refers to is looked up in it.
    """
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
    "pattern": ("string", lambda value, bound: bool(re.search(str(bound), str(value)))),
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
        """Yield what does not fit."""
        if schema is False or depth > _MAX_DEPTH:
            yield f"{at or 'it'} should not be there"
        if not isinstance(schema, Mapping):
            return
        if isinstance(place := schema.get("$ref"), str):
            yield from self.check(value, self._resolve(place), at, depth + 1)
        yield from _own(value, schema, at or "it")
        for part in cast("list[object]", schema.get("allOf") or ()):
            yield from self.check(value, part, at, depth + 1)
        for word, most in (("anyOf", None), ("oneOf", 1)):
            options = schema.get(word)
            if isinstance(options, list) and not self._fits_some(value, options, most, depth):
                yield f"{at or 'it'} fits none of its forms"
        if isinstance(value, dict):
            yield from self._check_object(value, schema, at, depth + 1)
        elif isinstance(value, list):
            yield from self._check_list(value, schema, at, depth + 1)

    def _fits_some(
        self, value: object, options: list[object], most: int | None, depth: int
    ) -> bool:
        fitting = (
            option
            for option in options
            if next(self.check(value, option, "", depth + 1), None) is None
        )
        count = len(list(islice(fitting, 2 if most else 1)))
        return count == 1

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
        first = cast("list[object]", schema.get("prefixItems") or ())
        rest = schema.get("items")
        for number, item in enumerate(value):
            known = first[number] if number < len(first) else rest
            yield from self.check(item, known, f"{at}[{number}]", depth)

    def _resolve(self, place: str) -> object:
        found: object = self._root
        for part in filter(None, place.removeprefix("#").split("/")):
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        return found


def _own(value: object, schema: Schema, at: str) -> Iterator[str]:
    """Yield what a schema's own words say against a value, without what is inside."""
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind] * bool(kind)
    if kinds and not any(_TYPES.get(str(one), bool)(value) for one in kinds):
        yield f"{at} is no {' or '.join(map(str, kinds))}"
        return
    if "enum" in schema and not any(
        _same(value, one) for one in cast("list[object]", schema["enum"])
    ):
        yield f"{at} is none of {schema['enum']}"
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{at} is not {schema['const']!r}"
    for word, (about, keeps) in _BOUNDS.items():
        if word in schema and _TYPES[about](value) and not keeps(value, schema[word]):
            yield f"{at} breaks {word} {schema[word]!r}"


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name
