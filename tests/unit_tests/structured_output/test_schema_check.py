"""What is wrong with a schema is said before it is sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from langchain_easyllm._structured_output.schema_check import check_schema
from langchain_easyllm._structured_output.validation import problem_of
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.fuzzing import examples
from .test_json_schema_validation import DEFINED, SCHEMAS, TABLE, root_of


def at_each_place(schema: object) -> dict[str, dict[str, Any]]:
    """Put a schema at each place where a schema may stand in another."""
    single = ("additionalProperties", "contains", "not", "if", "then", "else", "propertyNames")
    listed = ("allOf", "anyOf", "oneOf", "prefixItems")
    named = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
    return {
        **{word: {word: schema} for word in (*single, "items", "unevaluatedItems")},
        **{word: {word: [{}, schema]} for word in (*listed, "items")},
        **{word: {word: {"type": schema}} for word in (*named, "dependencies")},
        "deep": {"properties": {"a": {"items": {"anyOf": [{"properties": {"b": schema}}]}}}},
        "elsewhere": {"$ref": "#/components/schemas/x", "components": {"schemas": {"x": schema}}},
    }


PLACES = at_each_place({})


@each_case(
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
    with pytest.raises(ConfigurationError, match=f"no type {name} .in the schema.: .*{hint}") as it:
        check_schema({"type": kind})
    assert str(it.value)[-2:] not in ("?.", "..")


@each_case("place", PLACES)
def test_it_is_refused_wherever_it_stands(place: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no type 'any' \(in the schema at .+\)"):
        check_schema(at_each_place({"type": "any"})[place])
    with pytest.raises(ConfigurationError, match=r"In the schema, .+\.minLength must be"):
        check_schema(at_each_place({"minLength": "x"})[place])
    check_schema(at_each_place({"type": ["string", "null"]})[place])


@each_case(
    ("schema", "said"),
    [
        ({"required": "a"}, r"required must be a list of names, and is 'a': did you mean \['a'\]"),
        ({"properties": {"a": {"required": True}}}, r"properties\.a\.required must .* the object"),
        ({"required": [1]}, "a list of names"),
        ({"enum": "red"}, r"did you mean \['red'\]"),
        ({"enum": None}, "a list of values"),
        ({"minLength": "3"}, "did you mean 3"),
        ({"maxItems": -1}, "whole number that is not negative, and is -1"),
        ({"maxItems": 1.5}, "whole number"),
        ({"maxItems": True}, "whole number"),
        ({"minimum": "a"}, "minimum must be a number"),
        ({"minimum": float("nan")}, "minimum must be a number"),
        ({"minimum": None}, "minimum must be a number"),
        ({"multipleOf": 0}, "a number above 0"),
        ({"uniqueItems": "yes"}, "true or false"),
        ({"pattern": 3}, "pattern must be a string"),
        ({"properties": ["a"]}, "a dict of schemas by their names"),
        (
            {"properties": {"a": "string"}},
            r"properties\.a must .* did you mean \{'type': 'string'\}",
        ),
        ({"properties": {"a": "int"}}, r"did you mean \{'type': 'integer'\}"),
        ({"properties": {"a": None}}, r"properties\.a must be a schema"),
        ({"items": "string"}, r"items must .* did you mean \{'type': 'string'\}"),
        ({"additionalProperties": "no"}, "additionalProperties must be a schema"),
        ({"anyOf": {"type": "string"}}, "did you mean a list that holds it"),
        ({"oneOf": []}, "not an empty one"),
        ({"dependentRequired": {"a": "b"}}, "a dict of lists of names"),
        ({"dependencies": {"a": [1]}}, "a list of names"),
        ({"$ref": 5}, r"\$ref must be a string"),
    ],
)
def test_a_keyword_that_holds_something_else_is_refused(schema: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check_schema(schema)


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("#/$defs/Adress", r"did you mean '#/\$defs/Address'"),
        ("#/definitions/Address", r"did you mean '#/\$defs/Address'"),
        ("#/nowhere", r"it has #/\$defs/Address"),
        ("#nowhere", "which is not in it"),
        ("https://example.org/schema.json", r"put that under '\$defs'"),
        ("https://example.org/schema.json#/$defs/Address", r"put that under '\$defs'"),
        ("Address", r"did you mean '#/\$defs/Address'"),
        ("#/$defs/Address/type", "which is not in it"),
        ("http://[bad/x#/a", "which is not in it"),
        ("//[x", "which is not in it"),
    ],
)
def test_a_reference_to_what_is_not_there_is_refused(ref: str, said: str) -> None:
    schema = {"$defs": {"Address": {"type": "object"}}, "items": {"$ref": ref}}
    with pytest.raises(ConfigurationError, match=said):
        check_schema(schema)


@pytest.mark.parametrize("bad", ["http://[bad", "//[x]y", "http://a\u2100b", "//[::1#a"])
def test_an_id_that_is_no_address_is_a_name(bad: str) -> None:
    for inner in ("b", "http://[worse"):
        part = {"$id": inner, "$defs": {"c": {"type": "string"}}, "$ref": "#/$defs/c"}
        schema = {"$id": bad, "properties": {"a": part}}
        check_schema(schema)
        assert problem_of({"a": 1}, schema) == "a is not of type string"
    with pytest.raises(ConfigurationError, match="which is not in it"):
        check_schema({"$id": bad, "properties": {"a": {"$ref": "other"}}})


@each_case(
    "schema",
    [
        {},
        {"enum": [{"type": "any"}], "const": {"type": "any"}},
        {"default": {"type": "any"}, "examples": [{"type": 5}]},
        {"properties": {"type": {"type": "string"}, "$ref": {"type": "string"}}},
        {"properties": {"a": True, "b": False}, "required": ["type"]},
        {"properties": {"required": {"type": "boolean"}, "items": {"minLength": 1}}},
        {"required": ("a",), "enum": (1, 2)},
        {"$ref": "#"},
        {"$defs": {"x": {"items": {"$ref": "#/$defs/x"}}}, "$ref": "#/$defs/x"},
        {"x-own": {"type": "any"}, "minlength": "x"},
        {"minimum": 1, "exclusiveMinimum": True},
        {"items": [{}], "additionalItems": False},
        {
            "$id": "https://example.org/a",
            "$ref": "https://example.org/a#/$defs/x",
            "$defs": {"x": {}},
        },
        *[schema for schema, _ in TABLE],
    ],
)
def test_what_is_right_is_left_alone(schema: Any) -> None:
    check_schema(schema)


@examples(25)
@given(schema=SCHEMAS, defined=DEFINED)
def test_no_good_schema_is_refused(schema: Any, defined: object) -> None:
    root = root_of(schema, defined)
    Draft202012Validator.check_schema(root)
    check_schema(root)
