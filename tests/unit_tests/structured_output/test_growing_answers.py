"""Structured answers while they are streamed: what is shown, and how much work that is."""

from __future__ import annotations

import copy
import json
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from pydantic import BaseModel
from pydantic_core import from_json

from langchain_easyllm import EasyLLMChat
from langchain_easyllm._structured_output.growing_json import NOTHING, GrowingJson
from langchain_easyllm._structured_output.json_in_text import GrowingText
from langchain_easyllm._structured_output.parser import StructuredParser
from langchain_easyllm._structured_output.schema import make_output_schema
from langchain_easyllm.errors import StructuredOutputError

from ...support.cases import each_case
from ...support.fake_server import FakeServer
from ...support.fake_tool_calls import Turn, serve_turns
from ...support.fuzzing import cut, examples
from ...support.text_chunks import time_growth

SCHEMA = {"title": "Found", "type": "object"}


class Loose(BaseModel):
    """Whatever it is."""

    b: int = 0


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
)
CONTAINERS = st.recursive(
    st.dictionaries(st.text(max_size=3), SCALARS, max_size=3) | st.lists(SCALARS, max_size=3),
    lambda inner: (
        st.dictionaries(st.text(max_size=3), inner | SCALARS, max_size=3)
        | st.lists(inner | SCALARS, max_size=3)
    ),
    max_leaves=6,
)
PLACES = st.lists(st.integers(0, 500), max_size=12)


def is_begun(part: Any, whole: Any) -> bool:
    """Whether a value may grow to another: nothing in it is guessed."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and is_begun(item, whole[key]) for key, item in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and all(map(is_begun, part, whole[: len(part)]))
    if isinstance(part, str):
        return isinstance(whole, str) and whole.startswith(part)
    return part is whole or (type(part) is type(whole) and part == whole)


@examples(40)
@given(CONTAINERS, PLACES, st.booleans(), st.sampled_from([None, 1]))
def test_what_is_shown_grows_to_the_whole(
    value: Any, places: list[int], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    growing, seen, kept = GrowingJson(), [], []
    for piece in cut(text, places):
        before = growing.value
        assert growing.feed(piece) is (growing.value is not before)
        if growing.value is not NOTHING:
            seen.append(growing.value)
            kept.append(copy.deepcopy(growing.value))
            assert is_begun(growing.value, value)
    assert growing.value == value
    assert growing.is_over
    assert not growing.is_broken
    assert seen == kept  # what was shown stays as it was


@examples(20)
@given(CONTAINERS.filter(lambda value: isinstance(value, dict)), st.integers(0, 500))
def test_it_shows_what_pydantic_shows(value: Any, place: int) -> None:
    text = json.dumps(value, ensure_ascii=False)
    text = text[: place % (len(text) + 1)]
    if text[-1:] and text[-1:] not in '"{}[]:, ' and text.count('"') % 2 == 0:
        return  # pydantic shows a number before it is over
    growing = GrowingJson()
    growing.feed(text)
    if "\\" not in text and growing.value is not NOTHING:
        assert growing.value == from_json(text, allow_partial="trailing-strings")


@each_case(
    ("text", "shown"),
    [
        ("{", {}),
        ('{"na', {}),
        ('{"name"', {}),
        ('{"name": ', {}),
        ('{"name": "', {"name": ""}),
        ('{"name": "Id', {"name": "Id"}),
        ('{"name": "Id\\', {"name": "Id"}),
        ('{"name": "Id\\u00e', {"name": "Id"}),
        ('{"name": "Id\\u00e9', {"name": "Idé"}),
        ('{"name": "\\ud83d', {"name": ""}),
        ('{"name": "\\ud83d\\ude0', {"name": ""}),
        ('{"name": "\\ud83d\\ude00', {"name": "😀"}),
        ('{"name": "\\ud83d!', {"name": "\ud83d!"}),
        ('{"name": "a\nb', {"name": "a\nb"}),
        ('{"age": 1', {}),
        ('{"age": 12,', {"age": 12}),
        ('{"age": 12 ', {"age": 12}),
        ('{"age": -1.5e3}', {"age": -1500.0}),
        ('{"ok": tru', {}),
        ('{"ok": true', {}),
        ('{"ok": true}', {"ok": True}),
        ('{"a": null, "b": [', {"a": None, "b": []}),
        ('{"b": [1, 2', {"b": [1]}),
        ('{"b": [1, {"c": "x', {"b": [1, {"c": "x"}]}),
        ('{"b": ["x", "y', {"b": ["x", "y"]}),
        ('{"b": ["x", ["', {"b": ["x", [""]]}),
        ('{"a": "x", "a": "y', {"a": "y"}),
        ('{"a": 1} and more', {"a": 1}),
        ('{"a": 1,}', {"a": 1}),
        ('{"a": "x" "b"', {"a": "x"}),
        ('{"a": "\\q', {"a": ""}),
        ('{"a": nope, "b": 1}', {}),
        ('{"a": 1]', {"a": 1}),
        ("[" * 2000, None),
    ],
)
@each_case("size", [1, 3, 10_000])
def test_nothing_is_guessed(text: str, shown: object, size: int) -> None:
    growing = GrowingJson()
    for at in range(0, len(text), size):
        growing.feed(text[at : at + size])
    assert shown is None or growing.value == shown


IDA = '{"name": "Ida", "tags": ["a"]}'
WHOLE = json.loads(IDA)


@each_case(
    "text",
    [
        IDA,
        f"\n {IDA}\n",
        f"<think>Ida {{is}} 7, `x` < {{\n</think>\n{IDA}",
        f'{{"draft": 1}}\nNo.</think>{IDA}',
        f"```json\n{IDA}\n```",
        f"Here `it` is:\n\n```\n{IDA}\n```\nOr ```\n{{}}\n```?",
        f"Sure {{x}}! {IDA} I hope that helps.",
        f"{{x}} is {IDA}",
        f"</think>```json\n{IDA}",
        f"One</think>two {{</think> {IDA}",
    ],
)
@each_case("size", [1, 2, 7, 1000])
def test_it_is_found_in_any_text(text: str, size: int) -> None:
    growing = GrowingText(arrays=False)
    for at in range(0, len(text), size):
        growing.feed(text[at : at + size])
    assert growing.value == WHOLE


def test_a_closing_tag_or_a_fence_inside_the_answer_is_text() -> None:
    value = {"text": "a</think>b ```json\n{} ```", "more": "</thin"}
    growing = GrowingText(arrays=False)
    for char in json.dumps(value):
        growing.feed(char)
    assert growing.value == value


@pytest.mark.parametrize(
    ("text", "arrays", "found"),
    [
        ('[{"a": 1}, {"b"', True, [{"a": 1}, {}]),
        ('```json\n[{"a": 1}, 2]\n```', True, [{"a": 1}, 2]),
        ('Hm.</think> [1, "x', True, [1, "x"]),
        ('See [1]: {"a": "x', True, {"a": "x"}),
        ('[{"a": 1}, 2]', False, {"a": 1}),
    ],
)
def test_an_array_is_shown_where_one_is_wanted(text: str, arrays: bool, found: object) -> None:
    growing = GrowingText(arrays=arrays)
    growing.feed(text)
    assert growing.value == found


def of_text(pieces: Sequence[str]) -> list[AIMessageChunk]:
    return [*map(AIMessageChunk, pieces), AIMessageChunk("", chunk_position="last")]


def of_call(pieces: Sequence[str], name: str = "Found") -> list[AIMessageChunk]:
    calls = [
        tool_call_chunk(
            name=None if number else name, args=piece, id=None if number else "1", index=0
        )
        for number, piece in enumerate(pieces)
    ]
    chunks = [AIMessageChunk("", tool_call_chunks=[call]) for call in calls]
    return [*chunks, AIMessageChunk("", chunk_position="last")]


@pytest.mark.parametrize("chunks_of", [of_text, of_call])
def test_a_stream_shows_each_value_once_and_ends_with_the_whole(chunks_of: Any) -> None:
    seen = [*StructuredParser(target=make_output_schema(SCHEMA)).transform(chunks_of([*IDA]))]
    assert seen[-1] == WHOLE
    assert all(one != other for one, other in pairwise(seen))
    assert seen[:3] == [{}, {"name": ""}, {"name": "I"}]


async def test_it_is_the_same_asynchronously() -> None:
    async def chunks() -> Any:
        for chunk in of_text([*IDA]):
            yield chunk

    parser = StructuredParser(target=make_output_schema(SCHEMA))
    assert [value async for value in parser.atransform(chunks())] == [
        *parser.transform(iter(of_text([*IDA])))
    ]


@pytest.mark.parametrize("given", [[AIMessage(IDA)], [IDA[:9], IDA[9:]], of_text([IDA])[:1]])
def test_whatever_is_streamed_is_read(given: list[Any]) -> None:
    parser = StructuredParser(target=make_output_schema(SCHEMA))
    assert [*parser.transform(iter(given))][-1] == WHOLE


@pytest.mark.parametrize(
    "text",
    ['{"a": [{"b": 1}', '{"a": {"b": 1}, "c', 'So: {"a": {"b": 1}', '```\n{"a": {}', '{"a": 1'],
)
@pytest.mark.parametrize("kind", [SCHEMA, Loose])
def test_a_part_of_an_answer_that_was_cut_is_not_the_answer(text: str, kind: Any) -> None:
    with pytest.raises(StructuredOutputError, match="no JSON"):
        make_output_schema(kind).parse(AIMessage(text))
    parser = StructuredParser(target=make_output_schema(kind))
    chunks = of_call([text], name=make_output_schema(kind).name)
    with pytest.raises(StructuredOutputError, match="arguments are cut"):
        list(parser.transform(iter(chunks)))


@pytest.mark.parametrize("chunks_of", [of_text, of_call])
def test_what_is_cut_is_an_error_even_if_no_chunk_is_the_last(chunks_of: Any) -> None:
    parser = StructuredParser(target=make_output_schema(SCHEMA))
    with pytest.raises(StructuredOutputError):
        list(parser.transform(iter(chunks_of([*IDA[:-4]])[:-1])))


@pytest.mark.parametrize(
    "pieces",
    [
        ['"hel', 'lo"'],
        ["5 ", "6"],
        [' "a": 1'],
        ["tru", "e "],
        ["}"],
        ["]"],
        [":", ","],
        ["x"],
        ["\ufeff{", "}"],
    ],
    ids=str,
)
def test_arguments_that_are_no_object_are_an_error_of_this_package(pieces: list[str]) -> None:
    parser = StructuredParser(target=make_output_schema(SCHEMA))
    with pytest.raises(StructuredOutputError):
        list(parser.transform(iter(of_call(pieces))))


@pytest.mark.parametrize("pieces", [["null"], ["nu", "ll"], ["<think>x</think>", "null"]], ids=str)
def test_an_answer_of_null_is_shown(pieces: list[str]) -> None:
    nothing = {"title": "Found", "type": ["object", "null"]}
    parser = StructuredParser(target=make_output_schema(nothing))
    assert [*parser.transform(iter(of_text(pieces)))] == [None]
    assert [*parser.transform(iter(pieces))] == [None]


def test_another_call_is_not_shown() -> None:
    other = AIMessageChunk(
        "", tool_call_chunks=[tool_call_chunk(name="search", args='{"q": 1}', id="0", index=0)]
    )
    own = of_call([IDA])[0]
    own.tool_call_chunks[0]["index"] = 1
    parser = StructuredParser(target=make_output_schema(SCHEMA))
    assert [*parser.transform(iter([other, own]))] == [WHOLE]


@pytest.mark.parametrize("size", [1, 5])
def test_a_list_grows_too(fake_server: FakeServer, size: int) -> None:
    text = '```json\n["a", {"b": "c"}]\n```'
    serve_turns(
        fake_server, "vllm", Turn([text[at : at + size] for at in range(0, len(text), size)])
    )
    schema = {"title": "Found", "type": "array"}
    seen = list(EasyLLMChat(base_url=fake_server.url).with_structured_output(schema).stream("Hi"))
    assert seen[-1] == ["a", {"b": "c"}]
    assert len(seen) > 2
    assert all(isinstance(one, list) for one in seen)


ITEM = json.dumps({"name": "the name of an item", "n": 1.5, "ok": True}) + ", "


@pytest.mark.parametrize("chunks_of", [of_text, of_call])
@pytest.mark.parametrize(
    ("begin", "item"), [('{"items": [', ITEM), ('{"text": "', "some words "), ('{"x": ', '{"x": ')]
)
def test_the_work_grows_with_the_answer_only(chunks_of: Any, begin: str, item: str) -> None:
    parser = StructuredParser(target=make_output_schema(SCHEMA))

    def work(pieces: Sequence[str]) -> None:
        shown = parser.transform(iter(chunks_of([begin, *pieces])))
        with pytest.raises(StructuredOutputError):
            deque(shown, 0)

    assert time_growth(work, [item[at : at + 4] for at in range(0, len(item), 4)] * 6) < 40


def test_a_long_list_grows_in_linear_time_and_each_value_stays_as_it_was() -> None:
    pieces = [f"{number}, " for number in range(3000)]
    growing, sizes = GrowingJson(), []
    growing.feed("[")
    for piece in pieces:
        if growing.feed(piece):
            sizes.append((growing.value, len(growing.value)))  # type: ignore[arg-type]
    assert all(len(value) == size for value, size in sizes)  # type: ignore[arg-type]
    assert [size for _, size in sizes[:100]] == [*range(1, 101)]
    # Each shown value is copied once: the copies are linear in the text.
    assert sum(size for _, size in sizes) < 65 * len("".join(pieces))
    assert growing.feed("7]")
    assert growing.value == [*range(3000), 7]


@pytest.mark.parametrize(
    "text", ["{", '{"', '{"a', "```\n", "`", "<", "</think", "```a", "\\", '{"a": {', "[{", " "]
)
def test_the_work_on_any_text_grows_with_the_text_only(text: str) -> None:
    def work(pieces: Sequence[str]) -> None:
        growing = GrowingText(arrays=True)
        for piece in pieces:
            growing.feed(piece)

    assert time_growth(work, ["x", *[text] * 300]) < 40
