"""Constrained decoding: the shapes in which servers want a JSON schema or a regular expression.

OpenAI-style servers take the `response_format`
`{"type": "json_schema", "json_schema": {"name": ..., "schema": ...}}`. Text Generation Inference
takes `{"type": "json" | "regex", "value": ...}`, as `response_format` of a chat and as `grammar` of
`/generate`, and refuses the former.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ..errors import ConfigurationError
from .dialects import Dialect

__all__ = ["to_grammar", "to_json_schema", "to_response_format"]


def to_grammar(value: object) -> dict[str, object] | None:
    """Return a constraint in TGI's shape.

    Args:
        value: A constraint in TGI's or OpenAI's shape, or a plain JSON schema.

    Raises:
        ConfigurationError: If it is none of these.
    """
    kind, constraint = _read(value)
    return None if kind == "text" else {"type": kind, "value": constraint}


def to_json_schema(value: object, dialect: Dialect) -> object:
    """Return the JSON schema of a constraint, or None if it constrains nothing.

    Raises:
        ConfigurationError: If the constraint is not understood, or is no schema.
    """
    kind, constraint = _read(value)
    if kind == "regex":
        raise ConfigurationError(_no_regex(dialect))
    return constraint


def _no_regex(dialect: Dialect) -> str:
    return (
        f"A regex cannot be expressed on {dialect.value} (grammar, response_format): "
        "use a JSON schema, or the server's own key through model_kwargs."
    )


def to_response_format(value: object, dialect: Dialect) -> dict[str, object] | None:
    """Return a constraint as `response_format` in a server's own shape.

    Raises:
        ConfigurationError: If the constraint is not understood, or the server has no such kind.
    """
    if dialect is Dialect.TGI:
        return to_grammar(value)
    if dialect in (Dialect.OPENAI, Dialect.ROUTER) and _is_openai(value):
        return dict(value)  # type: ignore[call-overload, no-any-return]
    kind, constraint = _read(value)
    if kind == "text":
        return {"type": "text"}
    if kind == "regex":
        raise ConfigurationError(_no_regex(dialect))
    if constraint == _ANY_OBJECT:
        return {"type": "json_object"}
    if dialect is Dialect.LLAMA_CPP_PYTHON:
        return {"type": "json_object", "schema": constraint}
    if _names_schema(value):
        return dict(value)  # type: ignore[call-overload, no-any-return]
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": constraint}}


_ANY_OBJECT: dict[str, object] = {"type": "object"}
_SCHEMA_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_SCHEMA_WORDS = frozenset({"properties", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"})


def _is_openai(value: object) -> bool:
    if _names_schema(value):
        return True
    plain = isinstance(value, Mapping) and value.get("type") in ("text", "json_object")
    return plain and "value" not in cast("Mapping[str, object]", value)


def _names_schema(value: object) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("json_schema"), Mapping)


def _read(value: object) -> tuple[str, object]:
    """Return the kind (`json`, `regex`, `text`) and the schema or expression."""
    if not isinstance(value, Mapping):
        msg = (
            "response_format and grammar take a dict: a JSON schema, "
            "{'type': 'json', 'value': schema}, {'type': 'regex', 'value': '...'} or OpenAI's."
        )
        raise ConfigurationError(msg)
    kind = value.get("type")
    if kind == "text":
        return "text", None
    if kind == "regex" and isinstance(value.get("value"), str):
        return "regex", value["value"]
    schema = value.get("json_schema")
    if kind == "json_schema" and isinstance(schema, Mapping):
        return "json", schema.get("schema", _ANY_OBJECT)
    if kind in ("json", "json_object", "json_schema"):
        schema = value.get("value") or value.get("schema") or _ANY_OBJECT
        if kind == "json_schema" and isinstance(schema, Mapping):
            schema = schema.get("schema", schema)  # TGI's third form: a schema with a name
        return "json", schema
    if kind in _SCHEMA_TYPES or not _SCHEMA_WORDS.isdisjoint(value):
        return "json", dict(value)
    msg = f"response_format {kind!r} is not known: use 'json_schema', 'json_object' or 'regex'."
    raise ConfigurationError(msg)
