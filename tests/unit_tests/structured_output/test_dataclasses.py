"""Dataclasses as schemas: standard ones and pydantic's."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any

import pydantic.dataclasses
import pytest
from pydantic import Field

from langchain_easyllm import EasyLLMChat
from langchain_easyllm._structured_output.schema import schema_of
from langchain_easyllm.errors import StructuredOutputError

from ...support.fake_server import FakeServer
from ...support.fake_tool_calls import Turn, serve_turns
from ...support.invocation_modes import body_of


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Home:
    """Where somebody lives."""

    street: Annotated[str, "The street and the number."]
    since: dt.date | None = None


@dataclass(frozen=True)
class Plain:
    name: Annotated[str, Field(description="The first name.")]
    home: Home
    colour: Colour = Colour.RED
    friends: list[Plain] = field(default_factory=list)
    nick: str | None = None


@pydantic.dataclasses.dataclass(kw_only=True)
class Validated:
    """A person."""

    name: str = Field(description="The first name.", min_length=1)
    home: Home
    colour: Colour = Colour.RED
    friends: list[Validated] = field(default_factory=list)
    nick: str | None = None


FRIEND = {"name": "Bo", "home": {"street": "B 2"}}
VALUE = {
    "name": "Ida",
    "home": {"street": "A 1", "since": "2020-02-03"},
    "colour": "blue",
    "friends": [FRIEND],
    "nick": None,
}
KINDS = pytest.mark.parametrize("kind", [Plain, Validated])


def expected(kind: Any) -> Any:
    home = Home("A 1", dt.date(2020, 2, 3))
    friend = kind(name="Bo", home=Home("B 2"))
    return kind(name="Ida", home=home, colour=Colour.BLUE, friends=[friend])


@KINDS
@pytest.mark.parametrize("method", [None, "json_schema", "function_calling", "json_mode", "prompt"])
async def test_an_answer_is_an_instance(fake_server: FakeServer, kind: Any, method: Any) -> None:
    if method == "function_calling":
        turn = Turn(calls=[(kind.__name__, json.dumps(VALUE))])
    else:
        text = json.dumps(VALUE)
        turn = Turn([text[at : at + 7] for at in range(0, len(text), 7)])
    serve_turns(fake_server, "vllm", turn)
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(kind, method=method)
    whole = expected(kind)
    assert chain.invoke("Hi") == whole
    assert await chain.ainvoke("Hi") == whole
    assert list(chain.stream("Hi")) == [whole]
    assert [one async for one in chain.astream("Hi")] == [whole]


@KINDS
def test_what_the_class_says_is_sent(fake_server: FakeServer, kind: Any) -> None:
    serve_turns(fake_server, "vllm", Turn([json.dumps(VALUE)]))
    EasyLLMChat(base_url=fake_server.url).with_structured_output(kind).invoke("Hi")
    schema = body_of(fake_server)["response_format"]["json_schema"]["schema"]
    assert schema == schema_of(kind)
    assert schema["title"] == kind.__name__
    assert schema.get("description") == (None if kind is Plain else "A person.")
    assert schema["properties"]["name"]["description"] == "The first name."
    assert schema["required"] == ["name", "home"]
    home = schema["$defs"]["Home"]
    assert home["description"] == "Where somebody lives."
    assert home["properties"]["street"]["description"] == "The street and the number."
    assert schema["$defs"]["Colour"]["enum"] == ["red", "blue"]


@KINDS
@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"colour": "green"}, "colour: Input should be 'red' or 'blue'"),
        ({"home": {}}, "home.street: Field required"),
        ({"friends": [{}]}, "friends.0.name: Field required"),
    ],
)
def test_an_answer_that_does_not_fit(
    fake_server: FakeServer, kind: Any, wrong: Any, complaint: str
) -> None:
    serve_turns(fake_server, "vllm", Turn([json.dumps(VALUE | wrong)]))
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(kind, method="json_schema")
    with pytest.raises(StructuredOutputError, match=complaint):
        chain.invoke("Hi")
