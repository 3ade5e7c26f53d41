"""JSON schemas of any kind, recursive, deep and wrong, and values of any kind against them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langchain_easyllm._llguidance import close_schema, compile_grammar
from langchain_easyllm._structured_output.schema import (
    find_json,
    find_partial_json,
    make_output_schema,
)
from langchain_easyllm._tool_formats.base import OfferedTools, call_schema
from langchain_easyllm.errors import ConfigurationError, StructuredOutputError

from ...support.fuzzing import assert_linear, assert_short, examples

NAMES = st.sampled_from(["a", "b", "c", "$ref", ""])
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 3),
        st.floats(allow_nan=False),
        st.text(max_size=3),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
TYPES = st.sampled_from(["object", "array", "string", "number", "integer", "boolean", "null"])
REFS = st.sampled_from(
    ["#", "http://[b", "#/$defs/a", "#/$defs/b", "#/definitions/a", "#/properties/a"]
)
BOUNDS = st.integers(0, 4)


def schemas() -> st.SearchStrategy[object]:
    """Schemas of which anything may be of a wrong kind."""

    def part(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
        named = st.dictionaries(NAMES, inner, max_size=3)
        several = st.lists(inner, min_size=1, max_size=3)
        keywords: dict[str, st.SearchStrategy[object]] = {
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
            "properties": named,
            "required": st.lists(NAMES, max_size=2, unique=True),
            "additionalProperties": st.booleans() | inner,
            "items": inner,
            "prefixItems": several,
            "anyOf": several,
            "oneOf": several,
            "allOf": several,
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "const": VALUES,
            "$ref": REFS,
            "$defs": named,
            "definitions": named,
            **dict.fromkeys(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], BOUNDS),
            **dict.fromkeys(["minLength", "maxLength", "minItems", "maxItems"], BOUNDS),
            "pattern": st.sampled_from(["a", "^b?$", ".*", "(", "[", "a{9999999999}"]),
            "multipleOf": st.sampled_from([1, 0.1, 0, -1]),
            "uniqueItems": st.booleans(),
            **dict.fromkeys(["not", "if", "then", "contains", "propertyNames"], inner),
            **dict.fromkeys(["unevaluatedProperties", "unevaluatedItems"], inner),
            **dict.fromkeys(["patternProperties", "dependentSchemas", "dependencies"], named),
            "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=2), max_size=2),
            **dict.fromkeys(["$id", "$anchor", "$dynamicRef", "$schema"], REFS | NAMES),
            "description": st.text(max_size=3),
        }
        optional = {name: kind | VALUES for name, kind in keywords.items()}
        return st.fixed_dictionaries({}, optional=optional)

    # Few keywords at once: with all of them nothing fits.
    def few(schema: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
        picked = st.sets(st.integers(0, 40), min_size=1, max_size=4)
        return st.builds(_picked, schema, picked)

    return st.recursive(
        st.booleans() | few(part(st.booleans())), lambda inner: few(part(inner)), max_leaves=3
    )


def _picked(schema: Mapping[str, object], places: set[int]) -> dict[str, object]:
    names = list(schema)
    return {
        names[place % len(names)]: schema[names[place % len(names)]] for place in places if names
    }


def deep(depth: int) -> dict[str, object]:
    schema: dict[str, object] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def deep_value(depth: int) -> object:
    value: object = "x"
    for _ in range(depth):
        value = {"a": value}
    return value


LOOP: dict[str, object] = {
    "$ref": "#/$defs/a",
    "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
}
TREE: dict[str, object] = {
    "type": "object",
    "properties": {"next": {"$ref": "#"}, "all": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}},
}
HUGE: dict[str, object] = {"type": "string", "enum": [str(number) for number in range(20_000)]}


def check_schema(schema: object, value: object) -> None:
    """A schema is taken or refused, an answer fits or does not, and nothing else is raised."""
    try:
        output = make_output_schema(schema)  # type: ignore[arg-type]
    except ConfigurationError as error:
        assert_short(error)
        return
    output.as_instructions()
    output.response_format()
    hash(output.key)
    tool = output.tool()
    call_schema(
        OfferedTools((tool, {"type": "function", "function": {"name": "f"}})), "name", "args"
    )
    answer = json.dumps(value)
    try:
        output.parse(AIMessage(answer))
    except StructuredOutputError as error:
        assert_short(error)
    output.partial(AIMessage(answer[: len(answer) // 2]))


@examples(50)
@given(schemas() | VALUES, VALUES)
@example(LOOP, {})
@example(TREE, {"next": {"next": {"all": 1}}})
@example(HUGE, "7")
@example(deep(90), deep_value(90))
@example({"type": "string", "pattern": "("}, "x")
@example({"properties": [1], "required": "ab", "items": 7, "enum": 3}, {"a": [1]})
@example({"minimum": "a", "maxLength": None, "anyOf": {}}, 3)
def test_any_schema_is_taken_or_refused(schema: object, value: object) -> None:
    check_schema(schema, value)


@pytest.mark.parametrize("depth", [90, 500, 3000, 20_000])
def test_a_schema_may_be_nested_or_is_refused(depth: int) -> None:
    try:
        output = make_output_schema(deep(depth))
    except ConfigurationError as error:
        assert "nested" in str(error) or "JSON" in str(error)  # noqa: PT017 - either is fine
    else:
        call_schema(OfferedTools((output.tool(),)), "name", "args")
        with suppress(StructuredOutputError):
            output.parse(AIMessage(json.dumps(deep_value(3))))


@examples(25)
@given(schemas() | VALUES)
@example(LOOP)
@example(TREE)
@example(deep(90))
def test_any_schema_is_compiled_to_a_grammar_or_refused(schema: object) -> None:
    try:
        compile_grammar("json_schema", close_schema(schema))
    except ValueError as error:
        assert_short(error)


@examples(80)
@given(
    st.lists(
        st.sampled_from(
            [*'{}[]":,\\ \nx7', "```json\n", "```", "</think>", '{"a": ', "1e999", "\ud800"]
        ),
        max_size=20,
    ).map("".join)
)
@example("[" * 10_000)
@example('{"a":' * 600)
def test_json_is_found_in_any_text_or_not(text: str) -> None:
    find_json(text)
    find_partial_json(text)


@examples(10)
@given(
    st.lists(
        st.sampled_from(['{"', "{", "[", '"', "```\n", "```json\n{", "</think>", "\\"]),
        min_size=1,
        max_size=3,
    )
)
def test_the_work_on_an_answer_grows_with_the_text_only(words: list[str]) -> None:
    assert_linear(lambda count: find_json("".join(words) * count), 500)
