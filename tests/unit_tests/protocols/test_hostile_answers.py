"""Whatever a server answers on whatever route: an answer, or an error of this package."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_easyllm import (
    EasyLLM,
    EasyLLMChat,
    EasyLLMCrossEncoder,
    EasyLLMEmbeddings,
    EasyLLMRerank,
    EasyLLMSparseEmbeddings,
)
from langchain_easyllm._http.models import parse_url
from langchain_easyllm._protocols.embeddings import UnusableVectors, read_vectors
from langchain_easyllm._protocols.rerank import read_scores
from langchain_easyllm._servers.session import SESSIONS
from langchain_easyllm.errors import EasyLLMError

from ...support.fake_server import FakeServer, Reply

Json = Any

CALL = {
    "id": "call_1",
    "index": 0,
    "type": "function",
    "function": {"name": "add", "arguments": '{"a": 1}'},
}
USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 2,
    "total_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 1},
}
LOGPROBS = {"content": [{"token": "a", "logprob": -1.0, "top_logprobs": []}]}
TEXT_LOGPROBS = {
    "tokens": ["a"],
    "token_logprobs": [-1.0],
    "top_logprobs": [{"a": -1.0}],
}
TOKEN = {"id": 1, "text": "Hi", "logprob": -1.0, "special": False}
DETAILS = {
    "finish_reason": "length",
    "generated_tokens": 2,
    "input_length": 3,
    "seed": 1,
    "prefill": [],
    "tokens": [TOKEN],
    "top_tokens": [[TOKEN]],
}


def chat(name: str) -> Json:
    message = {"role": "assistant", "content": "Hi", "reasoning": "hm", "tool_calls": [CALL]}
    choice = {"index": 0, name: message, "finish_reason": "stop", "logprobs": LOGPROBS}
    return {"id": "x", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}


def text() -> Json:
    choice = {"index": 0, "text": "Hi", "finish_reason": "stop", "logprobs": TEXT_LOGPROBS}
    return {"id": "x", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}


ANSWERS: dict[str, Json] = {
    "/v1/chat/completions": chat("message"),
    "/v1/completions": text(),
    "/generate": {"generated_text": "Hi", "details": DETAILS},
    "/v1/embeddings": {
        "data": [{"index": 0, "embedding": [0.5, 1.0]}],
        "model": "m",
        "usage": USAGE,
    },
    "/embed": [[0.5, 1.0]],
    "/rerank": [{"index": 0, "score": 0.5}],
    "/v1/rerank": {"results": [{"index": 0, "relevance_score": 0.5}]},
    "/predict": [[{"score": 0.5, "label": "LABEL_0"}]],
    "/score": {"data": [{"index": 0, "object": "score", "score": 0.5}]},
    "/embed_sparse": [[{"index": 5, "value": 0.5}, {"index": 1, "value": 2}]],
    "/info": {
        "model_id": "m",
        "router": "text-generation-router",
        "model_type": {"embedding": {"pooling": "cls"}},
        "max_total_tokens": 10,
        "max_client_batch_size": 4,
        "max_stop_sequences": 4,
    },
    "/v1/models": {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 10}]},
}
EVENTS: dict[str, list[Json]] = {
    "/v1/chat/completions": [chat("delta"), chat("delta")],
    "/v1/completions": [text(), text()],
    "/generate_stream": [
        {"token": TOKEN, "generated_text": None, "details": None},
        {"token": TOKEN, "generated_text": "Hi", "details": DETAILS, "top_tokens": [TOKEN]},
    ],
}
ERRORS = [
    {"error": "no", "error_type": "validation"},
    {"error": {"message": "no", "type": "x", "code": 400}, "estimated_time": 1.0},
    {"detail": [{"loc": ["body", 1], "msg": "no", "type": "x"}]},
]

DEEP, DIGITS, SURROGATE = "@deep@", "@digits@", "@surrogate@"
ODD = st.sampled_from(
    [None, True, False, 0, -1, 1, 2**63, 2**64, 10**400, 1e308, -0.0, float("nan"), float("inf"),
     "", "text", "\0", "😀", SURROGATE, DEEP, DIGITS, "9" * 5000, "null", "[]", "{}", "</think>",
     "<think>", "length", "tool_calls", [], {}, [None], [[]], [{}], [1], ["a"], [[1.0, 2.0]],
     {"a": 1}, {"text": "a"}, {"": None}]
)  # fmt: skip


def places(value: Json, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def put(value: Json, path: tuple[Any, ...], new: Json) -> Json:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


def spelled(value: Json) -> bytes:
    words = json.dumps(value)
    words = words.replace(f'"{DEEP}"', "[" * 3000 + "]" * 3000).replace(f'"{DIGITS}"', "9" * 5000)
    return words.replace(SURROGATE, "\\ud83d").encode()


@st.composite
def mutated(draw: st.DrawFn, value: Json) -> bytes:
    """The JSON of a value, with a few of its parts replaced and a few of its bytes wrong."""
    for _ in range(draw(st.integers(0, 3))):
        value = put(value, draw(st.sampled_from(list(places(value)))), draw(ODD))
    words = spelled(value)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        at = draw(st.integers(0, len(words)))
        words = words[:at] + draw(st.binary(max_size=3)) + words[at + draw(st.integers(0, 3)) :]
    return draw(st.sampled_from([words, words, words, words[: len(words) // 2]]))


def reply(draw: st.DrawFn, route: str, *, streamed: bool) -> Reply:
    status = draw(st.sampled_from([200, 200, 200, 200, 400, 404, 422, 429, 500, 503]))
    if status != 200:
        return Reply(draw(mutated(draw(st.sampled_from(ERRORS)))), status=status)
    if not streamed:
        kinds = st.sampled_from(["application/json", "text/plain", "text/html"])
        return Reply(draw(mutated(ANSWERS[route])), headers={"content-type": draw(kinds)})
    events = [draw(mutated(event)) for event in EVENTS[route]]
    lines = [b"data: " + event + b"\n\n" for event in events]
    if draw(st.booleans()):
        lines.append(b"data: [DONE]\n\n")
    return Reply(b"".join(lines), headers={"content-type": "text/event-stream"})


def invoke(model: Any) -> None:
    model.invoke("hi")


def stream(model: Any) -> None:
    for _ in model.stream("hi"):
        pass


def embed(model: Any) -> None:
    model.embed_query("hi")


def rerank(model: Any) -> None:
    model.compress_documents([Document("a")], "hi")


def score(model: Any) -> None:
    model.score([("a", "b")])


TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def with_tools(url: str) -> Any:
    return EasyLLMChat(base_url=url, api="chat", model="m", max_retries=0).bind_tools([TOOL])


def make(kind: Callable[..., Any], **fields: Any) -> Callable[[str], Any]:
    return lambda url: kind(base_url=url, max_retries=0, timeout=5, **fields)


CASES = {
    "chat": (make(EasyLLMChat, api="chat", model="m"), invoke, "/v1/chat/completions"),
    "chat tools": (with_tools, invoke, "/v1/chat/completions"),
    "completions": (make(EasyLLM, api="completions", model="m"), invoke, "/v1/completions"),
    "generate": (make(EasyLLM, api="generate", logprobs=True), invoke, "/generate"),
    "embeddings": (make(EasyLLMEmbeddings, api="embeddings", model="m"), embed, "/v1/embeddings"),
    "embed": (make(EasyLLMEmbeddings, api="embed"), embed, "/embed"),
    "rerank": (make(EasyLLMRerank, api="tei"), rerank, "/rerank"),
    "jina": (make(EasyLLMRerank, api="jina"), rerank, "/v1/rerank"),
    "predict": (make(EasyLLMCrossEncoder, api="predict"), score, "/predict"),
    "score": (make(EasyLLMCrossEncoder, api="score"), score, "/score"),
    "sparse": (make(EasyLLMSparseEmbeddings), embed, "/embed_sparse"),
    "chat stream": (make(EasyLLMChat, api="chat", model="m"), stream, "/v1/chat/completions"),
    "tools stream": (with_tools, stream, "/v1/chat/completions"),
    "completions stream": (make(EasyLLM, api="completions"), stream, "/v1/completions"),
    "generate stream": (make(EasyLLM, api="generate"), stream, "/generate_stream"),
}


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow,
          HealthCheck.function_scoped_fixture, HealthCheck.data_too_large])  # fmt: skip
@given(data=st.data())
def test_an_answer_or_an_error_of_ours(
    fake_server: FakeServer, case: str, data: st.DataObject
) -> None:
    build, call, route = CASES[case]
    streamed = call is stream
    for path in ("/info", "/v1/models"):
        fake_server.on("GET", path, Reply(status=404))
    fake_server.on("POST", route, reply(data.draw, route, streamed=streamed))
    with suppress(EasyLLMError):
        call(build(fake_server.url))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow,
          HealthCheck.function_scoped_fixture, HealthCheck.data_too_large])  # fmt: skip
@given(data=st.data())
def test_detection_of_any_server(fake_server: FakeServer, data: st.DataObject) -> None:
    for path in ("/info", "/v1/models"):
        fake_server.on("GET", path, reply(data.draw, path, streamed=False))
    fake_server.on("POST", "/v1/chat/completions", Reply(chat("message")))
    SESSIONS.forget()
    with suppress(EasyLLMError):
        EasyLLMChat(base_url=fake_server.url, max_retries=0, timeout=5).invoke("hi")


BIG = "9" * 4000  # beyond all floats, and still an integer to Python


@pytest.mark.parametrize(
    "body",
    [
        f"[[NaN, {BIG}]]",
        f'[[0.5, {BIG}], "x", NaN]',
        f"[[[NaN, {BIG}], [1, 1]]]",
        f'{{"data": [{{"index": {BIG}, "embedding": [1, NaN]}}]}}',
        '{"data": [{"index": "0", "embedding": [1]}]}',
        '{"data": [{"index": [[]], "embedding": [1]}]}',
        '{"data": [{"index": 0.0, "embedding": [1]}, {"index": "1", "embedding": [1]}]}',
        "[" * 900 + "]" * 900,
        "[" * 100_000,
        '[{"a": ' * 900,
    ],
    ids=range(10),
)
def test_vectors_that_are_none(body: str) -> None:
    for pooling in (None, "mean", "cls"):
        with pytest.raises((EasyLLMError, UnusableVectors)) as caught:
            read_vectors(body.encode(), [0], pooling)
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("score", [BIG, "NaN", "true", '"1"', "[" * 900 + "]" * 900, "null"])
def test_scores_that_are_none(score: str) -> None:
    for rest in ("", ', "also": NaN'):
        body = f'[{{"index": 0, "score": {score}{rest}}}]'
        with pytest.raises(EasyLLMError) as caught:
            read_scores(body.encode(), [0])
        assert len(str(caught.value)) < 500


HALF = "\ud800"


def test_half_a_character_in_an_address_is_refused() -> None:
    for url in (f"http://host/{HALF}", f"http://{HALF}host/", f"http://host/?a={HALF}"):
        with pytest.raises(EasyLLMError):
            parse_url(url)
        with pytest.raises(EasyLLMError):
            EasyLLMChat(base_url=url).invoke("hi")
        with pytest.raises(EasyLLMError):
            EasyLLMEmbeddings(base_url=url).embed_query("hi")
