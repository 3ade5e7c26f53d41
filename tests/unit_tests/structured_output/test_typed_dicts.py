"""TypedDicts and dataclasses as schemas: what is sent for them, and which answers fit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NotRequired,
    Optional,
    Required,
    TypedDict,
    TypeVar,
)

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from pydantic import BaseModel, Field
from typing_extensions import ReadOnly
from typing_extensions import TypedDict as OtherTypedDict

from langchain_easyllm import EasyLLMChat
from langchain_easyllm._structured_output.schema import make_output_schema, schema_of
from langchain_easyllm.errors import ConfigurationError, StructuredOutputError

from ...support.fake_server import FakeServer
from ...support.fake_tool_calls import Turn, serve_turns
from ...support.invocation_modes import answer, body_of

T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Spot(BaseModel):
    x: int
    y: int = 0


class Town(TypedDict):
    """A town."""

    name: Annotated[str, ..., "As on maps."]
    title: str


class Base(TypedDict, total=False):
    """Keys of all.

    Args:
        note: Anything.
    """

    note: str
    id: Required[int]


class Everything(Base):
    """What a TypedDict may hold."""

    maybe: int | None
    older: Optional[int]  # noqa: UP045 - the form that is tested
    unsure: NotRequired[Annotated[str | None, None, "Or nothing."]]
    fixed: ReadOnly[Literal["a", 1]]
    towns: list[Town]
    by_name: Mapping[str, Town]
    pair: tuple[int, Town]
    either: Town | int
    colour: Colour
    day: date
    spot: Spot
    bounded: Annotated[int, Field(ge=1, description="Above 0.")]
    given: Annotated[int, 5, "With a default."]
    texts: Annotated[Sequence[str], ..., "Several."]


class Node(TypedDict):
    """A tree."""

    value: int
    left: NotRequired[Node | None]
    children: list[Node]


class Husband(TypedDict):
    wife: Wife | None


class Wife(OtherTypedDict):
    husband: NotRequired[Husband]


class Box(TypedDict, Generic[T]):
    inside: T
    more: list[T]


class TownBox(Box[Town]):
    label: str


class Loop(TypedDict):
    box: Box[Town]
    tree: Node


FULL: dict[str, Any] = {
    "id": 1,
    "maybe": None,
    "older": None,
    "fixed": "a",
    "towns": [{"name": "Oslo", "title": "capital"}],
    "by_name": {"Oslo": {"name": "Oslo", "title": "capital"}},
    "pair": [1, {"name": "Oslo", "title": "capital"}],
    "either": 3,
    "colour": "red",
    "day": "2024-02-29",
    "spot": {"x": 1},
    "bounded": 1,
    "texts": [],
}


def fits(kind: Any, value: object) -> bool:
    try:
        found = make_output_schema(kind).parse(AIMessage(json.dumps(value)))
    except StructuredOutputError:
        return False
    assert found == value
    return True


@pytest.mark.parametrize(
    ("change", "fit"),
    [
        ({}, True),
        ({"maybe": 3, "older": 3, "unsure": None, "given": 6, "note": "x", "more": 1}, True),
        ({"either": {"name": "Oslo", "title": ""}}, True),
        ({"maybe": "3"}, False),
        ({"older": "3"}, False),
        ({"unsure": 3}, False),
        ({"fixed": "b"}, False),
        ({"fixed": True}, False),
        ({"towns": [{"name": "Oslo"}]}, False),
        ({"by_name": {"Oslo": 3}}, False),
        ({"pair": [1]}, False),
        ({"pair": [1, 2]}, False),
        ({"either": "x"}, False),
        ({"colour": "green"}, False),
        ({"spot": {"y": 1}}, False),
        ({"bounded": 0}, False),
        ({"texts": [1]}, False),
        ({"note": None}, False),
    ],
)
def test_what_a_typed_dict_says_is_checked(change: dict[str, Any], fit: bool) -> None:
    assert fits(Everything, FULL | change) is fit


@pytest.mark.parametrize("name", FULL)
def test_a_key_is_there_unless_it_may_be_missing(name: str) -> None:
    assert not fits(Everything, {key: value for key, value in FULL.items() if key != name})


def test_what_is_sent_says_what_the_class_says() -> None:
    schema = schema_of(Everything)
    properties = schema["properties"]
    town = {
        "description": "A town.",
        "type": "object",
        "properties": {
            "name": {"description": "As on maps.", "type": "string"},
            "title": {"type": "string"},
        },
        "required": ["name", "title"],
    }
    assert (schema["title"], schema["description"]) == ("Everything", "What a TypedDict may hold.")
    assert list(properties) == ["note", "id", *list(Everything.__annotations__)[2:]]
    assert set(schema["required"]) == set(FULL)
    assert properties["maybe"] == properties["older"]
    assert properties["maybe"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]
    assert properties["unsure"]["description"] == "Or nothing."
    assert properties["towns"] == {"type": "array", "items": town}
    assert properties["by_name"]["additionalProperties"] == town
    assert properties["either"]["anyOf"] == [town, {"type": "integer"}]
    assert properties["given"] == {
        "description": "With a default.",
        "default": 5,
        "type": "integer",
    }
    assert properties["bounded"]["description"] == "Above 0."
    assert properties["day"]["format"] == "date"
    assert "$defs" not in schema
    assert schema_of(Base)["properties"]["note"]["description"] == "Anything."
    assert "description" not in schema_of(Wife)


@pytest.mark.parametrize(
    ("kind", "value", "fit"),
    [
        (Node, {"value": 1, "children": [{"value": 2, "left": None, "children": []}]}, True),
        (Node, {"value": 1, "children": [{"value": 2}]}, False),
        (Node, {"value": 1, "children": [], "left": {"value": "x", "children": []}}, False),
        (Husband, {"wife": {"husband": {"wife": None}}}, True),
        (Husband, {"wife": {"husband": {"wife": 1}}}, False),
        (Box[int], {"inside": 1, "more": [2]}, True),
        (Box[int], {"inside": 1, "more": ["2"]}, False),
        (Box[Node], {"inside": {"value": 1, "children": []}, "more": []}, True),
        (Box[Node], {"inside": {"value": 1}, "more": []}, False),
        (TownBox, {"inside": {"name": "a", "title": "b"}, "more": [], "label": "c"}, True),
        (TownBox, {"inside": 1, "more": [], "label": "c"}, False),
        (Box, {"inside": 1, "more": ["a"]}, True),
    ],
)
def test_they_may_refer_to_themselves_and_be_generic(kind: Any, value: object, fit: bool) -> None:
    output = make_output_schema(kind)
    assert output.is_object
    assert output.schema["properties"]
    assert fits(kind, value) is fit


def test_a_class_inside_a_function_may_refer_to_itself() -> None:
    class Local(TypedDict):
        next: Local | None

    assert fits(Local, {"next": {"next": None}})
    assert not fits(Local, {"next": {}})


def test_only_what_is_recursive_is_a_definition() -> None:
    schema = schema_of(Loop)
    assert list(schema["$defs"]) == ["Node"]
    assert schema["properties"]["box"]["properties"]["inside"]["description"] == "A town."
    assert schema["properties"]["tree"] == {"$ref": "#/$defs/Node"}


@pytest.mark.parametrize("kind", [Everything, Node, Husband, Box[int], TownBox])
def test_strict_requires_every_key(kind: Any) -> None:
    schema = schema_of(kind, strict=True)
    assert set(schema["required"]) == set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_null_comes_through_a_call(fake_server: FakeServer, mode: str) -> None:
    serve_turns(fake_server, "vllm", Turn(['{"wife": null}']))
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(Husband, include_raw=True)
    assert answer(mode, chain)["parsed"] == {"wife": None}
    sent = body_of(fake_server)["response_format"]["json_schema"]["schema"]
    assert {"type": "null"} in sent["properties"]["wife"]["anyOf"]


def test_what_cannot_be_resolved_is_said() -> None:
    class Broken(TypedDict):
        a: Nowhere  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ConfigurationError, match="Nowhere"):
        schema_of(Broken)


@dataclass
class Place:
    """A place."""

    town: str
    visits: int = 0
    tags: list[str] = field(default_factory=list)
    near: Place | None = None


@dataclass(frozen=True)
class Pair(Generic[T]):
    one: T
    two: T | None = None


PLACE = {"town": "Oslo", "near": {"town": "Ski", "visits": 2}}


def test_a_dataclass_becomes_an_instance(fake_server: FakeServer, mode: str) -> None:
    serve_turns(fake_server, "vllm", Turn([json.dumps(PLACE)]))
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(Place, include_raw=True)
    assert answer(mode, chain)["parsed"] == Place("Oslo", near=Place("Ski", 2))
    sent = body_of(fake_server)["response_format"]["json_schema"]
    assert sent["name"] == "Place"
    assert sent["schema"]["type"] == "object"
    assert sent["schema"]["required"] == ["town"]
    # pydantic reads the docstring of a dataclass since 2.11.
    assert sent["schema"].get("description", "A place.") == "A place."


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "prompt"])
def test_a_dataclass_is_checked_by_every_method(fake_server: FakeServer, method: Any) -> None:
    said = {"town": 3}
    call = method == "function_calling"
    turn = Turn(calls=[("Place", json.dumps(said))]) if call else Turn([json.dumps(said)])
    serve_turns(fake_server, "vllm", turn)
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(Place, method=method)
    with pytest.raises(StructuredOutputError, match="town"):
        chain.invoke("Hi")


def test_a_generic_dataclass_and_strict() -> None:
    output = make_output_schema(Pair[int])
    assert output.parse(AIMessage('{"one": 1}')) == Pair(1)
    with pytest.raises(StructuredOutputError):
        output.parse(AIMessage('{"one": "x"}'))
    assert output.partial(AIMessageChunk('{"one": 1')) is None
    strict = schema_of(Place, strict=True)
    assert strict["additionalProperties"] is False
    assert set(strict["required"]) == {"town", "visits", "tags", "near"}
