"""Many texts: how they are cut, sent side by side, cut smaller, retried and given up."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from langchain_easyllm import EasyLLMEmbeddings
from langchain_easyllm.errors import (
    AuthenticationError,
    BadRequestError,
    EasyLLMError,
    GenerationError,
    RateLimitError,
    ServerError,
    TimeoutError,
)

from ...support.cases import each_case
from ...support.embedding_modes import bodies, embedded
from ...support.fake_embedding_servers import (
    openai_route,
    serve_openai,
    serve_tei,
    tei_route,
    vectors_of,
)
from ...support.fake_errors import error
from ...support.fake_server import Barrier, FakeServer, Pause, Received, Reply, Stall

EMBED = "/embed"


def numbered(count: int) -> list[str]:
    return [f"text {n:05}" for n in range(count)]


def sizes(server: FakeServer) -> list[int]:
    return [len(body.get("inputs", body.get("input"))) for body in bodies(server)]


def model_of(server: FakeServer, **fields: Any) -> EasyLLMEmbeddings:
    return EasyLLMEmbeddings(base_url=server.url, api="embed", **fields)


@each_case(
    ("fields", "limit", "most"),
    [
        ({}, 5, 5),
        ({}, 64, 64),
        ({"batch_size": 3}, 5, 3),
        ({"batch_size": 500}, 5, 5),
        ({"batch_size": 500}, 512, 500),
    ],
)
def test_texts_are_cut_by_what_the_server_takes(
    fake_server: FakeServer, fields: dict[str, Any], limit: int, most: int, batch_mode: str
) -> None:
    serve_tei(fake_server, limit=limit)
    texts = numbered(3 * most + 1)
    model = EasyLLMEmbeddings(base_url=fake_server.url, **fields)
    assert embedded(batch_mode, model, texts) == vectors_of(texts)
    assert sorted(sizes(fake_server)) == [1, most, most, most]


def test_a_server_that_does_not_say_gets_thirty_two(
    fake_server: FakeServer, sync_or_async: str
) -> None:
    serve_openai(fake_server)
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    assert embedded(sync_or_async, model, numbered(65)) == vectors_of(numbered(65))
    assert sorted(sizes(fake_server)) == [1, 32, 32]


def test_bodies_stay_below_their_limit(fake_server: FakeServer, batch_mode: str) -> None:
    serve_tei(fake_server)
    texts = [letter * n for n in (1, 30, 300, 5000) for letter in "aé한\U0001f600\n"] * 3
    model = model_of(fake_server, max_batch_bytes=2000)
    assert embedded(batch_mode, model, texts) == vectors_of(texts)
    for request in fake_server.received(EMBED):
        assert len(request.body) <= 2000 or len(request.json["inputs"]) == 1
    assert len(fake_server.received(EMBED)) < len(texts)


def test_texts_of_like_length_go_together(fake_server: FakeServer, sync_or_async: str) -> None:
    serve_tei(fake_server, limit=4)
    texts = ["x" * (n * 37 % 64 + 1) for n in range(64)]
    model = model_of(fake_server, max_concurrency=1)
    assert embedded(sync_or_async, model, texts) == vectors_of(texts)
    sent = [text for body in bodies(fake_server) for text in body["inputs"]]
    assert sent == sorted(texts, key=len, reverse=True)


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_requests_are_in_flight_than_wanted(
    fake_server: FakeServer, most: int, batch_mode: str
) -> None:
    serve_tei(fake_server, limit=1)
    plain = tei_route()

    def slow(request: Received) -> Reply:
        return Reply(chunks=[Barrier(most, 20), Pause(0.02), *plain(request).payload()])

    fake_server.on("POST", EMBED, slow)
    model = model_of(fake_server, max_concurrency=most)
    assert embedded(batch_mode, model, numbered(12)) == vectors_of(numbered(12))
    assert fake_server.max_in_flight == most


def too_large(request: Received, most: int, refusal: Reply) -> Reply:
    if len(request.json["inputs"]) > most:
        return refusal
    return tei_route()(request)


@each_case(
    "refusal",
    [
        error("tei-body"),
        error("tei-batch"),
        Reply({"error": "too many inputs: at most 4"}, status=400),
        Reply({"error": {"message": "batch size exceeds max_client_batch_size"}}, status=429),
        Reply({"error": {"message": "input is too large to process"}}, status=500),
    ],
)
def test_a_batch_that_is_refused_for_its_size_is_halved(
    fake_server: FakeServer, refusal: Reply, batch_mode: str
) -> None:
    serve_tei(fake_server)
    fake_server.on("POST", EMBED, lambda request: too_large(request, 4, refusal))
    texts = numbered(100)
    assert embedded(batch_mode, model_of(fake_server), texts) == vectors_of(texts)


def test_the_size_that_was_refused_is_not_tried_again(
    fake_server: FakeServer, sync_or_async: str
) -> None:
    serve_tei(fake_server)
    fake_server.on("POST", EMBED, lambda request: too_large(request, 4, error("tei-batch")))
    embedded(sync_or_async, model_of(fake_server, max_concurrency=1), numbered(200))
    refused = [size for size in sizes(fake_server) if size > 4]
    assert refused == [32, 16, 8, 8, 16, 8, 8]  # the halves of the first batch, and no others


@each_case(
    ("refusal", "kind"),
    [
        (error("tei-too-long"), BadRequestError),
        (error("vllm-too-long"), BadRequestError),
        (error("tei-body"), BadRequestError),
        (error("tei-backend"), GenerationError),
    ],
)
def test_a_text_that_is_refused_is_named(
    fake_server: FakeServer, refusal: Reply, kind: type[Exception], batch_mode: str
) -> None:
    serve_tei(fake_server)
    plain = tei_route()

    def answer(request: Received) -> Reply:
        bad = any("long" in text for text in request.json["inputs"])
        return refusal if bad else plain(request)

    fake_server.on("POST", EMBED, answer)
    texts = numbered(40)
    texts[29] = "long " * 100
    with pytest.raises(kind, match=r"Text 29 \('long long .*…'\) was refused: ") as caught:
        embedded(batch_mode, model_of(fake_server, max_retries=0), texts)
    assert caught.value.status_code == refusal.status
    assert "long" not in (caught.value.body or "").split()
    assert len(caught.value.args) == 1


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        (error("tei-too-long"), "Split the text, or set truncate=True."),
        (error("vllm-too-long"), "Split the text, or set truncate=True."),
        (error("tei-body"), "Split the text."),
    ],
)
def test_a_text_that_is_too_long_is_advised_on_as_a_text(
    fake_server: FakeServer, refusal: Reply, advice: str, sync_or_async: str
) -> None:
    serve_tei(fake_server)
    fake_server.on("POST", EMBED, refusal)
    with pytest.raises(EasyLLMError) as caught:
        embedded(sync_or_async, model_of(fake_server, max_retries=0), ["word " * 600])
    message = str(caught.value)
    assert message.endswith(advice)
    assert not any(words in message for words in ("(max_tokens)", "shorter prompt", "later"))


def test_llama_cpp_cannot_truncate(fake_server: FakeServer, sync_or_async: str) -> None:
    serve_openai(fake_server, "llamacpp")
    refusal = Reply({"error": {"message": "input is too large to process"}}, status=500)
    fake_server.on("POST", "/v1/embeddings", refusal)
    model = EasyLLMEmbeddings(base_url=fake_server.url, max_retries=0)
    with pytest.raises(EasyLLMError, match=r"large to process\. Split the text\.$"):
        embedded(sync_or_async, model, ["word " * 600])


def test_a_batch_that_fails_once_costs_nobody_elses_work(
    fake_server: FakeServer, batch_mode: str
) -> None:
    serve_tei(fake_server, limit=4)
    plain = tei_route()
    failed: set[str] = set()
    answered: list[str] = []

    def flaky(request: Received) -> Reply:
        texts = request.json["inputs"]
        if texts[0] not in failed and int(texts[0].split()[1]) % 3 == 0:
            failed.add(texts[0])
            return Reply({"error": "busy"}, status=503, headers={"retry-after": "0"})
        answered.extend(texts)
        return plain(request)

    fake_server.on("POST", EMBED, flaky)
    texts = numbered(80)
    assert embedded(batch_mode, model_of(fake_server), texts) == vectors_of(texts)
    assert failed
    assert sorted(answered) == texts


def test_a_failure_for_good_ends_all(fake_server: FakeServer, batch_mode: str) -> None:
    serve_tei(fake_server, limit=1)

    def answer(request: Received) -> Reply:
        if request.json["inputs"] == ["text 00002"]:
            words = b'{"error": "broken"}'
            return Reply(chunks=[Pause(0.2), words], status=500)  # once all are in flight
        return Reply(chunks=[Pause(30), b"[]"])

    fake_server.on("POST", EMBED, answer)
    model = model_of(fake_server, max_concurrency=4, max_retries=0)
    with pytest.raises(ServerError, match="broken"):
        embedded(batch_mode, model, numbered(50))
    fake_server.wait_until(lambda: fake_server.disconnects == len(bodies(fake_server)) - 1)
    assert len(bodies(fake_server)) <= 4


def test_what_concerns_every_text_is_not_asked_in_halves(
    fake_server: FakeServer, sync_or_async: str
) -> None:
    serve_tei(fake_server)
    fake_server.on("POST", EMBED, error("router-unauthorized"))
    with pytest.raises(AuthenticationError):
        embedded(sync_or_async, model_of(fake_server, max_concurrency=1), numbered(100))
    assert sizes(fake_server) == [32]


def test_a_batch_that_has_to_wait_waits_as_long_as_others_are_served(
    fake_server: FakeServer, batch_mode: str
) -> None:
    serve_tei(fake_server, limit=2)
    plain, calls = tei_route(), itertools.count()
    busy = error("tei-overloaded", retry_after="0")
    fake_server.on("POST", EMBED, lambda r: plain(r) if next(calls) % 3 == 2 else busy)
    texts = numbered(60)
    model = model_of(fake_server, max_concurrency=8, max_retries=6)
    assert embedded(batch_mode, model, texts) == vectors_of(texts)


def test_a_server_that_serves_nobody_is_given_up(
    fake_server: FakeServer, sync_or_async: str
) -> None:
    serve_tei(fake_server)
    fake_server.on("POST", EMBED, error("tei-overloaded", retry_after="0"))
    with pytest.raises(RateLimitError):
        embedded(
            sync_or_async, model_of(fake_server, max_concurrency=1, max_retries=3), numbered(100)
        )
    assert sizes(fake_server) == [32] * 4


def test_time_is_counted_from_a_batchs_first_attempt(
    fake_server: FakeServer, sync_or_async: str
) -> None:
    serve_tei(fake_server)
    fake_server.on("POST", EMBED, Reply({"error": "x"}, status=503, headers={"retry-after": "30"}))
    with pytest.raises(ServerError):
        embedded(sync_or_async, model_of(fake_server, timeout=5), ["Hi"])
    fake_server.on("POST", EMBED, Reply(chunks=[Stall()]))
    with pytest.raises(TimeoutError):
        embedded(sync_or_async, model_of(fake_server, timeout=0.2, max_retries=0), numbered(100))


async def test_a_cancelled_task_leaves_no_request_behind(fake_server: FakeServer) -> None:
    serve_tei(fake_server, limit=1)
    fake_server.on("POST", EMBED, Reply(chunks=[Stall()]))
    model = model_of(fake_server, max_concurrency=5)
    task = asyncio.create_task(model.aembed_documents(numbered(20)))
    await asyncio.to_thread(fake_server.wait_until, lambda: len(bodies(fake_server)) == 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(fake_server.wait_until, lambda: fake_server.disconnects == 5)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_blocking_call_may_be_made_inside_a_running_loop(fake_server: FakeServer) -> None:
    serve_tei(fake_server, limit=3)
    texts = numbered(50)
    model = model_of(fake_server)
    assert model.embed_documents(texts) == vectors_of(texts)
    assert embedded("iter", model, texts) == vectors_of(texts)


def test_threads_of_one_object_do_not_mix_their_texts(fake_server: FakeServer) -> None:
    serve_tei(fake_server, limit=3)
    model = model_of(fake_server, max_concurrency=4)
    found: dict[str, object] = {}

    def work(name: str) -> None:
        texts = [f"{name} {n}" for n in range(50)]
        found[name] = model.embed_documents(texts) == vectors_of(texts)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys("abcdef", True)


class Source:
    """Texts that count how many of them were read."""

    def __init__(self, count: int) -> None:
        self.read = 0
        self.texts = numbered(count)

    def __iter__(self) -> Iterator[str]:
        for text in self.texts:
            self.read += 1
            yield text


def test_an_iterator_is_read_as_its_vectors_are_wanted(fake_server: FakeServer) -> None:
    serve_tei(fake_server, limit=2)
    source = Source(2000)
    arrays = model_of(fake_server, max_concurrency=4).iter_embeddings(source)
    assert source.read == 0
    first = next(arrays)
    assert first.tolist() == vectors_of(source.texts[:64])
    assert source.read <= 3 * 64
    arrays.close()
    gc.collect()
    quiet = len(fake_server.requests)
    fake_server.wait_until(lambda: fake_server._in_flight == 0)
    assert len(fake_server.requests) <= quiet + 4


async def test_an_async_iterator_is_closed_halfway(fake_server: FakeServer) -> None:
    serve_tei(fake_server, limit=2)
    source = Source(2000)
    arrays = model_of(fake_server, max_concurrency=4).aiter_embeddings(source)
    first = await anext(arrays)
    assert first.tolist() == vectors_of(source.texts[:64])
    assert source.read <= 3 * 64
    await arrays.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_an_iterator_of_many_sends_them_side_by_side(fake_server: FakeServer) -> None:
    serve_tei(fake_server, limit=1)
    plain = tei_route()

    def slow(request: Received) -> Reply:
        return Reply(chunks=[Barrier(33, 20), Pause(0.05), *plain(request).payload()])

    fake_server.on("POST", EMBED, slow)
    arrays = list(model_of(fake_server, max_concurrency=40).iter_embeddings(numbered(100)))
    assert sum(map(len, arrays)) == 100
    assert 32 < fake_server.max_in_flight <= 40


def test_a_bad_text_is_named_where_it_stands_in_the_whole(fake_server: FakeServer) -> None:
    serve_tei(fake_server, limit=2)
    texts = numbered(200)
    texts[130] = "word " * 600
    with pytest.raises(BadRequestError, match="Text 130 "):
        list(model_of(fake_server).iter_embeddings(texts))


def test_progress_is_shown_where_it_is_wanted(
    fake_server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    serve_tei(fake_server)
    model_of(fake_server).embed_documents(numbered(100))
    assert capsys.readouterr().err == ""
    shown = model_of(fake_server, show_progress=True)
    shown.embed_documents(numbered(100))
    assert "100/100" in capsys.readouterr().err
    shown.embed_documents_array(numbered(100))
    assert "100/100" in capsys.readouterr().err
    shown.embed_documents_array([])
    assert capsys.readouterr().err == ""


def test_a_server_that_lowers_its_limit_midway(fake_server: FakeServer, sync_or_async: str) -> None:
    """Replaced by one that takes fewer: what was learned of it is no promise."""
    serve_openai(fake_server)
    fake_server.on("POST", "/v1/embeddings", openai_route(32), openai_route(3))
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    assert embedded(sync_or_async, model, numbered(70)) == vectors_of(numbered(70))
