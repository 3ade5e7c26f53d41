"""The check of JSON against a schema, against the reference implementation of the standard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator, Draft7Validator, Draft202012Validator

from langchain_easyllm._structured_output.validation import problem_of

from ...support.cases import each_case
from ...support.fuzzing import examples
from ...support.text_chunks import time_growth

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
BOUNDS = st.integers(-2, 2)
PATTERNS = st.sampled_from(["a", "^b", "b$", "^(a|b)?$"])
NAMES = st.lists(KEYS, max_size=2, unique=True)
TOGETHER = {
    "contains": {"minContains": SIZES, "maxContains": SIZES},
    "if": {"then": True, "else": True},
    "properties": {"additionalProperties": True, "required": NAMES},
    "prefixItems": {"items": True},
    "unevaluatedProperties": {"properties": True, "allOf": True, "anyOf": True, "if": True},
    "unevaluatedItems": {"prefixItems": True, "contains": True, "oneOf": True},
}


def _keywords(inner: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    several = st.lists(inner, min_size=1, max_size=2)
    named = st.dictionaries(KEYS, inner, max_size=2)
    return {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
        "enum": st.lists(SCALARS, min_size=1, max_size=2),
        "const": VALUES,
        **dict.fromkeys(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], BOUNDS),
        "multipleOf": st.sampled_from([1, 2, 3, 0.5, 0.25]),
        **dict.fromkeys(["minLength", "maxLength", "minItems", "maxItems"], SIZES),
        **dict.fromkeys(["minProperties", "maxProperties"], SIZES),
        "pattern": PATTERNS,
        "uniqueItems": st.booleans(),
        "format": st.sampled_from(["date", "email", "own"]),
        **dict.fromkeys(["properties", "dependentSchemas"], named),
        "patternProperties": st.dictionaries(PATTERNS, inner, max_size=2),
        "required": NAMES,
        "dependentRequired": st.dictionaries(KEYS, NAMES, max_size=2),
        **dict.fromkeys(["additionalProperties", "unevaluatedProperties", "propertyNames"], inner),
        **dict.fromkeys(["items", "contains", "unevaluatedItems", "not", "if"], inner),
        **dict.fromkeys(["then", "else"], inner),
        **dict.fromkeys(["prefixItems", "anyOf", "oneOf", "allOf"], several),
        "$ref": st.sampled_from(["#/$defs/x", "#y", "#/$defs/a~1b%25"]),
    }


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    words = _keywords(inner)

    @st.composite
    def chosen(draw: st.DrawFn) -> dict[str, Any]:
        names = draw(st.lists(st.sampled_from(sorted(words)), max_size=3, unique=True))
        more = {word: kind for name in names for word, kind in TOGETHER.get(name, {}).items()}
        also = draw(st.sets(st.sampled_from(sorted(more)))) if more else ()
        kinds = {word: words[word] if more[word] is True else more[word] for word in sorted(also)}
        return draw(st.fixed_dictionaries({**kinds, **{name: words[name] for name in names}}))

    return chosen()


SCHEMAS = st.recursive(
    st.booleans() | TYPES.map(lambda name: {"type": name}), _schemas, max_leaves=6
)
DEFINED = st.sampled_from([True, False, {"type": "string"}, {"type": ["object", "null"]}])


def root_of(schema: object, defined: object) -> dict[str, Any]:
    anchored = {"$anchor": "y", "anyOf": [defined, {"type": "integer"}]}
    return {"$defs": {"x": defined, "z": anchored, "a/b%": {"minLength": 1}}, "allOf": [schema]}


@examples(100)
@given(value=VALUES, schema=SCHEMAS, defined=DEFINED)
def test_it_finds_what_the_reference_finds(value: object, schema: Any, defined: object) -> None:
    root = root_of(schema, defined)
    problem = problem_of(value, root)
    assert (problem is None) is Draft202012Validator(root).is_valid(value), problem


NUMBERS = [0, 1, 1.0, 1.5, -1, 3, 7, 1e300, True, "1", None]
OBJECTS: list[Any] = [
    {},
    {"a": 1},
    {"b": 1},
    {"a": 1, "b": "x"},
    {"a": {"a": {"a": 3}}},
    {"x-a": 1},
]
LISTS: list[Any] = [[], [1], [1, 1.0], [1, True], [0, False], ["a", 1], [{"a": 1}, {"a": 1.0}]]
LISTS += [[[1], [True]], [1, "a"], [1, "a", None], ["a", "b"], [{"a": [0]}, {"a": [False]}]]
TEXTS = ["", "a", "é", "é!", "abc", "𝒳", "👩‍👩‍👧"]
TREE = {
    "properties": {"a": {"$ref": "#"}},
    "additionalProperties": False,
    "type": ["object", "integer"],
}
PLACED = {
    "$id": "https://example.org/root",
    "$ref": "leaf#/$defs/own",
    "$defs": {
        "leaf": {
            "$id": "leaf",
            "$defs": {"own": {"$ref": "#/$defs/kind"}, "kind": {"type": "integer"}},
        },
        "kind": {"type": "string"},
    },
}
TABLE: list[tuple[dict[str, Any], list[Any]]] = [
    *[({"type": kind}, [*NUMBERS, *OBJECTS[:2], *LISTS[:2]]) for kind in ("integer", "number")],
    *[({"multipleOf": step}, NUMBERS) for step in (1, 2, 2.0)],
    *[
        ({"const": one}, [*NUMBERS, *LISTS, *OBJECTS, [True]])
        for one in (1, True, [1], [True], {"a": 1}, None)
    ],
    ({"enum": [1, "a", [0], {"a": False}]}, [*NUMBERS, [False], [0.0], {"a": 0}, {"a": False}]),
    ({"uniqueItems": True}, LISTS),
    ({"minLength": 2, "maxLength": 3}, TEXTS),
    ({"minLength": 2.0}, TEXTS),
    ({"not": {"required": ["a"]}}, OBJECTS),
    (
        {"if": {"required": ["a"]}, "then": {"maxProperties": 1}, "else": {"minProperties": 1}},
        OBJECTS,
    ),
    ({"patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": False}, OBJECTS),
    ({"propertyNames": {"maxLength": 1}}, OBJECTS),
    ({"dependentRequired": {"a": ["b"]}}, OBJECTS),
    (
        {"dependentSchemas": {"a": {"properties": {"b": True}}}, "unevaluatedProperties": False},
        OBJECTS,
    ),
    ({"contains": {"type": "number"}, "minContains": 2, "maxContains": 2}, LISTS),
    ({"contains": {"type": "string"}, "minContains": 0, "maxContains": 1}, LISTS),
    ({"prefixItems": [{"type": "integer"}], "items": False}, LISTS),
    ({"prefixItems": [True], "contains": {"type": "string"}, "unevaluatedItems": False}, LISTS),
    ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, NUMBERS),
    ({"$ref": "#/$defs/n", "maximum": 1, "$defs": {"n": {"type": "number"}}}, NUMBERS),
    ({"$dynamicRef": "#n", "$defs": {"n": {"$dynamicAnchor": "n", "type": "number"}}}, NUMBERS),
    ({"prefixItems": [{"type": "string"}, {"$ref": "#/prefixItems/0"}]}, [["a", "b"], ["a", 1]]),
    ({"$ref": "#/components/x", "components": {"x": {"type": "integer"}}}, NUMBERS),
    ({"allOf": [{"properties": {"a": True}}], "unevaluatedProperties": False}, OBJECTS),
    (
        {
            "anyOf": [{"required": ["b"], "properties": {"a": True}}, {"properties": {"b": True}}],
            "unevaluatedProperties": {"type": "string"},
        },
        OBJECTS,
    ),
    ({"additionalProperties": {"type": "integer"}, "unevaluatedProperties": False}, OBJECTS),
    (TREE, [*OBJECTS, *NUMBERS]),
    (PLACED, [1, "a"]),
]
OLDER: list[tuple[str, Any, dict[str, Any], list[Any]]] = [
    ("07", Draft7Validator, {"items": [{"type": "integer"}], "additionalItems": False}, LISTS),
    (
        "07",
        Draft7Validator,
        {"items": [{"type": "integer"}], "additionalItems": {"type": "null"}},
        LISTS,
    ),
    ("07", Draft7Validator, {"additionalItems": False}, LISTS),
    ("07", Draft7Validator, {"dependencies": {"a": ["b"], "b": {"maxProperties": 1}}}, OBJECTS),
    (
        "07",
        Draft7Validator,
        {"$ref": "#/definitions/n", "maximum": 1, "definitions": {"n": {}}},
        NUMBERS,
    ),
    (
        "07",
        Draft7Validator,
        {"$ref": "#n", "definitions": {"n": {"$id": "#n", "type": "string"}}},
        NUMBERS,
    ),
    ("04", Draft4Validator, {"minimum": 1, "exclusiveMinimum": True}, NUMBERS),
    ("04", Draft4Validator, {"maximum": 1, "exclusiveMaximum": False}, NUMBERS),
]


@each_case(("schema", "values"), TABLE, ids=[json.dumps(s)[:60] for s, _ in TABLE])
def test_each_keyword_is_read_as_the_reference_reads_it(
    schema: dict[str, Any], values: list[Any]
) -> None:
    Draft202012Validator.check_schema(schema)
    reference = Draft202012Validator(schema)
    said = [problem_of(value, schema) is None for value in values]
    assert said == [reference.is_valid(value) for value in values]
    assert set(said) == {True, False}


@pytest.mark.parametrize(("draft", "reference", "schema", "values"), OLDER)
def test_older_drafts_are_read(
    draft: str, reference: Any, schema: dict[str, Any], values: list[Any]
) -> None:
    root = {"$schema": f"http://json-schema.org/draft-{draft}/schema#", **schema}
    said = [problem_of(value, root) is None for value in values]
    assert said == [reference(root).is_valid(value) for value in values]


@pytest.mark.parametrize(
    ("value", "of", "fits"),
    [
        (0.3, 0.1, True),
        (0.35, 0.1, False),
        (19.99, 0.01, True),
        (1e300, 1e-300, True),
        (-0.6, 0.2, True),
        (float("inf"), 1, False),
        (float("nan"), 1, False),
        (10**4000, 3, False),
    ],
)
def test_numbers_are_multiples_as_they_are_written(value: float, of: float, fits: bool) -> None:
    assert (problem_of(value, {"multipleOf": of}) is None) is fits


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"name": "Ida", "tags": ["a"]}, None),
        ({"name": "Ida", "tags": ["a"], "other": 1}, None),
        ({}, "name is missing"),
        ([], "it is not of type object"),
        ({"name": 3}, "name is not of type string"),
        ({"name": "Ida", "tags": ["a", 1]}, "tags[1] is not of type string"),
        ({"name": "Ida", "tags": ["a", "a"]}, "tags breaks uniqueItems True"),
        ({"name": "Ida", "mood": "blue"}, "mood is none of ['glad', 'sad']"),
        ({"name": "Ida", "child": {"name": ""}}, "child.name breaks minLength 1"),
        ({"name": "ida"}, "name breaks pattern '^[A-Z]'"),
        ({"name": "Ida", "age": "7"}, "age is not of type integer"),
        ({"name": "Ida", "age": None}, None),
        ({"name": "Ida", "tall": True}, "how is missing beside tall"),
        ({"name": "Ida", "pair": [1]}, "pair fits what it must not be: {'maxItems': 1}"),
        ({"name": "Ida", "pair": [1, 2]}, "pair has too few items that fit {'type': 'string'}"),
        ({"name": "Ida", "child": {"name": "Bo", "n" * 30: 1}}, "the name '" + "n" * 30),
    ],
)
def test_it_says_what_does_not_fit_and_where(value: object, problem: str | None) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "pattern": "^[A-Z]"},
            "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            "mood": {"enum": ["glad", "sad"]},
            "child": {"$ref": "#"},
            "age": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "pair": {"not": {"maxItems": 1}, "contains": {"type": "string"}},
        },
        "required": ["name"],
        "dependentRequired": {"tall": ["how"]},
        "propertyNames": {"maxLength": 20},
    }
    found = problem_of(value, schema)
    assert (found is None) is (problem is None)
    assert str(found).startswith(str(problem))


def test_a_schema_that_goes_in_circles_ends() -> None:
    assert problem_of(1, {"$ref": "#"}) is not None
    deep: Any = {}
    for _ in range(50):
        deep = {"next": deep}
    chain = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert problem_of(deep, chain) is None


def test_options_inside_options_are_tried_once() -> None:
    value: Any = 1
    for _ in range(40):
        value = {"next": value}
    options = {"anyOf": [{"$ref": "#/$defs/node"}, {"$ref": "#/$defs/other"}]}
    node = {"properties": {"next": options}, "required": ["next"]}
    schema = {"$defs": {"node": node, "other": {**node, "minProperties": 0}}, **options}
    schema["$defs"]["node"]["type"] = "object"  # type: ignore[index]
    schema["$defs"]["other"]["type"] = "object"  # type: ignore[index]
    assert problem_of(value, schema) is not None


@pytest.mark.parametrize("depth", [3_000, 20_000])
@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"next": {"$ref": "#"}}},
        {"const": 1},
        {"anyOf": [{"properties": {"next": {"$ref": "#"}}}]},
    ],
)
def test_what_is_nested_too_deeply_is_said(depth: int, schema: dict[str, Any]) -> None:
    value: Any = {}
    for _ in range(depth):
        value = {"next": value}
    assert problem_of(value, schema) == "it is nested too deeply to be checked"


def test_the_values_of_an_enum_are_read_once() -> None:
    def work(texts: Sequence[str]) -> None:
        listed = [f"{text}{number}" for number, text in enumerate(texts)]
        assert problem_of(listed, {"items": {"enum": listed}}) is None

    assert time_growth(work, ["x"] * 100) < 40


def test_listed_values_may_be_tuples() -> None:
    schema = {"enum": [("a", ["b"], {"c": ("d",)})], "const": ("a", ["b"], {"c": ["d"]})}
    assert problem_of(["a", ["b"], {"c": ["d"]}], schema) is None
    assert "none of" in str(problem_of(["a", ["b"]], schema))


def test_a_problem_is_said_in_short() -> None:
    many = {"enum": [str(number) for number in range(20_000)]}
    assert len(str(problem_of("x", many))) < 400
    assert len(str(problem_of({"k" * 9000: 1}, {"additionalProperties": False}))) < 400
