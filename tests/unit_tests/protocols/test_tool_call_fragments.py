"""A call is the same however a server cuts it into fragments, streamed or whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import zip_longest
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

from ...support.cases import each_case
from ...support.text_chunks import time_growth

TOOLS = ("get", "get_weather", "weather", "now")
Fragment = dict[str, Any]
Read = list[tuple[str | None, object]]


def fragment(name: str | None = None, text: object = "", **more: object) -> Fragment:
    return {**more, "function": {"name": name, "arguments": text}}


def as_message(deltas: Sequence[ToolCallDelta]) -> AIMessageChunk:
    whole = AIMessageChunk("")
    for one in deltas:
        args = one.arguments + one.unparseable_suffix
        chunk = tool_call_chunk(name=one.name, args=args, id=one.id, index=one.index)
        whole += AIMessageChunk("", tool_call_chunks=[chunk])
    return whole


def streamed(*events: Sequence[Fragment], length: bool = False) -> Read:
    """What a stream's merged chunks hold, which is what its deltas together hold."""
    reader = ToolCallReader(ExpectedToolCalls(TOOLS))
    deltas = [delta for event in events for delta in reader.feed(event)]
    deltas += reader.close(length=length)[0]
    message = as_message(deltas)
    merged = merge_calls(deltas)
    good = [(call["name"], call["args"]) for call in message.tool_calls]
    assert good == [(c.name, parse_arguments(c.arguments)) for c in merged if not c.error]
    assert len({delta.id for delta in deltas if delta.id}) == len(merged)
    bad = [(call["name"], None) for call in message.invalid_tool_calls]
    assert len(bad) == len([call for call in merged if call.error])
    return [*good, *bad]


def whole(*fragments: Fragment) -> Read:
    reader = ToolCallReader(ExpectedToolCalls(TOOLS), whole=True)
    deltas = [*reader.feed(fragments), *reader.close(length=False)[0]]
    return [
        (c.name, None if c.error else parse_arguments(c.arguments)) for c in merge_calls(deltas)
    ]


OSLO = '{"city": "Oslo"}'
ONE = [("get_weather", {"city": "Oslo"})]


@each_case(
    "fragments",
    [
        # A new id in each fragment, with and without the name.
        [
            fragment("get_weather", "", index=0, id="x1"),
            fragment(None, '{"city"', index=0, id="x2"),
            fragment("", ': "Oslo"}', index=0, id="x3"),
        ],
        [
            fragment("get_weather", '{"city"', index=0, id="x1"),
            fragment("get_weather", ': "Oslo"}', index=0, id="x2"),
        ],
        [fragment("get_weather", "", id="x1"), fragment(None, OSLO, id="x2")],
        # The name once more in an empty last fragment.
        [fragment("get_weather", OSLO, index=0, id="x"), fragment("get_weather", "", index=0)],
        [fragment("get_weather", OSLO, index=0), fragment("get_weather", None, index=0)],
        [
            fragment("get_weather", OSLO, index=0, id="x1"),
            fragment("get_weather", "", index=0, id="x2"),
        ],
        [fragment("get_weather", OSLO), fragment("get_weather", "")],
        # The name in two fragments.
        [
            fragment("get_", "", index=0, id="x"),
            fragment("weather", "", index=0),
            fragment(None, OSLO, index=0),
        ],
        [fragment("get_wea", "", index=0, id="x"), fragment("ther", OSLO, index=0, id="x")],
        [fragment("get", "", index=0, id="x1"), fragment("_weather", OSLO, index=0, id="x2")],
        [fragment("get", "", index=0), fragment("get_weather", OSLO, index=0)],
        # The whole arguments twice.
        [fragment("get_weather", OSLO, index=0, id="x"), fragment(None, OSLO, index=0)],
        [fragment("get_weather", OSLO, index=0), fragment("get_weather", OSLO, index=0)],
        [
            fragment("get_weather", '{"city":', index=0, id="0"),
            fragment(None, '"Oslo"}', index=0, id="0"),
            fragment("get_weather", {"city": "Oslo"}, index=0, id="0"),
        ],
        [fragment("get_weather", OSLO + OSLO, index=0)],
        [fragment("get_weather", json.dumps(OSLO), index=0)] * 2,
        # An empty object behind the arguments.
        [fragment("get_weather", OSLO, index=0), fragment("get_weather", {}, index=0)],
        [fragment("get_weather", OSLO, index=0, id="x"), fragment(None, "{}", index=0)],
        [
            fragment("get_weather", OSLO, index=0),
            fragment("get_weather", "{}", index=0),
            fragment(None, OSLO, index=0),
        ],
        # An empty object before the real arguments.
        [fragment("get_weather", "{}", index=0, id="x"), fragment(None, OSLO, index=0)],
        [fragment("get_weather", {}, index=0), fragment("get_weather", OSLO, index=0)],
        [fragment("get_weather", "{", index=0), fragment(None, "}" + OSLO, index=0)],
        [
            fragment("get_weather", "{ }", index=0),
            fragment("get_weather", "", index=0),
            fragment(None, OSLO, index=0),
        ],
        # All of them so far in each fragment.
        [fragment("get_weather", text, id="x") for text in ('{"city":', '{"city":"Oslo"}')],
        [
            fragment("get_weather", text, index=0)
            for text in ("{", '{"city"', '{"city":"Os', '{"city":"Oslo"}', "", '{"city":"Oslo"}')
        ],
        # Encoded once more, and twice more.
        [
            fragment("get_weather", json.dumps(OSLO)[:9], index=0),
            fragment(None, json.dumps(OSLO)[9:], index=0),
        ],
        [fragment("get_weather", json.dumps(json.dumps(OSLO)), index=0)],
        # Special tokens behind the name and the arguments.
        [fragment("get_weather<|channel|>commentary", OSLO, index=0)],
        [fragment("get_weather<|chan", "", index=0), fragment("nel|>x", OSLO, index=0)],
        [fragment("<|tool_call|>functions.get_weather:0", f"{OSLO}<|call|>", index=0)],
    ],
)
def test_fragments_are_one_call(fragments: list[Fragment]) -> None:
    assert streamed(*[[one] for one in fragments]) == ONE


@pytest.mark.parametrize(
    ("fragments", "wanted"),
    [
        # As Ollama sends them.
        (
            [
                fragment("get_weather", OSLO, index=0, id="x1"),
                fragment("get_weather", '{"city": "Rome"}', index=0, id="x2"),
            ],
            [*ONE, ("get_weather", {"city": "Rome"})],
        ),
        (
            [fragment("now", "{}", index=0, id="x1"), fragment("now", "{}", index=0, id="x2")],
            [("now", {}), ("now", {})],
        ),
        ([fragment("now", "", index=0), fragment("get", "", index=0)], [("now", {}), ("get", {})]),
        (
            [
                fragment("get", "", index=0, id="x1"),
                fragment("weather", "", index=0, id="x2"),
            ],
            [("get", {}), ("weather", {})],
        ),
        # Without an index or an id.
        ([fragment("get_weather", OSLO), fragment("get_weather", OSLO)], ONE * 2),
        ([fragment("now", "{}"), fragment("get_weather", OSLO)], [("now", {}), *ONE]),
        (
            [
                fragment("get_weather", OSLO),
                fragment("get_weather", ""),
                fragment(None, OSLO[:5]),
                fragment(None, OSLO[5:]),
            ],
            ONE * 2,
        ),
        # A counter for an id, one index for all.
        (
            [
                fragment("get_weather", "", index=0, id="0"),
                fragment(None, OSLO, index=0, id="0"),
                fragment("get_weather", "", index=0, id="0"),
                fragment(None, '{"city"', index=0, id="0"),
                fragment(None, ': "Rome"}', index=0, id="0"),
            ],
            [*ONE, ("get_weather", {"city": "Rome"})],
        ),
        (
            [
                fragment("now", "{}", index=0, id="x1"),
                fragment("get_weather", "", index=0, id="x2"),
                fragment(None, OSLO, index=0),
            ],
            [("now", {}), *ONE],
        ),
    ],
)
def test_fragments_are_two_calls(fragments: list[Fragment], wanted: Read) -> None:
    assert streamed(*[[one] for one in fragments]) == wanted


@pytest.mark.parametrize(
    "parts",
    [['{"a":', '{"a":', "1}}"], ['{"a":', '{"a":1}', "}"], ['{"a":', '{"a":{', '"a":1}}}']],
)
def test_an_object_that_begins_like_the_arguments_stays_in_them(parts: list[str]) -> None:
    fragments = [fragment("get_weather", ""), *[fragment(None, part) for part in parts]]
    events = [[one] for one in fragments]
    assert streamed(*events) == [("get_weather", json.loads("".join(parts)))]


def test_what_stands_in_one_event_is_called_twice() -> None:
    for more in ({}, {"index": 0}):
        event = [fragment("get_weather", OSLO, **more), fragment("get_weather", OSLO, **more)]
        assert streamed(event) == ONE * 2


@pytest.mark.parametrize(
    "parts", [['{"city":', "null", "}"], ['{"city":null', "}"], ["{", '"city":', "null", "}"]]
)
def test_a_fragment_that_says_null_is_text(parts: list[str]) -> None:
    fragments = [fragment(None, part, index=0) for part in parts]
    read = streamed([fragment("get_weather", "", index=0)], *[[one] for one in fragments])
    assert read == [("get_weather", {"city": None})]


@pytest.mark.parametrize(
    "parts", [["null"], ["nu", "ll"], [None], [" ", "null "], ["{", "}"], [""]]
)
def test_no_arguments_are_an_empty_object(parts: list[str | None]) -> None:
    fragments = [fragment(None, part, index=0) for part in parts]
    assert streamed([fragment("now", "", index=0)], *[[f] for f in fragments]) == [("now", {})]


@each_case(
    ("text", "wanted"),
    [
        (OSLO, {"city": "Oslo"}),
        (OSLO * 3, {"city": "Oslo"}),
        ("{}" + OSLO, {"city": "Oslo"}),
        ("{} { }\n" + OSLO + "{}", {"city": "Oslo"}),
        (json.dumps(OSLO), {"city": "Oslo"}),
        (json.dumps(json.dumps(json.dumps(OSLO))), {"city": "Oslo"}),
        (json.dumps(json.dumps(json.dumps(json.dumps(OSLO)))), None),
        (OSLO + "<|eot_id|>", {"city": "Oslo"}),
        ('{"a": 1}{"a": 2}', None),
        (OSLO + OSLO[:5], {"city": "Oslo"}),
        (OSLO + " and more", None),
        ("{} and more", None),
        ('"Oslo"', None),
        ("null", {}),
        ('""', {}),
        ("nul", None),
        ("[]", None),
        ('{"a": "}{"}', {"a": "}{"}),
        ('{"a": "\\\\"}{"a": "\\\\"}', {"a": "\\"}),
    ],
)
@each_case("size", [1, 3, 1000])
def test_the_arguments_of_a_whole_answer_are_those_of_a_stream(
    text: str, wanted: object, size: int
) -> None:
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    events = [[fragment("get", "", index=0)], *[[fragment(None, p, index=0)] for p in parts]]
    assert streamed(*events) == whole(fragment("get", text)) == [("get", wanted)]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("get_weather<|channel|>commentary", "get_weather"),
        ("get_weather<|channel|>", "get_weather"),
        ("get_weather<｜tool▁sep｜>", "get_weather"),
        ("get_weather[ARGS]", "get_weather"),
        ("get_weather</tool_call>", "get_weather"),
        (" get_weather\n", "get_weather"),
        ("functions.get_weather", "get_weather"),
        ("functions.get_weather:12", "get_weather"),
        ("<|python_tag|>get_weather", "get_weather"),
        ("other<|channel|>commentary", "other"),
    ],
)
def test_special_tokens_at_a_name_are_cut_off(written: str, name: str) -> None:
    wanted = [(name, {} if name in TOOLS else None)]
    assert whole(fragment(written, "{}")) == wanted
    for at in range(len(written)):
        first, rest = written[:at], written[at:]
        events = [[fragment(first, "", index=0)], [fragment(rest, "", index=0)]]
        assert streamed(*events, [fragment(None, "{}", index=0)]) == wanted


def test_a_name_that_is_known_is_shown_at_once() -> None:
    reader = ToolCallReader(ExpectedToolCalls(TOOLS))
    assert [d.name for d in reader.feed([fragment("get_weather", "", index=0)])] == ["get_weather"]
    assert reader.feed([fragment("get", "", index=1)]) == ()  # it may go on
    assert [d.name for d in reader.feed([fragment(None, '{"a', index=1)])] == ["get"]


def test_arguments_are_handed_on_as_they_come() -> None:
    reader = ToolCallReader(ExpectedToolCalls(TOOLS))
    parts = ['{"ci', 'ty": ', '"Os', 'lo"}']
    seen = [reader.feed([fragment("get_weather", "", index=0)])]
    seen += [reader.feed([fragment(None, part, index=0)]) for part in parts]
    assert [d.arguments for deltas in seen for d in deltas] == ["", *parts]


VALUES = st.dictionaries(
    st.sampled_from(["a", "b", 'c"}{']),
    st.none() | st.integers() | st.text(max_size=4) | st.sampled_from(["{}", "null", '"', "\\"]),
    max_size=3,
)
NAMES = ["once", "every", "last", "cut", "token"]
IDS = ["none", "first", "same", "new", "counter"]
ARGUMENTS = ["once", "twice", "empty", "encoded"]


@st.composite
def calls_in_fragments(draw: st.DrawFn) -> tuple[Read, list[list[Fragment]]]:
    """Draw some calls, and events that hold the fragments of each in order."""
    calls: Read = []
    queues: list[list[Fragment]] = []
    for number in range(draw(st.integers(1, 3))):
        name, value = draw(st.sampled_from(TOOLS)), draw(VALUES)
        calls.append((name, value))
        manner = [draw(st.sampled_from(kinds)) for kinds in (NAMES, IDS, ARGUMENTS)]
        queues.append(_cut(draw, number, name, value, manner))
    if draw(st.booleans()):  # one call after the other
        return calls, [[one] for queue in queues for one in queue]
    together = [[one for one in group if one] for group in zip_longest(*queues)]
    if draw(st.booleans()):  # in turns
        together = [[one] for group in together for one in group]
    return calls, together


def _cut(
    draw: st.DrawFn, number: int, name: str, value: object, manner: Sequence[str]
) -> list[Fragment]:
    names, ids, arguments = manner
    text = json.dumps(value)
    text = json.dumps(text) if arguments == "encoded" else text
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    at = draw(st.integers(1, len(name) - 1))
    heads: list[str | None] = [name]
    if names == "cut":
        heads = [name[:at], name[at:]]
    elif names == "token":
        heads = [f"{name}<|chan", "nel|>commentary"][draw(st.integers(0, 1)) and 0 :]
    body: list[tuple[str | None, str]] = [(None, part) for part in parts]
    if arguments == "empty":
        body.insert(0, (None, "{}"))
    if arguments == "twice":
        body.append((None, text))
    # With new ids, a name beside arguments would be one of another call's.
    if names == "every" and not (ids == "new" and arguments in ("empty", "twice")):
        body = [(name, part) for _, part in body]
    if names == "last":
        body.append((name, ""))
    fragments = [*[(head, "") for head in heads], *body]
    identity = {
        "none": lambda _: {},
        "first": lambda n: {} if n else {"id": f"call_{number}"},
        "same": lambda _: {"id": f"call_{number}"},
        "new": lambda n: {"id": f"call_{number}_{n}"},
        "counter": lambda _: {"id": "0"},
    }[ids]
    return [
        fragment(head, part, index=number, **identity(n))
        for n, (head, part) in enumerate(fragments)
    ]


@given(calls_in_fragments())
def test_calls_are_the_same_however_they_are_cut(drawn: tuple[Read, list[list[Fragment]]]) -> None:
    calls, events = drawn
    assert streamed(*events) == calls
    assert whole(*[fragment(name, value) for name, value in calls]) == calls


@given(st.lists(st.tuples(st.sampled_from(TOOLS), VALUES), max_size=4), st.booleans())
def test_whole_calls_at_one_index_stay_apart(
    calls: list[tuple[str, dict[str, object]]], text: bool
) -> None:
    events = [
        [fragment(name, json.dumps(value) if text else value, index=0, id=f"call_{n}")]
        for n, (name, value) in enumerate(calls)
    ]
    assert streamed(*events) == [*calls]


@pytest.mark.parametrize(
    ("first", "more"),
    [
        ('{"a": "', "x"),
        ('{"a": "', '\\"'),
        ('{"a": ', "{"),
        ("", "{}"),
        ("", " "),
        ("{", " "),
        (OSLO, OSLO),
        (OSLO, "<|eot_id|>"),
        ('{"a": ', '{"a": 1'),
        ('{"a": ', '{"a": 1}'),
        ('"{', "x"),
        ("x", "y"),
    ],
)
@pytest.mark.parametrize("name", [None, "get"])
def test_the_work_grows_with_the_fragments_only(name: str | None, first: str, more: str) -> None:
    def work(parts: Sequence[str]) -> None:
        fragments = [fragment(name, part, index=0) for part in [first, *parts]]
        streamed_reader = ToolCallReader(ExpectedToolCalls(TOOLS))
        for one in [fragment("get", "", index=0), *fragments]:
            streamed_reader.feed([one])
        streamed_reader.close(length=False)

    assert time_growth(work, [more] * 300) < 40


def test_calls_of_the_text_and_of_the_server_stay_apart() -> None:
    reader = ToolCallReader(ExpectedToolCalls(TOOLS))
    written = fragment("get_weather", '<tool_call>{"city": "Os')
    deltas = [*reader.feed([written], whole=True), *reader.feed([written], whole=True)]
    deltas += reader.feed([fragment("get_weather", OSLO)])
    deltas += reader.feed([fragment("get_weather", {"city": "Rome"})], whole=True)
    deltas += reader.close(length=False)[0]
    calls = [(call.name, call.arguments, bool(call.error)) for call in merge_calls(deltas)]
    broken = ("get_weather", '<tool_call>{"city": "Os', True)
    rome = ("get_weather", '{"city": "Rome"}', False)
    assert calls == [broken, broken, ("get_weather", OSLO, False), rome]


def test_arguments_that_are_nested_too_deep_are_no_crash() -> None:
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert whole(fragment("get", deep)) == [("get", None)]
    assert streamed([fragment("get", deep, index=0)]) == [("get", None)]
    text = '{"a": ' * 100_000
    assert streamed([fragment("get", text, index=0)]) == [("get", None)]
    while deep:  # to free it does not recurse so deep
        deep = deep.pop("a")  # type: ignore[assignment]
