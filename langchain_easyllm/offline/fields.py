"""Reading a request's JSON by tables of fields; errors name the field."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import cast

import orjson

from .responses import HTTPError, invalid

__all__ = [
    "ANY",
    "BOOLEAN",
    "COUNT",
    "INTEGER",
    "NUMBER",
    "OBJECT",
    "SEED",
    "STRING",
    "STRINGS",
    "Json",
    "Kind",
    "list_of",
    "one_of",
    "parse_body",
    "read_fields",
]

Json = Mapping[str, object]
"""A JSON object."""


@dataclass(frozen=True)
class Kind:
    """The type of a field; its description follows "must be"."""

    description: str
    holds: Callable[[object], bool]


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_between(value: object, low: int, high: int) -> bool:
    return _is_integer(value) and low <= cast("int", value) < high


STRING = Kind("a string", lambda value: isinstance(value, str))
BOOLEAN = Kind("true or false", lambda value: isinstance(value, bool))
INTEGER = Kind("an integer", _is_integer)
COUNT = Kind("an integer that is not negative", lambda value: _is_between(value, 0, 2**32))
SEED = Kind("an integer from 0 to 2**64 - 1", lambda value: _is_between(value, 0, 2**64))
NUMBER = Kind("a number", lambda value: _is_integer(value) or isinstance(value, float))
OBJECT = Kind("an object", lambda value: isinstance(value, Mapping))
ANY = Kind("anything", lambda _: True)


def list_of(kind: Kind, description: str) -> Kind:
    """Return the kind of a list of items of one kind."""
    return Kind(description, lambda value: isinstance(value, list) and all(map(kind.holds, value)))


def one_of(*values: str) -> Kind:
    """Return the kind of some strings."""
    return Kind("one of " + ", ".join(f'"{value}"' for value in values), values.__contains__)


STRINGS = list_of(STRING, "a list of strings")


def parse_body(content_type: str, body: bytes) -> dict[str, object]:
    """Parse a request's body; errors are those of the HTTP library that TGI and TEI use."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise HTTPError("Expected request with `Content-Type: application/json`", "", 415)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HTTPError(f"Failed to parse the request body as JSON: {error}", "", 400) from error
    if not isinstance(value, dict):
        raise invalid("the body must be an object")
    return value


def read_fields(
    value: Json, known: Mapping[str, Kind], required: Iterable[str] = (), where: str = ""
) -> dict[str, object]:
    """Check an object's fields and return those that are set (null means unset).

    `where` is the object's path in the request, such as `"parameters."`.
    """
    for name in value:
        if name not in known:
            raise invalid(f"unknown field `{where}{name}`{_nearest(name, known)}")
    found = {name: item for name, item in value.items() if item is not None}
    for name in required:
        if name not in found:
            raise invalid(f"missing field `{where}{name}`")
    for name, item in found.items():
        if not known[name].holds(item):
            raise invalid(f"`{where}{name}` must be {known[name].description}")
    return found


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f", did you mean `{near[0]}`?" if near else ""
