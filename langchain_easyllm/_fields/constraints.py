"""The constraint of an answer as a field: a class becomes its JSON schema, and all are checked."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from .._protocols.constraints import JSON_TYPES, read_constraint
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .._structured_output.schema import OutputSchema

# Schemas that calls repeat, as a bound one is, are checked once.
_REMEMBERED = 16


def constraint_dict(value: object) -> dict[str, Any] | None:
    """Return what `response_format` or `grammar` was given as a dict.

    A dict can be copied, pickled, traced and compared, whatever class it was made of.

    Raises:
        ConfigurationError: If no server can read it.
    """
    if value is None:
        return None
    if isinstance(value, type):
        return copy.deepcopy(_of_class(value))
    if isinstance(value, Mapping) and (made := _with_class(value)) is not None:
        return made
    constraint = read_constraint(value)
    if constraint.kind == "json":
        _check_schema(cast("Mapping[str, object]", constraint.value))
    return dict(constraint.given)


def _with_class(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a dict with the schema of the class that stands for it; None if none does."""
    if given.get("type", "json") not in JSON_TYPES:
        return None
    named = given.get("json_schema")
    holders = (given.get("value"), given.get("json"), given.get("schema"), named)
    kind = next((held for held in holders if isinstance(held, type)), None)
    if kind is not None:
        return copy.deepcopy(_of_class(kind))
    if not isinstance(named, Mapping) or not isinstance(named.get("schema"), type):
        return None
    made = copy.deepcopy(_of_class(named["schema"])["json_schema"])
    return {**given, "json_schema": {**made, **named, "schema": made["schema"]}}


def _check_schema(schema: Mapping[str, object]) -> None:
    # With a name, it would be a function's description.
    unnamed = {key: value for key, value in schema.items() if key != "name"}
    try:
        text = json.dumps(unnamed)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"The schema cannot be written as JSON: {error}") from error
    _check_text(text)


@lru_cache(maxsize=_REMEMBERED)
def _check_text(text: str) -> None:
    """Check a schema by its text: the caller may change a dict between two calls."""
    _output_schema(json.loads(text))


@lru_cache(maxsize=_REMEMBERED)
def _of_class(kind: type) -> dict[str, Any]:
    return _output_schema(kind).response_format()


def _output_schema(schema: type | Mapping[str, Any]) -> OutputSchema:
    from .._structured_output.schema import make_output_schema  # noqa: PLC0415 - seldom needed

    return make_output_schema(schema)
