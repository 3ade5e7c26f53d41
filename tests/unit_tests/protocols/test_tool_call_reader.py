"""Pieces of tool calls become calls, however they are cut and numbered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from langchain_easyllm._protocols.events import ToolCallDelta
from langchain_easyllm._protocols.tool_calls import (
    ExpectedToolCalls,
    ToolCallReader,
    merge_calls,
    parse_arguments,
)


def delta(name: str | None = None, text: object = "", **more: object) -> dict[str, object]:
    return {**more, "function": {"name": name, "arguments": text}}


def read(*events: list[dict[str, Any]], length: bool = False) -> tuple[ToolCallDelta, ...]:
    reader = ToolCallReader(ExpectedToolCalls(("a", "b")))
    deltas = [delta for event in events for delta in reader.feed(event)]
    return merge_calls([*deltas, *reader.close(length=length)[0]])


def names_and_arguments(*events: list[dict[str, Any]]) -> list[tuple[str | None, str]]:
    return [(call.name, call.arguments) for call in read(*events)]


@pytest.mark.parametrize(
    "events",
    [
        # Index in every delta, id and name in the first.
        [
            [delta("a", "{", index=0, id="x")],
            [delta(None, "}", index=0)],
            [delta("b", "", index=1)],
        ],
        # No index: a name begins a call, what has none goes on with the last.
        [[delta("a", "{")], [delta(None, "}")], [delta("b")]],
        # Always the same index, with ids of their own or none.
        [[delta("a", "{}", index=0, id="x")], [delta("b", "", index=0, id="y")]],
        [[delta("a", "{}", index=0)], [delta("b", "", index=0)]],
        # Two whole calls in one event.
        [[delta("a", "{}"), delta("b", "")]],
        [[delta("a", "{}", index=0, id="0"), delta("b", "", index=0, id="0")]],
        # Id and name in every delta.
        [[delta("a", "{", id="x")], [delta("a", "}", id="x")], [delta("b", "", id="y")]],
        # And once more with the last chunk (llama-cpp-python).
        [
            [delta("a", "{}", index=0, id="x")],
            [delta("a", "", index=0, id="x")],
            [delta("b", "", index=1, id="y")],
        ],
        # In turns.
        [
            [delta("a", "", index=0, id="x"), delta("b", "", index=1, id="y")],
            [delta(None, "{", index=0), delta(None, "", index=1)],
            [delta(None, "}", index=0)],
        ],
        # Arguments as an object.
        [[delta("a", {})], [delta("b", None)]],
    ],
)
def test_deltas_find_their_call(events: list[list[dict[str, Any]]]) -> None:
    assert names_and_arguments(*events) == [("a", "{}"), ("b", "")]


def test_the_same_tool_twice_is_two_calls() -> None:
    twice = [("a", '{"n": 1}'), ("a", '{"n": 2}')]
    assert (
        names_and_arguments([delta("a", '{"n": 1}', id="0")], [delta("a", '{"n": 2}', id="0")])
        == twice
    )
    assert names_and_arguments([delta("a", '{"n": 1}'), delta("a", '{"n": 2}')]) == twice
    assert (
        names_and_arguments([delta("a", '{"n": 1}', index=0)], [delta("a", '{"n": 2}', index=0)])
        == twice
    )


@pytest.mark.parametrize("theirs", ["", None, "0", 0, "12", [], {}])
def test_a_bad_id_is_replaced(theirs: object) -> None:
    ids = [call.id for call in read([delta("a", "{}", id=theirs), delta("b", "{}", id=theirs)])]
    assert len({*ids, theirs if isinstance(theirs, str) else None}) == 3
    assert all(isinstance(one, str) and one.isalnum() and len(one) == 9 for one in ids)


def test_a_good_id_is_kept_once() -> None:
    reader = ToolCallReader(ExpectedToolCalls(known_ids=frozenset({"known"})), whole=True)
    given = ["x-1", "x-1", "known", "123456789"]
    ids = [call.id for call in reader.feed([delta("a", "{}", id=one) for one in given])]
    assert [ids[0], ids[3]] == ["x-1", "123456789"]
    assert len({*ids, "known"}) == 5


TOP = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3)
VALUES = st.recursive(
    TOP, lambda inner: st.dictionaries(st.text(max_size=2), inner | st.lists(inner), max_size=2)
)


def as_chunks(deltas: list[ToolCallDelta]) -> AIMessageChunk:
    whole = AIMessageChunk("")
    for one in deltas:
        args = one.arguments + one.unparseable_suffix
        chunk = tool_call_chunk(name=one.name, args=args, id=one.id, index=one.index)
        whole += AIMessageChunk("", tool_call_chunks=[chunk])
    return whole


@given(VALUES, st.integers(0, 60), st.integers(1, 9), st.booleans())
def test_merged_chunks_judge_as_a_whole_answer(
    value: dict[str, Any], cut: int, size: int, ascii_only: bool
) -> None:
    """Whatever langchain-core can guess from arguments that were cut off, a call it is not."""
    text = json.dumps(value, ensure_ascii=ascii_only)[: cut or None]
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    stream = ToolCallReader(ExpectedToolCalls(("a",)))
    deltas: list[ToolCallDelta] = []
    for number, part in enumerate(parts):
        deltas += stream.feed([delta(None if number else "a", part, index=0)])
    deltas += stream.close(length=True)[0]
    message = as_chunks(deltas)
    whole = parse_arguments(text)
    assert stream.valid is (whole is not None)
    assert [call["args"] for call in message.tool_calls] == ([] if whole is None else [whole])
    assert len(message.invalid_tool_calls) == (whole is None)
    assert stream.cut is (whole is None)


@given(VALUES)
def test_a_call_that_must_not_run_never_looks_like_one(value: dict[str, Any]) -> None:
    stream = ToolCallReader(ExpectedToolCalls(("b",)))
    deltas = [*stream.feed([delta("a", value)]), *stream.close(length=False)[0]]
    assert as_chunks(deltas).tool_calls == []
    assert as_chunks(deltas).invalid_tool_calls[0]["name"] == "a"


@pytest.mark.parametrize("text", ['{"function": 1}', "[]", "x", '{"function": {"_name": 3}}', ""])
def test_a_call_without_a_name_is_no_crash(text: str) -> None:
    (call,) = read([delta(None, text)])
    assert (call.name, call.arguments, call.error) == ("", text, "The call names no tool.")
