"""`output_mode`: what a stream of a structured answer yields."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypedDict, TypeVar

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel, Field, RootModel, field_validator
from pydantic.v1 import BaseModel as BaseModelV1

from langchain_easyllm import EasyLLMChat
from langchain_easyllm._structured_output.parser import structured
from langchain_easyllm._structured_output.schema import make_output_schema
from langchain_easyllm.errors import ConfigurationError, StructuredOutputError

from ...support.fake_server import FakeServer
from ...support.fake_tool_calls import Turn, serve_turns
from ...support.invocation_modes import answer

Item = TypeVar("Item")


class Person(BaseModel):
    name: str
    age: int = 0
    town: str | None = None

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return {"Mr X": 1}[name] and name if name.startswith("M") else name  # KeyError for others


class OldPerson(BaseModelV1):
    name: str
    age: int = 0


@dataclass
class PlainPerson:
    name: str
    age: int = 0


class TypedPerson(TypedDict):
    name: str
    age: int


class Root(RootModel[list[Person]]):
    pass


class People(BaseModel):
    title: str
    people: list[Person] | None = Field(alias="theirs", min_length=2)
    note: str = ""


class OldPeople(BaseModelV1):
    people: list[OldPerson]


@dataclass
class PlainPeople:
    people: Annotated[list[PlainPerson], "Who."]


@dataclass
class Page(Generic[Item]):
    items: tuple[Item, ...]


class TypedPeople(TypedDict):
    people: list[TypedPerson]


class RootInside(BaseModel):
    them: Root


NUMBERS = {"title": "Numbers", "type": "array", "items": {"type": "integer"}}
REFERRED = {
    "title": "All",
    "type": "object",
    "properties": {"people": {"type": "array", "items": {"$ref": "#/$defs/One"}}},
    "$defs": {"One": {"type": "object", "required": ["name"]}},
}
IDA, BO = {"name": "Ida", "age": 7}, {"name": "Bo", "age": 8}


def pieces_of(text: str, size: int = 1) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def of_text(pieces: Sequence[str]) -> list[AIMessageChunk]:
    return [*map(AIMessageChunk, pieces), AIMessageChunk("", chunk_position="last")]


def of_call(pieces: Sequence[str], name: str) -> list[AIMessageChunk]:
    calls = [
        tool_call_chunk(name=None if n else name, args=piece, id=None if n else "1", index=0)
        for n, piece in enumerate(pieces)
    ]
    chunks = [AIMessageChunk("", tool_call_chunks=[call]) for call in calls]
    return [*chunks, AIMessageChunk("", chunk_position="last")]


def streamed(schema: Any, mode: str, value: Any, *, size: int = 1, by_call: bool = False) -> Any:
    """What a stream yields, before each chunk's end: pairs of how much had come, and the value."""
    text = value if isinstance(value, str) else json.dumps(value)
    output = make_output_schema(schema)
    chunks = (
        of_call(pieces_of(text, size), output.name) if by_call else of_text(pieces_of(text, size))
    )
    come = 0

    def model(_: object) -> Any:
        nonlocal come
        for chunk in chunks:
            come += len(chunk.text or "".join(c["args"] or "" for c in chunk.tool_call_chunks))
            yield chunk

    chain = structured(RunnableLambda(model), output, include_raw=False, output_mode=mode)
    for one in pickle.loads(pickle.dumps(chain.last)).transform(model(None)):
        yield text[:come], one


def values(*args: Any, **kwargs: Any) -> list[Any]:
    return [value for _, value in streamed(*args, **kwargs)]


LISTS: dict[str, tuple[Any, Any, list[Any]]] = {
    "a RootModel": (Root, [IDA, BO], [Person(**IDA), Person(**BO)]),
    "a model": (
        People,
        {"title": "We", "theirs": [IDA, BO], "note": "x"},
        [Person(**IDA), Person(**BO)],
    ),
    "a RootModel in a model": (RootInside, {"them": [IDA, BO]}, [Person(**IDA), Person(**BO)]),
    "pydantic 1": (OldPeople, {"people": [IDA, BO]}, [OldPerson(**IDA), OldPerson(**BO)]),
    "a dataclass": (PlainPeople, {"people": [IDA, BO]}, [PlainPerson(**IDA), PlainPerson(**BO)]),
    "a generic one": (Page[Person], {"items": [IDA, BO]}, [Person(**IDA), Person(**BO)]),
    "a TypedDict": (TypedPeople, {"people": [IDA, BO]}, [IDA, BO]),
    "a schema with references": (REFERRED, {"people": [IDA, BO]}, [IDA, BO]),
    "texts": ({"title": "T", "type": "array"}, ["a", 'b"]', ""], ["a", 'b"]', ""]),
    "numbers": (NUMBERS, [1, 23, -4], [1, 23, -4]),
    "lists": ({"title": "L", "type": "array"}, [[1], [], [[2]]], [[1], [], [[2]]]),
    "nothing": (NUMBERS, [], []),
}


@pytest.mark.parametrize("name", LISTS)
def test_each_item_is_yielded_once_and_read(name: str) -> None:
    schema, value, items = LISTS[name]
    for size in (1, 3, 1000):
        assert values(schema, "items", value, size=size) == items
        fenced = f"Here:\n```json\n{json.dumps(value)}\n```"
        assert values(schema, "items", fenced, size=size) == items
    if isinstance(value, dict):
        assert values(schema, "items", value, by_call=True) == items


def test_an_item_is_yielded_with_its_last_character() -> None:
    come = [text for text, _ in streamed(Root, "items", [IDA, BO])]
    whole = json.dumps([IDA, BO])
    assert come == [whole[: whole.index("}") + 1], whole[:-1]]
    named = [{"name": "Ida"}, {"age": 3, "name": "Bo"}]
    come = [text for text, _ in streamed(People, "items", {"theirs": named, "title": "We"})]
    assert [text[-2:] for text in come] == ['"}', '"}']


def test_an_item_that_does_not_fit_is_an_error_at_once() -> None:
    seen = streamed(Root, "items", [IDA, {"age": 1}, BO])
    assert next(seen)[1] == Person(**IDA)
    with pytest.raises(StructuredOutputError, match=r"'Root' \(\[1\]: name: Field required"):
        next(seen)
    with pytest.raises(StructuredOutputError, match=r"\(people\[0\]: name is missing"):
        values(REFERRED, "items", {"people": [{}]})
    with pytest.raises(StructuredOutputError, match=r"is not of type integer"):
        values(NUMBERS, "items", ["x"])


@pytest.mark.parametrize(
    ("schema", "text", "complaint"),
    [
        (People, json.dumps({"title": "We", "theirs": [IDA]}), "at least 2 items"),
        (Root, json.dumps([IDA, BO])[:-8], "Input should be a valid list"),
        (People, json.dumps({"title": "We", "theirs": [IDA, BO]})[:-8], "it has no JSON"),
        (Root, "Nobody.", "it has no JSON"),
        (OldPeople, '{"people": [{"name": "A"}]}</think>{"people": [{"name": "B"}]}', "before the"),
    ],
)
def test_the_whole_is_checked_at_the_end(schema: Any, text: str, complaint: str) -> None:
    with pytest.raises(StructuredOutputError, match=complaint):
        values(schema, "items", text)


def test_instances_are_made_of_what_is_valid() -> None:
    seen = values(Person, "partial", {"name": "Ida", "town": "Oslo"})
    assert seen[:3] == [Person(name=""), Person(name="I"), Person(name="Id")]
    assert seen[-2:] == [Person(name="Ida", town="Osl"), Person(name="Ida", town="Oslo")]
    for kind in (PlainPerson, OldPerson):
        seen = values(kind, "partial", {"age": 7, "name": "Ida"}, by_call=True)
        assert seen == [kind(name="Ida"[:n], age=7) for n in range(4)]
    # A validator of the caller's own may raise anything before its value is whole.
    assert values(Person, "partial", {"name": "Mr X"}) == [Person(name=""), Person(name="Mr X")]
    assert values(Root, "partial", [IDA])[0] == Root([])
    with pytest.raises(StructuredOutputError, match="name: Field required"):
        values(Person, "partial", {"age": 3})


@pytest.mark.parametrize("mode", ["auto", "partial", None])
def test_a_dict_grows(mode: Any) -> None:
    seen = values(TypedPerson, mode, IDA)
    assert seen == [{}, {"name": ""}, {"name": "I"}, {"name": "Id"}, {"name": "Ida"}, IDA]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (TypedPerson, IDA),
        (NUMBERS, [1]),
        (Person, Person(**IDA)),
        (PlainPerson, PlainPerson(**IDA)),
    ],
)
def test_the_final_mode_yields_the_whole_once(schema: Any, value: Any) -> None:
    text = IDA if not isinstance(value, list) else value
    assert values(schema, "final", text) == [value]
    assert values(schema, "final", "```json\n" + json.dumps(text) + "\n```") == [value]


@pytest.mark.parametrize(
    ("mode", "schema", "fields", "words"),
    [
        (
            "partail",
            Person,
            {},
            "use 'auto', 'final', 'partial', 'items' (did you mean 'partial'?).",
        ),
        ("last", Person, {}, "use 'auto', 'final', 'partial', 'items'."),
        (1, Person, {}, "output_mode=1 is not known"),
        (["items"], Person, {}, "output_mode=['items'] is not known"),
        ("items", Person, {}, "'Person' has none"),
        ("items", {"type": "object", "properties": {"a": NUMBERS, "b": NUMBERS}}, {}, "has 2"),
        ("items", Root, {"include_raw": True}, "leave one of them out"),
        ("partial", Person, {"include_raw": True}, "leave one of them out"),
    ],
)
def test_what_cannot_be_streamed_is_one_sentence(
    mode: Any, schema: Any, fields: Any, words: str
) -> None:
    model = EasyLLMChat(base_url="http://localhost:9")
    with pytest.raises(ConfigurationError) as caught:
        model.with_structured_output(schema, output_mode=mode, **fields)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert message.count(". ") == 0


def test_from_a_server_in_every_mode(fake_server: FakeServer, any_mode: str) -> None:
    serve_turns(fake_server, "vllm", Turn(pieces_of(json.dumps([IDA, BO]), 5)))
    model = EasyLLMChat(base_url=fake_server.url)
    chain = model.with_structured_output(Root, output_mode="items")
    whole = Root([Person(**IDA), Person(**BO)])
    if any_mode == "stream":
        assert list(chain.stream("Hi")) == whole.root
    elif any_mode != "astream":
        assert answer(any_mode, chain) == whole


async def test_from_a_server_asynchronously(fake_server: FakeServer) -> None:
    serve_turns(fake_server, "vllm", Turn(pieces_of(json.dumps([IDA, BO]), 5)))
    for streaming in (None, False):
        model = EasyLLMChat(base_url=fake_server.url, streaming=streaming)
        chain = model.with_structured_output(Root, output_mode="items")
        assert [item async for item in chain.astream("Hi")] == [Person(**IDA), Person(**BO)]
        raw = model.with_structured_output(Root, output_mode="final", include_raw=True)
        (found,) = [one async for one in raw.astream("Hi")]
        assert found["parsed"] == Root([Person(**IDA), Person(**BO)])


def test_the_work_on_instances_grows_with_the_answer_only() -> None:
    text = json.dumps([{"name": "the name of an item", "age": 3}] * 400)
    seen = values(Root, "partial", text)
    assert 50 < len(seen) < 400  # of 17,000 characters: the longer, the less often
    assert len(seen[-1].root) == 400
