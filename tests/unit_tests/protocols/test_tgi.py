"""TGI's own protocol: tokens, special tokens, details, and both shapes of a whole answer."""

from __future__ import annotations

import pytest

from langchain_easyllm._protocols.events import Delta, Failure, Usage
from langchain_easyllm._protocols.reader import read_answers
from langchain_easyllm._servers.profile import GenerationApi
from langchain_easyllm.errors import ProtocolError

from ...support.fake_text_servers import tgi_generate, tgi_generate_events
from ...support.protocol_responses import decoder, dumps, read_one, read_stream


def test_special_tokens_are_no_text() -> None:
    events = map(dumps, tgi_generate_events(["One", " two"], special="<|im_end|>"))
    chunks, reader = read_stream(events, decoder(GenerationApi.GENERATE))
    assert chunks == ["One", " two"]
    assert reader.end.finish_reason == "stop"
    assert reader.end.usage == Usage(7, 3, 10)
    assert reader.end.extra == {"generated_tokens": 3}


@pytest.mark.parametrize(
    ("word", "reason"), [("length", "length"), ("eos_token", "stop"), ("stop_sequence", "stop")]
)
def test_finish_reasons(word: str, reason: str) -> None:
    events = map(dumps, tgi_generate_events(["One"], finish_reason=word))
    assert read_stream(events, decoder(GenerationApi.GENERATE))[1].end.finish_reason == reason
    body = tgi_generate("One", finish_reason=word, details=True).body
    assert read_one(GenerationApi.GENERATE, body).end.finish_reason == reason


def test_a_list_of_one_is_an_answer() -> None:
    answer = read_one(GenerationApi.GENERATE, [{"generated_text": "One"}])
    assert (answer.text, answer.end.finish_reason, answer.end.usage) == ("One", None, None)


@pytest.mark.parametrize("text", [None, ""])
def test_no_text_is_an_empty_answer(text: str | None) -> None:
    details = {"finish_reason": "length", "generated_tokens": 0, "seed": 4}
    answer = read_one(GenerationApi.GENERATE, {"generated_text": text, "details": details})
    assert (answer.text, answer.end.finish_reason) == ("", "length")
    assert answer.end.extra == {"generated_tokens": 0, "seed": 4}


def test_usage_needs_the_prefill() -> None:
    details = {"finish_reason": "length", "generated_tokens": 2, "prefill": [{"id": 1}, {"id": 2}]}
    answer = read_one(GenerationApi.GENERATE, {"generated_text": "a", "details": details})
    assert answer.end.usage == Usage(2, 2, 4)


def test_the_best_of_several_is_the_answer() -> None:
    others = [{"generated_text": "worse", "finish_reason": "length", "generated_tokens": 1}]
    details = {"finish_reason": "eos_token", "best_of_sequences": others, "tokens": []}
    answer = read_one(GenerationApi.GENERATE, {"generated_text": "best", "details": details})
    assert (answer.text, answer.end.finish_reason) == ("best", "stop")


def test_logprobs_of_a_stream() -> None:
    tops = [{"id": 1, "text": "Two", "logprob": -0.5, "special": False}]
    first, last = tgi_generate_events(["One"])
    events = [dumps({**first, "top_tokens": tops}), dumps(last)]
    chunks, _ = read_stream(events, decoder(GenerationApi.GENERATE, top_logprobs=1))
    [content] = [
        chunk.logprobs["content"]
        for chunk in chunks
        if isinstance(chunk, Delta) and chunk.logprobs is not None
    ]
    assert content == [
        {"token": "One", "logprob": -0.25, "top_logprobs": [{"token": "Two", "logprob": -0.5}]}
    ]


def test_logprobs_of_a_whole_answer() -> None:
    tokens = [
        {"id": 1, "text": "One", "logprob": -0.25, "special": False},
        {"id": 2, "text": "</s>", "logprob": -0.1, "special": True},
    ]
    details = {"finish_reason": "eos_token", "generated_tokens": 2, "tokens": tokens}
    body = {"generated_text": "One", "details": details}
    answer = read_one(GenerationApi.GENERATE, body, logprobs=True)
    assert answer.logprobs == {
        "content": [{"token": "One", "logprob": -0.25, "top_logprobs": []}],
    }
    assert read_one(GenerationApi.GENERATE, body).logprobs is None


def test_a_server_that_answers_a_stream_in_one_chunk() -> None:
    event = dumps({"generated_text": "One", "details": {"finish_reason": "length"}})
    chunks, reader = read_stream([event], decoder(GenerationApi.GENERATE))
    assert chunks == ["One"]
    assert reader.end.finish_reason == "length"


def test_done_is_understood_where_it_is_sent() -> None:
    events = [dumps({"token": {"text": "One", "special": False}}), b"[DONE]"]
    assert read_stream(events, decoder(GenerationApi.GENERATE))[0] == ["One"]


def test_stray_keys_and_absent_keys_are_no_matter() -> None:
    events = [
        {"token": {"text": "One"}, "stray": 1},
        {"index": 2, "token": {"text": None}},
        {"stray": 1},
        {"token": {"id": 3, "text": "!", "special": None}, "generated_text": "One!"},
    ]
    chunks, reader = read_stream(map(dumps, events), decoder(GenerationApi.GENERATE))
    assert chunks == ["One", "!"]
    assert reader.end.usage is None


@pytest.mark.parametrize("body", [{}, [], [{}], {"message": "Hi"}, {"choices": []}, None, 1])
def test_other_answers_are_protocol_errors(body: object) -> None:
    with pytest.raises(ProtocolError, match="generated_text"):
        read_answers(decoder(GenerationApi.GENERATE), dumps(body), ())


def test_an_error_in_place_of_an_answer() -> None:
    body = dumps({"error": "Incomplete generation", "error_type": "incomplete_generation"})
    assert read_answers(decoder(GenerationApi.GENERATE), body, ()) == Failure(body)
