"""From events to what a caller sees: the same, streamed or not, on every server."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_easyllm._http.sse import ErrorEvent
from langchain_easyllm._protocols.events import Delta, Failure
from langchain_easyllm._protocols.reader import ResponseReader, read_answers
from langchain_easyllm._protocols.reasoning import has_unopened_think_tag
from langchain_easyllm._servers.profile import GenerationApi
from langchain_easyllm.errors import IncompleteStreamError, ProtocolError

from ...support.cases import each_case
from ...support.protocol_responses import (
    PROTOCOLS,
    Protocol,
    as_answer,
    decoder,
    dumps,
    read_stream,
)
from ...support.text_chunks import time_growth

TOKENS = st.lists(
    st.sampled_from(
        ["Hello", " wor", "ld", "\n", "Obser", "vation", "<think>", "</think>", "<", "é", "", " "]
    ),
    max_size=10,
)
STOPS = st.lists(
    st.sampled_from(["\nObservation", "ld", "wor", "o", "on\n", "</", "Obs"]), max_size=3
).map(tuple)
ENDED = re.compile(rb'"finish_reason":"\w')
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)


@every_protocol
@given(
    tokens=TOKENS,
    stops=STOPS,
    reasoning_model=st.booleans(),
    finish_reason=st.sampled_from(["stop", "length"]),
)
def test_a_stream_says_the_same_as_a_whole_answer(
    protocol: Protocol,
    tokens: list[str],
    stops: tuple[str, ...],
    reasoning_model: bool,
    finish_reason: str,
) -> None:
    events = protocol.events(tokens, finish_reason)
    body = protocol.body(tokens, finish_reason)
    # A whole answer of an unknown model may end in thinking that its stream has shown already.
    reasoning_model = reasoning_model or has_unopened_think_tag("".join(tokens))
    chunks, reader = read_stream(events, protocol.decoder(), stops, reasoning_model=reasoning_model)
    streamed = as_answer(chunks, reader.end)
    answers = read_answers(protocol.decoder(), body, stops, reasoning_model=reasoning_model)
    assert not isinstance(answers, Failure)
    [whole] = answers
    assert (streamed.text, streamed.reasoning) == (whole.text, whole.reasoning)
    assert streamed.end.finish_reason == whole.end.finish_reason
    assert streamed.end.model == whole.end.model
    assert not any(stop in streamed.text for stop in stops)
    assert reader.partial == streamed.text


@every_protocol
@given(tokens=TOKENS, stops=STOPS, reasoning_model=st.booleans(), data=st.data())
def test_batches_of_events_make_no_difference(
    protocol: Protocol,
    tokens: list[str],
    stops: tuple[str, ...],
    reasoning_model: bool,
    data: st.DataObject,
) -> None:
    events = protocol.events(tokens)
    size = data.draw(st.integers(1, len(events)))
    batches = [events[at : at + size] for at in range(0, len(events), size)]
    one = read_stream(events, protocol.decoder(), stops, reasoning_model=reasoning_model)
    other = read_stream(batches, protocol.decoder(), stops, reasoning_model=reasoning_model)
    assert one[0] == other[0]
    assert one[1].end == other[1].end


@every_protocol
def test_every_chunk_comes_as_soon_as_its_event(protocol: Protocol) -> None:
    reader = ResponseReader(protocol.decoder())
    shown: list[str] = []
    for event in protocol.events(["One", " two", " three"]):
        shown += [chunk for chunk in reader.feed([event]) if isinstance(chunk, str)]
    assert shown == ["One", " two", " three"]
    assert reader.close() == []
    assert reader.complete


@every_protocol
def test_counts_and_names_of_the_end(protocol: Protocol) -> None:
    end = read_stream(protocol.events(["a", "b"], "length"), protocol.decoder())[1].end
    assert end.finish_reason == "length"
    if protocol.server_name == "llama-cpp-python":
        assert end.usage is None
    else:
        assert end.usage is not None
        assert (end.usage.input_tokens, end.usage.output_tokens) == (7, 2)
        assert end.usage.total_tokens == 9
    assert end.model == (None if protocol.api is GenerationApi.GENERATE else "tiny")


@every_protocol
def test_a_stream_that_breaks_off_is_an_error_with_the_text_so_far(protocol: Protocol) -> None:
    tokens = ["Hello", " wor", "ld\n", "EN", "D?", "!"]  # the stop sequence begins, and is not one
    events = protocol.events(tokens)
    first = next(at for at, event in enumerate(events) if b"Hello" in event)
    last = next(at for at, event in enumerate(events) if ENDED.search(event))
    for cut in range(last):
        reader = ResponseReader(protocol.decoder(), ("\nEND!",))
        reader.feed(events[:cut])
        assert not reader.complete
        with pytest.raises(IncompleteStreamError) as caught:
            reader.close()
        assert caught.value.partial == "".join(tokens[: max(cut - first, 0)])


@pytest.mark.parametrize(
    ("events", "complete"),
    [
        ([{"choices": [{"delta": {"content": "a"}}]}, b"[DONE]"], True),
        ([{"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}], True),
        ([{"choices": [{"delta": {}, "finish_reason": "length"}]}, b"[DONE]"], True),
        ([{"choices": [{"delta": {"content": "a"}}]}], False),
        ([{"choices": [{"delta": {"content": "a"}, "finish_reason": ""}]}], False),
        ([{"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]}], False),
        ([{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}], False),
        ([], False),
    ],
)
def test_what_says_that_an_answer_is_complete(events: Sequence[object], complete: bool) -> None:
    reader = ResponseReader(decoder(GenerationApi.CHAT))
    reader.feed([event if isinstance(event, bytes) else dumps(event) for event in events])
    if complete:
        reader.close()
    else:
        with pytest.raises(IncompleteStreamError):
            reader.close()


def test_done_alone_does_not_outlive_a_broken_connection() -> None:
    # llama-cpp-python writes it when another request pushes this one aside.
    reader = ResponseReader(decoder(GenerationApi.CHAT))
    reader.feed([dumps({"choices": [{"delta": {"content": "a"}}]}), b"[DONE]"])
    assert not reader.over
    assert not reader.complete


def test_done_after_a_finish_reason_ends_the_reading() -> None:
    reader = ResponseReader(decoder(GenerationApi.CHAT))
    reader.feed([dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]}), b"[DONE]"])
    assert reader.over


@every_protocol
def test_a_stop_ends_the_reading_at_once(protocol: Protocol) -> None:
    reader = ResponseReader(protocol.decoder(), ("END",))
    events = protocol.events(["One EN", "D two", "three"], "length")
    chunks = reader.feed(events)
    assert reader.over
    assert [chunk for chunk in chunks if isinstance(chunk, str)] == ["One "]
    assert reader.close() == []
    assert reader.end.finish_reason == "stop"
    assert reader.complete


def test_a_stop_inside_thinking_does_nothing() -> None:
    chunks, reader = read_stream(
        Protocol(GenerationApi.CHAT, "openai").events(
            ["<think>a END b</think>\n", "Yes. EN", "D no"]
        ),
        decoder(GenerationApi.CHAT),
        ("END",),
    )
    answer = as_answer(chunks, reader.end)
    assert (answer.reasoning, answer.text) == ("a END b", "Yes. ")


NO_JSON = [
    b"",
    b"null",
    b"3",
    b'"text"',
    b"[1]",
    b"<html><body>502</body></html>",
    b'{"choices":',
    b"\xff\xfe",
]
ODD_CHUNKS = [
    b'{"choices": 1}',
    b'{"choices": {"a": 1}}',
    b'{"choices": "text"}',
    b'{"choices": [null]}',
    b'{"choices": ["text"]}',
]
ODD_EVENTS = [
    b'{"token": "text"}',
    b'{"token": {}, "generated_text": "", "details": [1]}',
]


@each_case(
    ("protocol", "garbage"),
    [
        (protocol, garbage)
        for protocol in PROTOCOLS
        for garbage in NO_JSON
        + (ODD_EVENTS if protocol.api is GenerationApi.GENERATE else ODD_CHUNKS)
    ],
    ids=str,
)
def test_garbage_is_a_protocol_error_with_the_text_so_far(
    protocol: Protocol, garbage: bytes
) -> None:
    reader = ResponseReader(protocol.decoder())
    events = protocol.events(["Hello", " wide", " world"])
    chunks = reader.feed([*events[:2], garbage, *events[2:]])
    assert reader.over
    assert "".join(chunk for chunk in chunks if isinstance(chunk, str)).startswith("Hello")
    with pytest.raises(ProtocolError) as caught:
        reader.close()
    assert caught.value.partial == reader.partial
    assert "world" not in reader.partial
    assert len(str(caught.value)) < 600
    with pytest.raises(ProtocolError):
        read_answers(protocol.decoder(), garbage, ())


KEYS = """choices delta message content text token details usage error generated_text tokens
    top_tokens logprobs tool_calls finish_reason prefill index reasoning token_logprobs
    top_logprobs special function name arguments id function_call"""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "stop"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(re.findall(r"\w+", KEYS)),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("api", GenerationApi)
@given(first=JSON, second=JSON)
def test_any_json_is_read_or_is_a_protocol_error(
    api: GenerationApi, first: object, second: object
) -> None:
    reader = ResponseReader(decoder(api, logprobs=True), ("a",))
    chunks = reader.feed([dumps(first), dumps(second)])
    assert all(isinstance(chunk, str | Delta) for chunk in chunks)
    assert isinstance(reader.error, ProtocolError | None)
    try:
        answers = read_answers(decoder(api, logprobs=True), dumps(first), ("a",))
    except ProtocolError:
        return
    assert isinstance(answers, Failure) or all("a" not in answer.text for answer in answers)


ERRORS = [
    {"error": "Request failed during generation", "error_type": "generation"},
    {"error": {"message": "Out of memory", "type": "server_error", "code": 500}},
]


@every_protocol
@each_case("error", ERRORS)
def test_a_failure_inside_a_stream_ends_it(protocol: Protocol, error: object) -> None:
    reader = ResponseReader(protocol.decoder())
    events = protocol.events(["Hello", " wide", " world"])
    chunks = reader.feed([*events[:2], dumps(error), *events[2:]])
    assert reader.over
    assert reader.failure == Failure(dumps(error))
    assert "".join(p for p in chunks if isinstance(p, str)) == reader.partial
    assert not reader.complete


@every_protocol
def test_an_event_named_error_is_a_failure_whatever_it_holds(protocol: Protocol) -> None:
    reader = ResponseReader(protocol.decoder())
    reader.feed([ErrorEvent(b"no JSON at all")])
    assert reader.failure == Failure(b"no JSON at all")


@every_protocol
@each_case("error", ERRORS)
def test_a_failure_in_place_of_an_answer(protocol: Protocol, error: object) -> None:
    assert read_answers(protocol.decoder(), dumps(error), ()) == Failure(dumps(error))


def test_an_error_beside_an_empty_choice_is_a_failure() -> None:
    event = {"error": {"message": "No"}, "choices": [{"delta": {}, "finish_reason": "error"}]}
    reader = ResponseReader(decoder(GenerationApi.CHAT))
    reader.feed([dumps(event)])
    assert reader.failure == Failure(dumps(event))


def test_a_repeated_prompt_stays_whole_whatever_stops_it_holds() -> None:
    body = dumps(
        {"choices": [{"text": "Say END: one END two", "finish_reason": "stop", "index": 0}]}
    )
    answers = read_answers(decoder(GenerationApi.COMPLETIONS), body, ("END",), prompt="Say END:")
    assert not isinstance(answers, Failure)
    assert [answer.text for answer in answers] == ["Say END: one "]


@pytest.mark.parametrize("reasoning_model", [False, True])
def test_time_is_linear(reasoning_model: bool) -> None:
    event = dumps({"choices": [{"delta": {"content": "aaa<"}}]})
    end = dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    stops = ("a" * 30 + "b", "<a" * 9 + "b", "</think", "aaa<<")

    def work(chunks: Sequence[str]) -> None:
        read_stream(
            [event] * len(chunks) + [end],
            decoder(GenerationApi.CHAT),
            stops,
            reasoning_model=reasoning_model,
        )

    assert time_growth(work, [""] * 500) < 40
