"""Grammars, compiled before a model begins."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_easyllm._llguidance import close_schema
from langchain_easyllm._local.grammar import compile_tgi_grammar
from langchain_easyllm.errors import BadRequestError

OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}}}
CLOSED = {**OBJECT, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "closed"),
    [
        (OBJECT, CLOSED),
        ({"type": "array", "items": OBJECT}, {"type": "array", "items": CLOSED}),
        ({"anyOf": [OBJECT, {"type": "null"}]}, {"anyOf": [CLOSED, {"type": "null"}]}),
        (
            {"$ref": "#/$defs/x", "$defs": {"x": OBJECT}},
            {"$ref": "#/$defs/x", "$defs": {"x": CLOSED}},
        ),
        ({**OBJECT, "additionalProperties": True}, {**OBJECT, "additionalProperties": True}),
        ({"allOf": [OBJECT]}, {"allOf": [OBJECT]}),
        ({**OBJECT, "patternProperties": {}}, {**CLOSED, "patternProperties": {}}),
        ({"type": "object"}, {"type": "object"}),
        ({"enum": [{"properties": {}}]}, {"enum": [{"properties": {}}]}),
        (True, True),
    ],
    ids=str,
)
def test_objects_have_the_properties_that_are_named(schema: Any, closed: Any) -> None:
    assert close_schema(schema) == closed


def test_what_can_be_compiled() -> None:
    for grammar in (
        {"type": "json", "value": OBJECT},
        {"type": "json", "value": {"type": "object"}},
        {"type": "regex", "value": "[0-9]+"},
        {"type": "ebnf", "value": 'root ::= "a" | b\nb ::= [0-9]{2}'},
        {"type": "ebnf", "value": 'start: "a" | B\nB: /[0-9]{2}/'},
    ):
        assert compile_tgi_grammar(grammar)


@pytest.mark.parametrize(
    "grammar",
    [
        {"type": "regex", "value": "("},
        {"type": "json", "value": {"type": "no-type"}},
        {"type": "json", "value": {"$ref": "#/nowhere"}},
        {"type": "ebnf", "value": "root ::= nowhere"},
        {"type": "ebnf", "value": 'root ::= "a\\'},
        {"type": "ebnf", "value": "start: nowhere"},
        {"type": "ebnf", "value": "hello"},
    ],
    ids=str,
)
def test_what_cannot(grammar: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError, match="cannot be compiled"):
        compile_tgi_grammar(grammar)
