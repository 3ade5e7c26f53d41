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
    openai_route,
    packed,
    serve_openai,
    serve_tei,
    tei_route,
    vectors_of,
)
from ...support.fake_errors import error
from ...support.fake_server import Pause, Received, Reply, WireServer

TEXTS = [f"{'long ' * (n % 13)}text {n}" for n in range(300)]


class Narrow:
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
    wire_server: WireServer, both: str, slots: int, seconds: tuple[float, ...]
) -> None:
    """Of 60 requests each wants to be sent at once, and would by itself give up after one."""
    serve_tei(wire_server)
    narrow = Narrow(slots, *seconds)
    wire_server.on("POST", "/v1/embeddings", narrow)
    model = EasyLLMEmbeddings(base_url=wire_server.url, batch_size=5, max_retries=1)
    assert embedded(both, model, TEXTS) == vectors_of(TEXTS)
    assert narrow.refused


def test_to_wait_for_a_turn_takes_no_time_from_a_request(wire_server: WireServer) -> None:
    """All sixty are sent at once; the last is served long after it was first refused."""
    serve_tei(wire_server)
    wide, narrow = Narrow(60, 0.2), Narrow(2, 0.1)
    model = EasyLLMEmbeddings(base_url=wire_server.url, batch_size=5, timeout=1.2)
    for server in (wide, narrow):  # by the second time each has a connection
        wire_server.on("POST", "/v1/embeddings", server)
        assert model.embed_documents(TEXTS) == vectors_of(TEXTS)
    assert narrow.refused


def test_a_busy_server_that_serves_nobody_is_given_up(wire_server: WireServer, both: str) -> None:
    """All are refused, so that each time one of them is refused with no other on the way."""
    serve_tei(wire_server)
    wire_server.on("POST", "/v1/embeddings", error("tei-overloaded", retry_after="0"))
    model = EasyLLMEmbeddings(base_url=wire_server.url, batch_size=5)
    with pytest.raises(RateLimitError):
        embedded(both, model, TEXTS)
    assert len(bodies(wire_server)) < 200


def test_no_batch_is_sent_again_as_it_was_refused(wire_server: WireServer, many: str) -> None:
    """Ten are in flight when the first refusal comes; each is halved twice."""
    route: Any = tei_route(8)
    wire_server.on("POST", "/embed", route)
    model = EasyLLMEmbeddings(base_url=wire_server.url, api="embed")
    assert embedded(many, model, TEXTS) == vectors_of(TEXTS)
    sent = [tuple(body["inputs"]) for body in bodies(wire_server)]
    assert len(set(sent)) == len(sent)


def test_another_server_at_the_address_is_found_out(wire_server: WireServer, both: str) -> None:
    serve_tei(wire_server)
    model = EasyLLMEmbeddings(base_url=wire_server.url, truncate=True)
    embedded(both, model, ["Hi"])
    serve_openai(wire_server, "vllm")
    wire_server.on("POST", "/embed", error("fastapi-not-found"))
    with pytest.raises(NotFoundError):
        embedded(both, model, ["Hi"])
    assert embedded(both, model, ["Hi"]) == vectors_of(["Hi"])
    assert bodies(wire_server)[-1]["truncate_prompt_tokens"] == -1


def test_a_server_that_said_nothing_may_be_another_too(wire_server: WireServer, both: str) -> None:
    wire_server.on("POST", "/v1/embeddings", openai_route())
    model = EasyLLMEmbeddings(base_url=wire_server.url, model="tiny")
    embedded(both, model, ["Hi"])
    serve_openai(wire_server, "vllm")
    wire_server.on("POST", "/v1/embeddings", error("fastapi-not-found"), openai_route())
    with suppress(NotFoundError):
        embedded(both, model, ["Hi"])
    cutting = EasyLLMEmbeddings(base_url=wire_server.url, model="tiny", truncate=True)
    assert embedded(both, cutting, ["Hi"]) == vectors_of(["Hi"])
    assert bodies(wire_server)[-1]["truncate_prompt_tokens"] == -1


def test_another_reranker_at_the_address_is_found_out(wire_server: WireServer) -> None:
    serve_tei(wire_server, "reranker")
    model = EasyLLMRerank(base_url=wire_server.url)
    assert model.compress_documents([Document("Hi")], "Hi")
    serve_openai(wire_server, "vllm")
    wire_server.on("POST", "/rerank", error("fastapi-not-found"))
    with pytest.raises(NotFoundError):
        model.compress_documents([Document("Hi")], "Hi")
    assert model.compress_documents([Document("Hi")], "Hi")


def test_a_wrong_name_costs_nobody_what_was_learned(wire_server: WireServer, both: str) -> None:
    """The server has no base64, which is found out once."""
    serve_openai(wire_server)
    floats: Any = openai_route(base64=False)

    def route(request: Received) -> Reply:
        body: Any = request.json
        if body["model"] != "tiny":
            return error("vllm-unknown-model")
        refused = Reply({"error": {"message": "base64 is not supported"}}, status=400)
        return refused if body.get("encoding_format") == "base64" else floats(request)

    wire_server.on("POST", "/v1/embeddings", route)
    model = EasyLLMEmbeddings(base_url=wire_server.url)
    assert embedded(both, model, ["Hi"]) == vectors_of(["Hi"])
    with pytest.raises(NotFoundError):
        embedded(both, EasyLLMEmbeddings(base_url=wire_server.url, model="wrong"), ["Hi"])
    before = len(bodies(wire_server))
    assert embedded(both, model, ["Hi"]) == vectors_of(["Hi"])
    assert len(bodies(wire_server)) - before == 1
    serve_openai(wire_server, "llamacpp")
    wire_server.on("POST", "/v1/embeddings", error("fastapi-not-found"), openai_route())
    with pytest.raises(NotFoundError):
        embedded(both, model, ["Hi"])
    embedded(both, model, ["Hi"])
    assert bodies(wire_server)[-1]["encoding_format"] == "base64"


def test_a_route_that_went_away_is_not_asked_for_ever(wire_server: WireServer, both: str) -> None:
    """Two servers that say nothing of themselves, one after the other, with a route each."""
    wire_server.on("POST", "/embed", tei_route(8))
    model = EasyLLMEmbeddings(base_url=wire_server.url, model="tiny")
    assert embedded(both, model, ["Hi"]) == vectors_of(["Hi"])
    wire_server.on("POST", "/embed", error("fastapi-not-found"))
    wire_server.on("POST", "/v1/embeddings", openai_route())
    with pytest.raises(NotFoundError):
        embedded(both, model, ["Hi"])
    assert embedded(both, model, ["Hi"]) == vectors_of(["Hi"])


def test_an_iterator_that_fails_is_its_own_error(wire_server: WireServer) -> None:
    serve_tei(wire_server)

    def texts() -> Iterator[str]:
        yield from map(str, range(5000))
        raise LookupError("no more")

    arrays = EasyLLMEmbeddings(base_url=wire_server.url).iter_embeddings(texts())
    with pytest.raises(LookupError, match="no more"):
        list(arrays)
    wire_server.wait_until(lambda: wire_server._in_flight == 0)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_memory_does_not_grow_with_the_texts(wire_server: WireServer, asynchronous: bool) -> None:
    data = [{"index": index, "embedding": packed([1.0] * 384)} for index in range(32)]
    wire_server.on("POST", "/v1/embeddings", Reply(json.dumps({"data": data})))
    model = EasyLLMEmbeddings(base_url=wire_server.url, model="tiny", max_concurrency=32)

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
        wire_server.requests.clear()
        return tracemalloc.get_traced_memory()[1] - before

    peak(2048)
    tracemalloc.start()
    try:
        few, many = peak(4096), peak(16_384)
    finally:
        tracemalloc.stop()
    # How many windows are open, and so the peak, varies from call to call; but it has a bound.
    assert many - few < 16_384 * 384 * 4 / 2


@pytest.mark.parametrize("way", ["documents", "adocuments", "array", "aarray"])
def test_a_failure_keeps_no_vectors(wire_server: WireServer, way: str) -> None:
    """Its traceback is a cycle as a rule, and has the frames of those who worked on them."""
    data = [{"index": index, "embedding": packed([1.0] * 384)} for index in range(32)]
    vectors = Reply(json.dumps({"data": data}))
    broken = Reply({"error": "broken"}, status=500)
    wire_server.on("POST", "/v1/embeddings", lambda r: broken if b'"last"' in r.body else vectors)
    model = EasyLLMEmbeddings(
        base_url=wire_server.url, model="tiny", max_retries=0, max_concurrency=4
    )

    def fail(count: int) -> EasyLLMError:
        with pytest.raises(ServerError, match="broken") as caught:
            embedded(way, model, ["a text"] * count + ["last"])
        wire_server.wait_until(lambda: wire_server._in_flight == 0)
        wire_server.requests.clear()
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
