"""The check of JSON against a schema, against the reference implementation of the standard."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from langchain_easyllm._structured_output.validation import check_types, problem_of
from langchain_easyllm.errors import ConfigurationError

SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3) | st.text("ab", max_size=3)
)
KEYS = st.sampled_from("abc")
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from(["object", "array", "string", "number", "integer", "boolean", "null"])
SIZES = st.integers(0, 3)


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=2)
    words: dict[str, st.SearchStrategy[Any]] = {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
        "enum": st.lists(SCALARS, min_size=1, max_size=2),
        "const": VALUES,
        "minimum": st.integers(-2, 2),
        "maximum": st.integers(-2, 2),
        "exclusiveMinimum": st.integers(-2, 2),
        "exclusiveMaximum": st.integers(-2, 2),
        "minLength": SIZES,
        "maxLength": SIZES,
        "pattern": st.sampled_from(["a", "^b", "b$"]),
        "minItems": SIZES,
        "maxItems": SIZES,
        "properties": st.dictionaries(KEYS, inner, max_size=2),
        "required": st.lists(KEYS, max_size=2, unique=True),
        "additionalProperties": inner,
        "items": inner,
        "prefixItems": several,
        "anyOf": several,
        "oneOf": several,
        "allOf": several,
        "$ref": st.just("#/$defs/x"),
    }
    chosen = st.lists(st.sampled_from(sorted(words)), max_size=3, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({n: words[n] for n in names}))


SCHEMAS = st.recursive(
    st.booleans() | TYPES.map(lambda name: {"type": name}), _schemas, max_leaves=6
)
DEFINED = st.sampled_from([True, False, {"type": "string"}, {"type": ["object", "null"]}])


@given(value=VALUES, schema=SCHEMAS, defined=DEFINED)
def test_it_finds_what_the_reference_finds(value: object, schema: Any, defined: object) -> None:
    root = {"$defs": {"x": defined}, "allOf": [schema]}
    problem = problem_of(value, root)
    assert (problem is None) is Draft202012Validator(root).is_valid(value), problem


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"name": "Ida", "tags": ["a"]}, None),
        ({"name": "Ida", "tags": ["a"], "other": 1}, None),
        ({}, "name is missing"),
        ([], "it is not of type object"),
        ({"name": 3}, "name is not of type string"),
        ({"name": "Ida", "tags": ["a", 1]}, "tags[1] is not of type string"),
        ({"name": "Ida", "mood": "blue"}, "mood is none of ['glad', 'sad']"),
        ({"name": "Ida", "child": {"name": ""}}, "child.name breaks minLength 1"),
    ],
)
def test_it_says_what_does_not_fit_and_where(value: object, problem: str | None) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "tags": {"type": "array", "items": {"type": "string"}},
            "mood": {"enum": ["glad", "sad"]},
            "child": {"$ref": "#"},
        },
        "required": ["name"],
    }
    assert problem_of(value, schema) == problem


def test_a_schema_that_goes_in_circles_ends() -> None:
    assert problem_of(1, {"$ref": "#"}) is not None
    deep: Any = {}
    for _ in range(50):
        deep = {"next": deep}
    chain = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert problem_of(deep, chain) is None


def at_each_place(schema: object) -> dict[str, dict[str, Any]]:
    """Put a schema at each place where a schema may stand in another."""
    single = ("additionalProperties", "contains", "not", "if", "then", "else", "propertyNames")
    listed = ("allOf", "anyOf", "oneOf", "prefixItems")
    named = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
    return {
        **{word: {word: schema} for word in (*single, "items", "unevaluatedItems")},
        **{word: {word: [{}, schema]} for word in (*listed, "items")},
        **{word: {word: {"type": schema}} for word in named},
        "deep": {"properties": {"a": {"items": {"anyOf": [{"properties": {"b": schema}}]}}}},
        "elsewhere": {"$ref": "#/components/schemas/x", "components": {"schemas": {"x": schema}}},
    }


PLACES = at_each_place({})


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        ("any", "'any'", "leave type out"),
        ("str", "'str'", "did you mean 'string'"),
        ("int", "'int'", "did you mean 'integer'"),
        ("float", "'float'", "did you mean 'number'"),
        ("list", "'list'", "did you mean 'array'"),
        ("dict", "'dict'", "did you mean 'object'"),
        ("STRING", "'STRING'", "did you mean 'string'"),
        ("bool", "'bool'", "did you mean 'boolean'"),
        ("strnig", "'strnig'", "did you mean 'string'"),
        ("wizard", "'wizard'", "it has 'object', 'array'"),
        ("", "''", "it has 'object', 'array'"),
        (None, "None", "did you mean 'null'"),
        (5, "5", "it has 'object', 'array'"),
        (True, "True", "it has 'object', 'array'"),
        ({}, r"\{\}", "it has 'object', 'array'"),
        ([], r"\[\]", "leave type out"),
        (["string", "any"], "'any'", "leave type out"),
        (["str", "null"], "'str'", "did you mean 'string'"),
        (["string", 5], "5", "it has"),
        ([["string"]], r"\['string'\]", "it has"),
    ],
)
def test_a_type_that_there_is_not_is_refused(kind: object, name: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=f"no type {name} .in the schema.: .*{hint}"):
        check_types({"type": kind})


@pytest.mark.parametrize("place", PLACES)
def test_it_is_refused_wherever_it_stands(place: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no type 'any' \(in the schema at .+\)"):
        check_types(at_each_place({"type": "any"})[place])
    check_types(at_each_place({"type": ["string", "null"]})[place])


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"enum": [{"type": "any"}], "const": {"type": "any"}},
        {"default": {"type": "any"}, "examples": [{"type": 5}]},
        {"properties": {"type": {"type": "string"}, "$ref": {"type": "string"}}},
        {"properties": {"a": True, "b": False}, "required": ["type"]},
        {"$ref": "#"},
        {"$defs": {"x": {"items": {"$ref": "#/$defs/x"}}}, "$ref": "#/$defs/x"},
        {"$ref": "#/nowhere"},
        {"x-own": {"type": "any"}},
    ],
)
def test_what_is_no_type_is_left_alone(schema: Any) -> None:
    check_types(schema)


@given(schema=SCHEMAS, defined=DEFINED)
def test_no_good_schema_is_refused(schema: Any, defined: object) -> None:
    check_types({"$defs": {"x": defined}, "allOf": [schema]})
