"""Constrained decoding in every shape, to every shape."""

from __future__ import annotations

import copy

import pytest

from langchain_easyllm._protocols.request import to_grammar, to_json_schema, to_response_format
from langchain_easyllm._servers.profile import Dialect
from langchain_easyllm.errors import ConfigurationError

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
ANY = {"type": "object"}
NAMED = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
# The same constraint in the shapes of OpenAI, TGI, llama.cpp, and as a schema alone.
SAME = [
    SCHEMA,
    NAMED,
    {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}},
    {"type": "json", "value": SCHEMA},
    {"type": "json_object", "value": SCHEMA},
    {"type": "json_object", "schema": SCHEMA},
    {"type": "json_schema", "value": SCHEMA},
    {"type": "json_schema", "value": {"name": "x", "schema": SCHEMA}},
]
REGEX = {"type": "regex", "value": "[a-z]+"}


@pytest.mark.parametrize("value", SAME, ids=str)
def test_a_schema_in_any_shape(value: dict[str, object]) -> None:
    before = copy.deepcopy(value)
    assert to_grammar(value) == {"type": "json", "value": SCHEMA}
    assert to_response_format(value, Dialect.TGI) == {"type": "json", "value": SCHEMA}
    assert to_json_schema(value, Dialect.LLAMA_CPP) == SCHEMA
    assert to_response_format(value, Dialect.LLAMA_CPP_PYTHON) == {
        "type": "json_object",
        "schema": SCHEMA,
    }
    given = value if "json_schema" in value else NAMED
    for dialect in (Dialect.VLLM, Dialect.LLAMA_CPP):
        assert to_response_format(value, dialect) == given
    # Some providers take a schema beside OpenAI's own word: theirs to read as it is.
    own = "schema" in value
    for dialect in (Dialect.OPENAI, Dialect.ROUTER):
        assert to_response_format(value, dialect) == (value if own else given)
    assert value == before


def test_any_object() -> None:
    value = {"type": "json_object"}
    assert to_grammar(value) == {"type": "json", "value": ANY}
    assert to_json_schema(value, Dialect.LLAMA_CPP) == ANY
    for dialect in set(Dialect) - {Dialect.TGI}:
        assert to_response_format(value, dialect) == value


def test_text_constrains_nothing() -> None:
    value = {"type": "text"}
    assert to_grammar(value) is None
    assert to_json_schema(value, Dialect.LLAMA_CPP) is None
    assert to_response_format(value, Dialect.TGI) is None
    assert to_response_format(value, Dialect.VLLM) == value


def test_a_regex_is_tgis_alone() -> None:
    assert to_grammar(REGEX) == REGEX
    assert to_response_format(REGEX, Dialect.TGI) == REGEX
    for dialect in set(Dialect) - {Dialect.TGI}:
        with pytest.raises(ConfigurationError, match="regex cannot be expressed"):
            to_response_format(REGEX, dialect)
        with pytest.raises(ConfigurationError, match="regex cannot be expressed"):
            to_json_schema(REGEX, dialect)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}},
        {"enum": ["a", "b"]},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"$ref": "#/$defs/A", "$defs": {"A": SCHEMA}},
        {"properties": {}},
    ],
    ids=str,
)
def test_a_schema_need_not_be_an_object(schema: dict[str, object]) -> None:
    assert to_grammar(schema) == {"type": "json", "value": schema}


@pytest.mark.parametrize(
    "bad",
    ["json", 3, None, [], {}, {"type": "yaml"}, {"type": "regex"}, {"type": "regex", "value": 3}],
    ids=str,
)
def test_what_is_no_constraint(bad: object) -> None:
    for dialect in Dialect:
        with pytest.raises(ConfigurationError, match="response_format"):
            to_response_format(bad, dialect)
    with pytest.raises(ConfigurationError, match="response_format"):
        to_grammar(bad)
