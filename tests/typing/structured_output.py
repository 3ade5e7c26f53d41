"""What type checkers know of `with_structured_output`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar, assert_type

import pydantic.dataclasses
from pydantic import BaseModel, RootModel

from langchain_easyllm import EasyLLMChat

Item = TypeVar("Item")
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}


class Person(BaseModel):
    """A person."""

    name: str


class People(RootModel[list[Person]]):
    """Several of them."""


class Page(BaseModel, Generic[Item]):
    """Some of them."""

    items: list[Item]


@dataclass
class Place:
    """A place."""

    name: str


@pydantic.dataclasses.dataclass
class Country:
    """A country."""

    name: str


class Town(TypedDict):
    """A town."""

    name: str


def answers(llm: EasyLLMChat) -> None:
    """Answer with each kind of schema."""
    assert_type(llm.with_structured_output(Person).invoke(""), Person)
    assert_type(llm.with_structured_output(People, method="json_schema").invoke(""), People)
    assert_type(llm.with_structured_output(Page[Person], strict=True).invoke(""), Page[Person])
    assert_type(llm.with_structured_output(Place, temperature=0).invoke(""), Place)
    assert_type(llm.with_structured_output(Country).batch([""]), list[Country])
    assert_type(llm.with_structured_output(Town, include_raw=False).invoke(""), Town)
    assert_type(llm.with_structured_output(SCHEMA).invoke(""), dict[str, Any])
    json_schema = Person.model_json_schema()
    assert_type(llm.with_structured_output(json_schema).invoke(""), dict[str, Any])
    raw = llm.with_structured_output(Person, include_raw=True)
    assert_type(raw.invoke(""), dict[str, Any])


def streams(llm: EasyLLMChat) -> None:
    """Stream in each mode."""
    for person in llm.with_structured_output(Person).stream(""):
        assert_type(person, Person)
    for place in llm.with_structured_output(Place, output_mode="partial").stream(""):
        assert_type(place, Place)
    for item in llm.with_structured_output(People, output_mode="items").stream(""):
        assert_type(item, Any)


async def asynchronously(llm: EasyLLMChat, include_raw: bool) -> None:
    """Await an answer, and one of a kind that is known at run time only."""
    assert_type(await llm.with_structured_output(Person).ainvoke(""), Person)
    either = llm.with_structured_output(Person, include_raw=include_raw)
    assert_type(await either.ainvoke(""), Any)


def refused(llm: EasyLLMChat) -> None:
    """Give what is no schema, no method and no mode."""
    llm.with_structured_output(Person(name=""))  # type: ignore[call-overload]
    llm.with_structured_output(Person, method="tools")  # type: ignore[call-overload]
    llm.with_structured_output(Person, output_mode="last")  # type: ignore[call-overload]
    llm.with_structured_output(Person, include_raw=True, output_mode="items")  # type: ignore[call-overload]
