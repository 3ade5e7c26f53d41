"""Constraints of an answer: a caller's in any server's format, and the same in one server's.

There are four kinds beside plain text: a JSON schema, a regular expression, a choice of texts and a
grammar. Where a server lacks one, another takes its place that allows the same answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias, cast

from .._nearest import nearest
from .._servers.profile import ApiProfile, ConstraintFormat, GenerationApi, ServerProfile
from ..errors import ConfigurationError

CONSTRAINT_FIELDS = frozenset({"response_format", "grammar"})
"""The two fields that hold a constraint; they mean the same."""

Kind: TypeAlias = Literal["text", "json", "regex", "choice", "ebnf"]


@dataclass(frozen=True, slots=True)
class OutputConstraint:
    kind: Kind
    value: object  # the schema, the regular expression, the choices or the grammar
    given: Mapping[str, object]  # as the caller wrote it


def to_constraint(
    params: Mapping[str, object], api: GenerationApi, server: ServerProfile
) -> dict[str, object]:
    """Return the keys and values of the constraints in `params` in a server's own format."""
    protocol = server.api(api)
    found: dict[str, object] = {}
    plain: dict[str, object] = {}
    for name, value in params.items():
        if value is None or name not in CONSTRAINT_FIELDS:
            continue
        constraint = read_constraint(value)
        keys = _keys_of(constraint, protocol.fields[name], protocol)
        if keys is None:
            raise ConfigurationError(
                f"{name} cannot be {_NOUNS[constraint.kind]} on the {api.value} api of this server "
                f"({server.name}): {_instead(protocol)}."
            )
        if constraint.kind == "text":
            plain = keys
        elif found not in ({}, keys):
            raise ConfigurationError(
                "response_format and grammar are one field, the constraint of the answer: set one "
                "of them."
            )
        else:
            found = keys
    return found or plain


def _keys_of(
    constraint: OutputConstraint, key: str, protocol: ApiProfile
) -> dict[str, object] | None:
    """Return the keys and values of one constraint; None if the protocol cannot express it."""
    wanted = protocol.constraint
    if wanted is ConstraintFormat.OPENAI_AS_GIVEN and _is_openais_or_own(constraint):
        return {key: dict(constraint.given)}
    if constraint.kind == "text" and wanted in _NO_WORD_FOR_TEXT:
        return {}
    if constraint.kind in ("text", "json") and wanted is not ConstraintFormat.NONE:
        return {key: _in_format(constraint, wanted)}
    for kind, text in _ways(constraint, protocol.expressions):
        return cast("dict[str, object]", _filled(protocol.expressions[kind], text))
    return None


_NO_WORD_FOR_TEXT = (ConstraintFormat.GRAMMAR, ConstraintFormat.SCHEMA, ConstraintFormat.NONE)


def _in_format(constraint: OutputConstraint, wanted: ConstraintFormat) -> object:
    kind, schema = constraint.kind, constraint.value
    if wanted is ConstraintFormat.GRAMMAR:
        return {"type": kind, "value": schema}
    if wanted is ConstraintFormat.SCHEMA:
        return schema
    if kind == "text":
        return {"type": "text"}
    if wanted is ConstraintFormat.JSON:
        return {"type": "json", "schema": schema}
    if schema == _ANY_OBJECT and wanted is not ConstraintFormat.OPENAI_SCHEMA:
        return {"type": "json_object"}
    if wanted is ConstraintFormat.JSON_OBJECT:
        return {"type": "json_object", "schema": schema}
    if _names_schema(constraint.given):
        return dict(constraint.given)
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _ways(constraint: OutputConstraint, has: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield what a server has that allows the same answers, and its text; the closest first."""
    kind, value = constraint.kind, constraint.value
    if kind in has:
        yield kind, value
    if kind == "choice" and "regex" in has:
        yield "regex", _alternatives(cast("tuple[str, ...]", value))
    if "gbnf" not in has:
        return
    if kind == "ebnf":
        yield "gbnf", value
    elif kind in ("choice", "regex"):
        yield "gbnf", _gbnf(kind, cast("tuple[str, ...] | str", value))


# A model, or what is bound to it, has the same constraint at each call.
_REMEMBERED = 16


@lru_cache(maxsize=_REMEMBERED)
def _gbnf(kind: Kind, value: tuple[str, ...] | str) -> str:
    from .gbnf import choice_to_gbnf, regex_to_gbnf  # noqa: PLC0415 - seldom needed

    return choice_to_gbnf(value) if kind == "choice" else regex_to_gbnf(cast("str", value))


_SPECIAL = re.compile(r"[\\.^$*+?()\[\]{}|]")
_CONTROLS = str.maketrans({"\n": r"\n", "\r": r"\r", "\t": r"\t"})


@lru_cache(maxsize=_REMEMBERED)
def _alternatives(choices: tuple[str, ...]) -> str:
    """Return the regular expression of some texts.

    Only what is special everywhere is escaped: some engines refuse the escape of another character.
    """
    texts = (_SPECIAL.sub(r"\\\g<0>", choice).translate(_CONTROLS) for choice in choices)
    return f"({'|'.join(texts)})"


def _filled(form: object, value: object) -> object:
    """Return a form with a value in the place of its `...`."""
    if form is ...:
        return list(value) if isinstance(value, tuple) else value
    if isinstance(form, Mapping):
        return {key: _filled(part, value) for key, part in form.items()}
    return form


_NOUNS: Mapping[str, str] = {
    "json": "a JSON schema",
    "regex": "a regex",
    "choice": "a choice",
    "ebnf": "a grammar",
    "gbnf": "a grammar",
}


_OWN_KEY = "use the server's own key through model_kwargs"


def _instead(protocol: ApiProfile) -> str:
    if protocol.constraint is ConstraintFormat.OPENAI_AS_GIVEN:
        return f"use the server's own response_format, as it documents it, or {_OWN_KEY}"
    has = [_NOUNS["json"]] * (protocol.constraint is not ConstraintFormat.NONE)
    has += [_NOUNS[kind] for kind in protocol.expressions]
    return f"use {' or '.join(dict.fromkeys(has))}, or {_OWN_KEY}"


def _is_openais_or_own(constraint: OutputConstraint) -> bool:
    """Whether a value is in OpenAI's format, or in one that only some server has.

    A server of which nothing is known may be the one that has it.
    """
    given = constraint.given
    if _names_schema(given):
        return True
    kind = given.get("type")
    return kind in ("text", "json_object", *_TYPES) and "value" not in given


def _names_schema(value: Mapping[str, object]) -> bool:
    return isinstance(value.get("json_schema"), Mapping)


_ANY_OBJECT: dict[str, object] = {"type": "object"}
_SCHEMA_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_SCHEMA_WORDS = frozenset({"properties", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"})
# What servers call the kinds: as a `type`, as the key of its value, and as the only key.
_TYPES: Mapping[str, Kind] = {
    "regex": "regex",
    "regex_schema": "regex",
    "choice": "choice",
    "ebnf": "ebnf",
    "gbnf": "ebnf",
    "grammar": "ebnf",
}
JSON_TYPES = ("json_schema", "json_object", "json")


def read_constraint(given: object) -> OutputConstraint:
    """Read a constraint in the format of this package, OpenAI or any server that has one.

    Raises:
        ConfigurationError: If `given` is not a constraint.
    """
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"response_format and grammar take a dict or a class, not {given!r:.50}: a JSON "
            "schema, {'type': 'regex', 'value': '...'}, {'type': 'choice', 'value': [...]}, "
            "{'type': 'ebnf', 'value': '...'} or OpenAI's."
        )
    kind = given.get("type")
    if kind == "text":
        return OutputConstraint("text", None, given)
    if isinstance(kind, str) and kind in _TYPES:
        return OutputConstraint(_TYPES[kind], _value_of(kind, given), given)
    if kind is None and len(given) == 1:
        [(key, value)] = given.items()
        if key == "json" and isinstance(value, Mapping):
            return OutputConstraint("json", value, given)
        if key in _TYPES:
            return OutputConstraint(_TYPES[key], _value_of(key, {"type": key, **given}), given)
    return OutputConstraint("json", _schema_of(given, kind), given)


def _schema_of(given: Mapping[str, object], kind: object) -> object:
    if kind in JSON_TYPES:
        schema = _given_schema(given, kind)
        if schema is None:
            raise ConfigurationError(
                "response_format 'json_schema' has no schema: write {'type': 'json_schema', "
                "'json_schema': {'name': '...', 'schema': {...}}}."
            )
        if not isinstance(schema, Mapping):
            raise ConfigurationError(
                f"The schema of response_format {kind!r} is not a JSON schema ({schema!r:.50}): "
                "give it as a dict."
            )
        return schema
    if isinstance(kind, list) or kind in _SCHEMA_TYPES or not _SCHEMA_WORDS.isdisjoint(given):
        return dict(given)
    names = (*JSON_TYPES, "regex", "choice", "ebnf")
    near = nearest(kind, (*names, *_TYPES, *_SCHEMA_TYPES))
    hint = (
        f"did you mean {near[0]!r}? Or" if near else f"use one of {', '.join(map(repr, names))}, or"
    )
    what = f"response_format {kind!r:.50}" if "type" in given else "A response_format without type"
    raise ConfigurationError(f"{what} is not known: {hint} {_OWN_KEY}.")


def _given_schema(given: Mapping[str, object], kind: object) -> object:
    """Return the unchecked schema beside a `type`; that of any object where none is needed."""
    if kind == "json_schema" and (named := given.get("json_schema")) is not None:
        return named.get("schema") if isinstance(named, Mapping) else named
    found = (given.get(key) for key in ("value", "schema"))
    default = None if kind == "json_schema" else _ANY_OBJECT
    schema = next((one for one in found if one not in (None, {})), default)
    if kind == "json_schema" and isinstance(schema, Mapping):
        return schema.get("schema", schema)  # TGI's third form: a schema with a name
    return schema


def _value_of(kind: str, given: Mapping[str, object]) -> object:
    """Return the checked value of a constraint of a `type`, under that name or as `value`."""
    key = "value" if "value" in given else kind
    more = given.keys() - {"type", key}
    if more:
        raise ConfigurationError(
            f"A response_format of type {kind!r} has no {min(more, key=str)!r}: leave it out, or "
            f"{_OWN_KEY}."
        )
    value = given.get(key)
    if _TYPES[kind] == "choice":
        return _choices(value)
    noun = "regex" if _TYPES[kind] == "regex" else "grammar"
    if not isinstance(value, str):
        raise ConfigurationError(
            f"The {noun} of response_format {kind!r} must be a string, not {value!r:.50}: write "
            f"{{'type': {kind!r}, 'value': '...'}}."
        )
    if not value.strip() and (noun == "grammar" or not value):
        raise ConfigurationError(f"The {noun} of response_format {kind!r} is empty: write one.")
    return value


def _choices(value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise ConfigurationError(
            "response_format 'choice' takes a list of texts of which the answer is one, not "
            f"{value!r:.50}: write {{'type': 'choice', 'value': ['yes', 'no']}}."
        )
    choices = tuple(value)
    seen: set[str] = set()
    for one in choices:
        if not isinstance(one, str) or not one:
            raise ConfigurationError(
                f"A choice of response_format is a text that is not empty, not {one!r:.50}: write "
                "it as a string."
            )
        if one in seen:
            raise ConfigurationError(f"The choice {one!r:.50} is given twice: give it once.")
        seen.add(one)
    return choices
