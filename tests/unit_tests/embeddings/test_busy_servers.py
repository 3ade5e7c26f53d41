"""Servers that are busy, narrow or replaced, and corpora that are large."""

from __future__ import annotations

import asyncio
import gc
import json
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, repeat
from typing import Any

import pytest
from langchain_core.documents import Document

from langchain_easyllm import EasyLLMEmbeddings, EasyLLMRerank
from langchain_easyllm.errors import EasyLLMError, NotFoundError, RateLimitError, ServerError

from ...support.embedding_modes import bodies, embedded
from ...support.fake_embedding_servers import (
    base64_vector,
    openai_route,
    serve_openai,
    serve_tei,
    tei_route,
    vectors_of,
)
from ...support.fake_errors import error
from ...support.fake_server import FakeServer, Pause, Received, Reply

TEXTS = [f"{'long ' * (n % 13)}text {n}" for n in range(300)]


class LimitedServer:
    """A server that has only so many slots, and refuses what comes beyond."""

    def __init__(self, slots: int, *seconds: float) -> None:
        self.route: Any = openai_route()
        self.slots = slots
        self.seconds = chain(seconds, repeat(seconds[-1]))
        self.ends: list[float] = []
        self.refused = 0

    def __call__(self, request: Received) -> Reply:
        now = time.monotonic()
        self.ends = [end for end in self.ends if end > now]
        if len(self.ends) >= self.slots:
            self.refused += 1
            return error("tei-overloaded", retry_after="0")
        seconds = next(self.seconds)
        self.ends.append(now + seconds)
        reply = self.route(request)
        return Reply(reply.body, before=[Pause(seconds)])


@pytest.mark.parametrize(("slots", "seconds"), [(1, (0.5, 0.002)), (3, (0.3, 0.2, 0.1, 0.01))])
def test_a_server_with_few_slots_is_not_overrun(
    fake_server: FakeServer, sync_or_async: str, slots: int, seconds: tuple[float, ...]
) -> None:
    """Of 60 requests each wants to be sent at once, and would by itself give up after one."""
    serve_tei(fake_server)
    narrow = LimitedServer(slots, *seconds)
    fake_server.on("POST", "/v1/embeddings", narrow)
    model = EasyLLMEmbeddings(base_url=fake_server.url, batch_size=5, max_retries=1)
    assert embedded(sync_or_async, model, TEXTS) == vectors_of(TEXTS)
    assert narrow.refused


def test_to_wait_for_a_turn_takes_no_time_from_a_request(fake_server: FakeServer) -> None:
    """All sixty are sent at once; the last is served long after it was first refused."""
    serve_tei(fake_server)
    wide, narrow = LimitedServer(60, 0.2), LimitedServer(2, 0.1)
    model = EasyLLMEmbeddings(base_url=fake_server.url, batch_size=5, timeout=1.2)
    for server in (wide, narrow):  # by the second time each has a connection
        fake_server.on("POST", "/v1/embeddings", server)
        assert model.embed_documents(TEXTS) == vectors_of(TEXTS)
    assert narrow.refused


def test_a_busy_server_that_serves_nobody_is_given_up(
    fake_server: FakeServer, sync_or_async: str
) -> None:
    """All are refused, so that each time one of them is refused with no other on the way."""
    serve_tei(fake_server)
    fake_server.on("POST", "/v1/embeddings", error("tei-overloaded", retry_after="0"))
    model = EasyLLMEmbeddings(base_url=fake_server.url, batch_size=5)
    with pytest.raises(RateLimitError):
        embedded(sync_or_async, model, TEXTS)
    assert len(bodies(fake_server)) < 200


def test_no_batch_is_sent_again_as_it_was_refused(fake_server: FakeServer, batch_mode: str) -> None:
    """Ten are in flight when the first refusal comes; each is halved twice."""
    route: Any = tei_route(8)
    fake_server.on("POST", "/embed", route)
    model = EasyLLMEmbeddings(base_url=fake_server.url, api="embed")
    assert embedded(batch_mode, model, TEXTS) == vectors_of(TEXTS)
    sent = [tuple(body["inputs"]) for body in bodies(fake_server)]
    assert len(set(sent)) == len(sent)


def test_another_server_at_the_address_is_found_out(
    fake_server: FakeServer, sync_or_async: str
) -> None:
    serve_tei(fake_server)
    model = EasyLLMEmbeddings(base_url=fake_server.url, truncate=True)
    embedded(sync_or_async, model, ["Hi"])
    serve_openai(fake_server, "vllm")
    fake_server.on("POST", "/embed", error("fastapi-not-found"))
    with pytest.raises(NotFoundError):
        embedded(sync_or_async, model, ["Hi"])
    assert embedded(sync_or_async, model, ["Hi"]) == vectors_of(["Hi"])
    assert bodies(fake_server)[-1]["truncate_prompt_tokens"] == -1


def test_a_server_that_said_nothing_may_be_another_too(
    fake_server: FakeServer, sync_or_async: str
) -> None:
    fake_server.on("POST", "/v1/embeddings", openai_route())
    model = EasyLLMEmbeddings(base_url=fake_server.url, model="tiny")
    embedded(sync_or_async, model, ["Hi"])
    serve_openai(fake_server, "vllm")
    fake_server.on("POST", "/v1/embeddings", error("fastapi-not-found"), openai_route())
    with suppress(NotFoundError):
        embedded(sync_or_async, model, ["Hi"])
    cutting = EasyLLMEmbeddings(base_url=fake_server.url, model="tiny", truncate=True)
    assert embedded(sync_or_async, cutting, ["Hi"]) == vectors_of(["Hi"])
    assert bodies(fake_server)[-1]["truncate_prompt_tokens"] == -1


def test_another_reranker_at_the_address_is_found_out(fake_server: FakeServer) -> None:
    serve_tei(fake_server, "reranker")
    model = EasyLLMRerank(base_url=fake_server.url)
    assert model.compress_documents([Document("Hi")], "Hi")
    serve_openai(fake_server, "vllm")
    fake_server.on("POST", "/rerank", error("fastapi-not-found"))
    with pytest.raises(NotFoundError):
        model.compress_documents([Document("Hi")], "Hi")
    assert model.compress_documents([Document("Hi")], "Hi")


def test_a_wrong_name_costs_nobody_what_was_learned(
    fake_server: FakeServer, sync_or_async: str
) -> None:
    """The server has no base64, which is found out once."""
    serve_openai(fake_server)
    floats: Any = openai_route(base64=False)

    def route(request: Received) -> Reply:
        body: Any = request.json
        if body["model"] != "tiny":
            return error("vllm-unknown-model")
        refused = Reply({"error": {"message": "base64 is not supported"}}, status=400)
        return refused if body.get("encoding_format") == "base64" else floats(request)

    fake_server.on("POST", "/v1/embeddings", route)
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    assert embedded(sync_or_async, model, ["Hi"]) == vectors_of(["Hi"])
    with pytest.raises(NotFoundError):
        embedded(sync_or_async, EasyLLMEmbeddings(base_url=fake_server.url, model="wrong"), ["Hi"])
    before = len(bodies(fake_server))
    assert embedded(sync_or_async, model, ["Hi"]) == vectors_of(["Hi"])
    assert len(bodies(fake_server)) - before == 1
    serve_openai(fake_server, "llamacpp")
    fake_server.on("POST", "/v1/embeddings", error("fastapi-not-found"), openai_route())
    with pytest.raises(NotFoundError):
        embedded(sync_or_async, model, ["Hi"])
    embedded(sync_or_async, model, ["Hi"])
    assert bodies(fake_server)[-1]["encoding_format"] == "base64"


def test_a_route_that_went_away_is_not_asked_for_ever(
    fake_server: FakeServer, sync_or_async: str
) -> None:
    """Two servers that say nothing of themselves, one after the other, with a route each."""
    fake_server.on("POST", "/embed", tei_route(8))
    model = EasyLLMEmbeddings(base_url=fake_server.url, model="tiny")
    assert embedded(sync_or_async, model, ["Hi"]) == vectors_of(["Hi"])
    fake_server.on("POST", "/embed", error("fastapi-not-found"))
    fake_server.on("POST", "/v1/embeddings", openai_route())
    with pytest.raises(NotFoundError):
        embedded(sync_or_async, model, ["Hi"])
    assert embedded(sync_or_async, model, ["Hi"]) == vectors_of(["Hi"])


def test_an_iterator_that_fails_is_its_own_error(fake_server: FakeServer) -> None:
    serve_tei(fake_server)

    def texts() -> Iterator[str]:
        yield from map(str, range(5000))
        raise LookupError("no more")

    arrays = EasyLLMEmbeddings(base_url=fake_server.url).iter_embeddings(texts())
    with pytest.raises(LookupError, match="no more"):
        list(arrays)
    fake_server.wait_until(lambda: fake_server._in_flight == 0)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_memory_does_not_grow_with_the_texts(fake_server: FakeServer, asynchronous: bool) -> None:
    data = [{"index": index, "embedding": base64_vector([1.0] * 384)} for index in range(32)]
    fake_server.on("POST", "/v1/embeddings", Reply(json.dumps({"data": data})))
    model = EasyLLMEmbeddings(base_url=fake_server.url, model="tiny", max_concurrency=32)

    def consume(count: int) -> int:
        return sum(len(array) for array in model.iter_embeddings("text" for _ in range(count)))

    async def aconsume(count: int) -> int:
        texts = ("text" for _ in range(count))
        return sum([len(array) async for array in model.aiter_embeddings(texts)])

    def peak(count: int) -> int:
        gc.collect()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        assert (asyncio.run(aconsume(count)) if asynchronous else consume(count)) == count
        fake_server.requests.clear()
        return tracemalloc.get_traced_memory()[1] - before

    peak(2048)
    tracemalloc.start()
    try:
        few, many = peak(4096), peak(16_384)
    finally:
        tracemalloc.stop()
    # How many windows are open, and so the peak, varies from call to call; but it has a bound.
    assert many - few < 16_384 * 384 * 4 / 2


@pytest.mark.parametrize("mode", ["documents", "adocuments", "array", "aarray"])
def test_a_failure_keeps_no_vectors(fake_server: FakeServer, mode: str) -> None:
    """Its traceback is a cycle as a rule, and has the frames of those who worked on them."""
    data = [{"index": index, "embedding": base64_vector([1.0] * 384)} for index in range(32)]
    vectors = Reply(json.dumps({"data": data}))
    broken = Reply({"error": "broken"}, status=500)
    fake_server.on("POST", "/v1/embeddings", lambda r: broken if b'"last"' in r.body else vectors)
    model = EasyLLMEmbeddings(
        base_url=fake_server.url, model="tiny", max_retries=0, max_concurrency=4
    )

    def fail(count: int) -> EasyLLMError:
        with pytest.raises(ServerError, match="broken") as caught:
            embedded(mode, model, ["a text"] * count + ["last"])
        fake_server.wait_until(lambda: fake_server._in_flight == 0)
        fake_server.requests.clear()
        return caught.value

    fail(64)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        kept = fail(3200), tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        gc.enable()
    assert kept[1] < 3200 * 384 * 4 / 2
