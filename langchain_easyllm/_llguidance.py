"""Grammars for constrained decoding by llguidance, which is imported when one is compiled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

SPACING: JsonCompileOptions = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}
"""JSON as json.dumps writes it: with some models, white space that is free never ends."""

_SCHEMAS = ("additionalProperties", "items")
_LISTS = ("anyOf", "oneOf", "prefixItems")
_MAPPINGS = ("$defs", "definitions", "properties")


def compile_grammar(kind: Literal["json_schema", "regex", "lark", "ebnf"], source: object) -> str:
    """Return llguidance's form of a JSON schema, a regular expression or a grammar.

    A grammar is one of Lark, and as `ebnf` also one of GBNF (`root ::= ...`).

    Raises:
        ValueError: With the reason, if it cannot be compiled.
        ModuleNotFoundError: If llguidance is not installed.
    """
    from llguidance import LLMatcher  # noqa: PLC0415 - only where grammars are used

    if kind == "json_schema":
        try:
            schema = json.dumps(source)
        except TypeError as error:
            raise ValueError(str(error)) from error
        grammar = LLMatcher.grammar_from_json_schema(schema, overrides=SPACING)
    elif kind == "regex":
        grammar = LLMatcher.grammar_from_regex(str(source))
    else:
        lark = _gbnf_to_lark(str(source)) if kind == "ebnf" else str(source)
        grammar = LLMatcher.grammar_from_lark(lark)
    failed, problems = LLMatcher.validate_grammar_with_warnings(grammar)
    if failed:
        raise ValueError(problems[0].strip())
    return grammar


def _gbnf_to_lark(source: str) -> str:
    from llguidance.gbnf_to_lark import any_to_lark  # noqa: PLC0415 - as above

    try:
        return any_to_lark(source)
    except Exception as error:  # it raises `Exception` itself, and what its own parser stumbles on
        raise ValueError(str(error)) from error


def close_schema(schema: object) -> object:
    """Return a schema whose objects have the properties that it names, and no others.

    JSON Schema allows others unless `additionalProperties` forbids them, but servers read a schema
    in this way (TGI's grammars always do): a model that may add names of its own may never end.
    Parts of an `allOf` are left as they are, for each of them names only some.
    """
    if not isinstance(schema, Mapping):
        return schema
    closed = dict(schema)
    for key, part in schema.items():
        if key in _SCHEMAS:
            closed[key] = close_schema(part)
        elif key in _LISTS and isinstance(part, list):
            closed[key] = [close_schema(one) for one in part]
        elif key in _MAPPINGS and isinstance(part, Mapping):
            closed[key] = {name: close_schema(one) for name, one in part.items()}
    if "properties" in schema and "allOf" not in schema:
        closed.setdefault("additionalProperties", False)
    return closed
