"""The check of JSON against a schema, against the reference implementation of the standard."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from langchain_easyllm._structured_output.validation import problem_of

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
        ([], "it is no object"),
        ({"name": 3}, "name is no string"),
        ({"name": "Ida", "tags": ["a", 1]}, "tags[1] is no string"),
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
