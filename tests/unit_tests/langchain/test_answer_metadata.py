"""What an answer tells beside its content: who gave it, how long it took, what it cost."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import BadRequestError, EasyLLMError

from ...support.fake_server import FakeServer, Pause, Reply, sse
from ...support.fake_text_servers import chat_stream, error, serve
from ...support.invocation_modes import STREAM_MODES, answer

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
TOKEN_USAGE = {"token_usage": USAGE, "model_name": "tiny"}


def chunk(delta: Mapping[str, object], **more: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more}


def end(**more: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **more}


def whole(**more: object) -> dict[str, object]:
    message = {"role": "assistant", "content": "Hello"}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **more}


def reply(mode: str, **beside: object) -> Reply:
    """An answer with keys beside it; in a stream they come with its last chunk."""
    if mode not in STREAM_MODES:
        return Reply(whole(**beside))
    return sse(chunk({"role": "assistant", "content": "Hello"}), end(**beside))


@pytest.fixture
def model(fake_server: FakeServer) -> EasyLLMChat:
    serve(fake_server, "vllm")
    return EasyLLMChat(base_url=fake_server.url, max_retries=0)


# Who answered

GROQ = {"id": "req_1", "usage": {**USAGE, "queue_time": 0.25, "total_time": 0.5, "seed": 3}}


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        ({"provider": "novita"}, {"provider": "novita"}),
        ({"x_groq": GROQ}, {"x_groq": GROQ}),
        ({"usage": GROQ["usage"]}, {"timings": {"queue_time": 0.25, "total_time": 0.5}}),
        ({"time_info": {"queue_time": 0.5}}, {"time_info": {"queue_time": 0.5}}),
        ({"timings": {"prompt_ms": 2.5}, "usage": GROQ["usage"]}, {"timings": {"prompt_ms": 2.5}}),
    ],
)
def test_what_each_server_says_beside_its_answer(
    fake_server: FakeServer, model: EasyLLMChat, beside: Any, expected: Any, mode: str
) -> None:
    fake_server.on("POST", CHAT, reply(mode, **beside))
    message = answer(mode, model)
    assert expected.items() <= message.response_metadata.items()
    counted = "usage" in beside or "x_groq" in beside
    assert bool(message.usage_metadata) is counted


@pytest.mark.parametrize("listed", [[], None])
def test_times_in_the_chunk_of_the_token_counts(
    fake_server: FakeServer, model: EasyLLMChat, listed: object, stream_mode: str
) -> None:
    last = {"choices": listed, "usage": USAGE, "timings": {"prompt_ms": 2.5}, "provider": "novita"}
    fake_server.on("POST", CHAT, sse(chunk({"content": "Hello"}), end(), last))
    metadata = answer(stream_mode, model).response_metadata
    assert metadata["timings"] == {"prompt_ms": 2.5}
    assert metadata["provider"] == "novita"


def test_the_provider_of_a_header(fake_server: FakeServer, model: EasyLLMChat, mode: str) -> None:
    told = {"x-inference-provider": "together"}
    for beside, expected in (({}, "together"), ({"provider": "novita"}, "novita")):
        answered = reply(mode, **beside)
        fake_server.on(
            "POST", CHAT, replace(answered, headers={**(answered.headers or {}), **told})
        )
        assert answer(mode, model).response_metadata["provider"] == expected


def test_the_id_of_an_answer_and_of_its_message(
    fake_server: FakeServer, model: EasyLLMChat, stream_mode: str
) -> None:
    beside = {"id": "answer-1"}
    fake_server.on("POST", CHAT, sse(chunk({"content": "Hel"}, **beside), end(**beside)))
    assert answer(stream_mode, model).response_metadata["id"] == "answer-1"
    chunks = list(model.stream("Hi"))
    [identity] = {chunk.id for chunk in chunks}
    assert identity
    assert identity.startswith("lc_run-")
    assert identity != answer(stream_mode, model).id


# Headers

SECRETS = {
    "set-cookie": "a=b",
    "authorization": "Bearer x",
    "proxy-authorization": "x",
    "x-api-key": "x",
    "x-amz-security-token": "x",
    "x-session-id": "x",
    "x-signature": "x",
}
TOLD = {"x-ratelimit-remaining-tokens": "9", "x-time-per-token": "3", "x-other": "1"}


@pytest.mark.parametrize("cls", [EasyLLMChat, EasyLLM])
def test_all_headers_but_secrets(fake_server: FakeServer, cls: Any, mode: str) -> None:
    serve(fake_server, "vllm")
    echoed = {"x-echo": "you are hf_topsecret"}
    body = {"choices": [{"index": 0, "text": "Hello", "finish_reason": "stop"}]}
    answered = reply(mode) if cls is EasyLLMChat else Reply(body)
    if cls is EasyLLM and mode in STREAM_MODES:
        answered = sse(body)
    answered = replace(answered, headers={**(answered.headers or {}), **SECRETS, **TOLD, **echoed})
    fake_server.on("POST", CHAT if cls is EasyLLMChat else COMPLETIONS, answered)
    common: Any = {"base_url": fake_server.url, "api_key": "hf_topsecret"}
    with_all = _metadata(cls(**common, include_response_headers=True), mode)["headers"]
    assert TOLD.items() <= with_all.items()
    assert with_all["x-echo"] == "you are ***"
    assert not SECRETS.keys() & with_all.keys()
    assert _metadata(cls(**common), mode)["headers"] == {"x-time-per-token": "3"}


def _metadata(model: Any, mode: str) -> dict[str, Any]:
    """Return an answer's metadata; of an LLM, whose answers are texts, its generation's."""
    if isinstance(model, EasyLLMChat):
        return dict(answer(mode, model).response_metadata)
    streams = mode in STREAM_MODES
    if mode.startswith("a"):
        result = asyncio.run(model.agenerate(["Hi"], streaming=streams))
    else:
        result = model.generate(["Hi"], streaming=streams)
    return dict(result.generations[0][0].generation_info or {})


# Times measured here


def test_how_long_an_answer_took(fake_server: FakeServer, model: EasyLLMChat, mode: str) -> None:
    late: list[Any] = [Pause(0.02), chunk({"content": "Hel"}), end()]
    slow = sse(*late) if mode in STREAM_MODES else Reply(whole(), before=[Pause(0.02)])
    fake_server.on("POST", CHAT, slow)
    began = time.monotonic()
    timing = answer(mode, model).response_metadata["timing"]
    took = time.monotonic() - began
    assert 0.02 <= timing["duration"] <= took
    if mode in STREAM_MODES:
        assert 0.02 <= timing["time_to_first_token"] < timing["duration"]
    else:
        assert timing.keys() == {"duration"}


def test_only_the_last_chunk_has_times(model: EasyLLMChat) -> None:
    chunks = list(model.stream("Hi"))
    assert len(chunks) > 2
    assert [i for i, c in enumerate(chunks) if "timing" in c.response_metadata] == [len(chunks) - 1]


def test_retries_and_repairs_are_part_of_the_time(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url, max_retries=1)
    busy = Reply({"error": "busy"}, status=503, headers={"retry-after": "0.03"})
    fake_server.on("POST", CHAT, busy, Reply(whole()), chat_stream(["a"]))
    assert model.invoke("Hi").response_metadata["timing"]["duration"] >= 0.03
    fake_server.on("POST", CHAT, busy, chat_stream(["a"], "vllm"))
    timing = answer("stream", model).response_metadata["timing"]
    assert timing["time_to_first_token"] >= 0.03
    slow = Reply(whole(), before=[Pause(0.02)])
    fake_server.on("POST", CHAT, slow, slow)
    schema = {"title": "Person", "type": "object", "properties": {"name": {"type": "string"}}}
    given = model.with_structured_output(schema, method="auto", include_raw=True).invoke("Hi")
    assert isinstance(given, dict)
    assert given["raw"].response_metadata["timing"]["duration"] >= 0.04


def test_a_text_has_times_too(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    info = _metadata(EasyLLM(base_url=fake_server.url), mode)
    keys = {"duration", "time_to_first_token"} if mode in STREAM_MODES else {"duration"}
    assert info["timing"].keys() == keys


# Token counts


def test_tokens_of_audio(fake_server: FakeServer, model: EasyLLMChat, mode: str) -> None:
    details: dict[str, Any] = {
        "prompt_tokens_details": {"audio_tokens": 5, "cached_tokens": 1},
        "completion_tokens_details": {"audio_tokens": 1},
    }
    fake_server.on("POST", CHAT, reply(mode, usage={**USAGE, **details}))
    usage = answer(mode, model).usage_metadata
    assert usage["input_token_details"] == {"audio": 5, "cache_read": 1}
    assert usage["output_token_details"] == {"audio": 1}
    fake_server.on("POST", CHAT, reply(mode, usage=USAGE))
    assert answer(mode, model).usage_metadata.keys() == {
        "input_tokens",
        "output_tokens",
        "total_tokens",
    }


GENERATE: dict[str, Callable[..., Any]] = {
    "generate": lambda model, *given: model.generate(*given),
    "agenerate": lambda model, *given: asyncio.run(model.agenerate(*given)),
}


@pytest.mark.parametrize("way", GENERATE)
def test_token_counts_of_a_result(fake_server: FakeServer, model: EasyLLMChat, way: str) -> None:
    asked = [[HumanMessage("a")], [HumanMessage("b")], [HumanMessage("c")]]
    assert GENERATE[way](model, asked[:1]).llm_output == TOKEN_USAGE
    total = {key: 3 * count for key, count in USAGE.items()}
    assert GENERATE[way](model, asked).llm_output == {"token_usage": total, "model_name": "tiny"}
    assert model.invoke("Hi").response_metadata["token_usage"] == USAGE
    # one of them was not counted
    fake_server.on("POST", CHAT, Reply(whole(model="tiny")), Reply(whole(usage=USAGE)))
    assert GENERATE[way](model, asked[:2]).llm_output == {"model_name": "tiny"}


@pytest.mark.parametrize("way", GENERATE)
def test_a_cached_answer_costs_nothing(model: EasyLLMChat, way: str) -> None:
    cached = model.model_copy(update={"cache": InMemoryCache()})
    [[first]] = GENERATE[way](cached, [[HumanMessage("a")]]).generations
    result = GENERATE[way](cached, [[HumanMessage("a")], [HumanMessage("b")]])
    assert result.llm_output == TOKEN_USAGE
    again = result.generations[0][0].message.response_metadata
    assert again["timing"] == first.message.response_metadata["timing"]


# The response of an error


@pytest.mark.parametrize("cls", [EasyLLMChat, EasyLLM])
def test_an_error_has_its_response(fake_server: FakeServer, cls: Any, mode: str) -> None:
    serve(fake_server, "vllm")
    refusal = error("vllm-too-long")
    answered = replace(refusal, headers={**SECRETS, "x-request-id": "r-7", "retry-after": "3"})
    fake_server.on("POST", CHAT if cls is EasyLLMChat else COMPLETIONS, answered)
    with pytest.raises(BadRequestError) as caught:
        answer(mode, cls(base_url=fake_server.url))
    response = caught.value.response
    assert response is not None
    assert response.status_code == 400
    assert response.json() == refusal.body
    assert response.headers["x-request-id"] == "r-7"
    assert not SECRETS.keys() & response.headers.keys()
    assert caught.value.headers == response.headers
    assert pickle.loads(pickle.dumps(caught.value)).response == response


def test_a_failure_inside_a_stream_has_one_too(
    fake_server: FakeServer, model: EasyLLMChat, stream_mode: str
) -> None:
    failed = {"error": {"message": "worker died", "code": 500}}
    answered = sse(chunk({"content": "Hel"}), failed, headers={**SECRETS, "x-request-id": "r-7"})
    fake_server.on("POST", CHAT, answered)
    with pytest.raises(EasyLLMError) as caught:
        answer(stream_mode, model)
    response = caught.value.response
    assert response is not None
    assert (response.status_code, response.json()) == (500, failed)
    assert response.headers["x-request-id"] == "r-7"
    assert not SECRETS.keys() & response.headers.keys()


def test_a_body_that_is_no_json_is_text(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    fake_server.on("POST", CHAT, Reply("<html>no</html>", status=400))
    with pytest.raises(EasyLLMError) as caught:
        EasyLLMChat(base_url=fake_server.url).invoke("Hi")
    response = caught.value.response
    assert response is not None
    assert response.text == "<html>no</html>"
    with pytest.raises(ValueError, match="Expecting value"):
        response.json()
    assert EasyLLMError("no answer").response is None


# Answers that took two requests

FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "Total",
        "schema": {"type": "object", "properties": {"total": {"type": "integer"}}},
    },
}
SPOKEN = {
    **USAGE,
    "prompt_tokens_details": {"audio_tokens": 5},
    "completion_tokens_details": {"audio_tokens": 1},
}


def test_two_requests_are_one_answer(
    fake_server: FakeServer, model: EasyLLMChat, stream_mode: str
) -> None:
    thought = chunk({"role": "assistant", "reasoning_content": "Hm."})
    first = sse(thought, chunk({"content": "It is 3."}), Pause(0.3), end(usage=SPOKEN))
    second = sse(chunk({"content": '{"total": 3}'}), end(usage=SPOKEN))
    fake_server.on("POST", CHAT, first, second)
    tools: Any = model.bind_tools([{"name": "add", "description": "Add."}], response_format=FORMAT)
    message = answer(stream_mode, tools)
    assert message.text == '{"total": 3}'
    assert len(fake_server.received(CHAT)) == 2
    usage = message.usage_metadata
    assert (usage["input_tokens"], usage["output_tokens"]) == (14, 4)
    assert usage["input_token_details"] == {"audio": 10}
    assert usage["output_token_details"] == {"audio": 2}
    timing = message.response_metadata["timing"]
    assert timing["duration"] >= 0.05
    # the reasoning of the first request is shown at once
    assert timing["time_to_first_token"] <= timing["duration"] - 0.05


def test_a_stream_without_a_finish_reason_has_one_end(
    fake_server: FakeServer, model: EasyLLMChat
) -> None:
    fake_server.on("POST", CHAT, sse(chunk({"content": "Hel"}), chunk({"content": "lo"})))
    *others, last = model.stream("Hi")
    assert [each.text for each in others] == ["Hel", "lo"]
    assert last.chunk_position == "last"
    assert last.response_metadata.keys() == {"model_provider", "timing"}
