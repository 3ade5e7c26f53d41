"""`base_url` as a list: several servers with the same model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings, EasyLLMRerank
from langchain_easyllm._servers.replicas import ReplicaSession
from langchain_easyllm.errors import (
    BadRequestError,
    ConfigurationError,
    ConnectionError,
    IncompleteStreamError,
    ModelLoadingError,
    RateLimitError,
    ServerError,
    TimeoutError,
)

from ...support.embedding_modes import embedded
from ...support.fake_embedding_servers import (
    rank_route,
    serve_tei,
    tei_route,
    vector_of,
    vectors_of,
)
from ...support.fake_server import Cut, Pause, Received, Reply, Reset, Stall
from ...support.fake_text_servers import chat, chat_stream, info_tei, info_tgi, models, serve
from ...support.invocation_modes import CLASSES, answer, text_of
from ...support.on_the_clock import ON_THE_CLOCK
from ...support.replicas import Mortal, posts, several_servers, urls
from ..langchain.test_busy_batches import Slots

CHAT = "/v1/chat/completions"
LOADING = Reply({"error": {"message": "Loading model", "code": 503}}, status=503)
FAILURES: dict[str, Reply] = {
    "reset": Reply(before=[Reset()]),
    "cut": Reply(before=[Cut()]),
    "500": Reply({"error": "broken"}, status=500),
    "502": Reply("<html>bad gateway</html>", status=502),
    "529": Reply({"error": "?"}, status=529),
    "loading": LOADING,
    "half an answer": Reply(chunks=[b'{"choices', Cut()]),
}


@pytest.fixture
def servers() -> Iterator[list[Mortal]]:
    with several_servers() as three:
        for server in three:
            serve(server, "vllm")
        yield three


@pytest.fixture(params=("documents", "adocuments"))
def sync_or_async(request: pytest.FixtureRequest) -> str:
    """Sync and async."""
    return str(request.param)


def state(model: Any) -> Any:
    session = model._connect().session
    assert isinstance(session, ReplicaSession)
    return session.transport.choice.replicas


def benched(model: Any) -> list[bool]:
    return [replica.is_benched() for replica in state(model)]


def counts(servers: list[Mortal]) -> list[int]:
    return [len(posts(server)) for server in servers]


@pytest.mark.parametrize("model_class", CLASSES)
def test_each_server_is_detected_once_and_has_its_share(
    servers: list[Mortal], any_mode: str, model_class: Any
) -> None:
    model = model_class(base_url=urls(servers))
    for _ in range(6):
        assert text_of(answer(any_mode, model)) == "Hello world"
    assert counts(servers) == [2, 2, 2]
    assert [len(server.received("/v1/models")) for server in servers] == [1, 1, 1]


def test_servers_are_detected_where_one_alone_would_not_be(servers: list[Mortal]) -> None:
    model = EasyLLMChat(base_url=urls(servers), api="chat", model="tiny")
    model.invoke("Hi")
    assert [len(server.received("/v1/models")) for server in servers] == [1, 1, 1]


@pytest.mark.parametrize("mode", ["documents", "adocuments", "array", "iter", "aiter"])
def test_embeddings(mode: str) -> None:
    texts = [f"text {n}" for n in range(960)]
    with several_servers() as servers:
        for server in servers:
            serve_tei(server)
        model = EasyLLMEmbeddings(base_url=urls(servers))
        assert embedded(mode, model, texts) == vectors_of(texts)
        assert sum(counts(servers)) == 30
        assert min(counts(servers)) >= 5


def test_the_smallest_batch_that_all_take_is_sent() -> None:
    texts = [f"text {n}" for n in range(64)]
    with several_servers(2) as servers:
        for server, size in zip(servers, (32, 8), strict=True):
            server.on("GET", "/info", info_tei(max_client_batch_size=size))
            server.on("POST", "/embed", tei_route(size))
        model = EasyLLMEmbeddings(base_url=urls(servers), api="embed")
        assert model.embed_documents(texts) == vectors_of(texts)
        assert sum(counts(servers)) == 8


def test_reranking(sync_or_async: str) -> None:
    documents = [Document(f"text {n}") for n in range(90)]
    with several_servers() as servers:
        for server in servers:
            server.on("GET", "/info", info_tei("reranker"))
            server.on("POST", "/rerank", rank_route())
        model = EasyLLMRerank(base_url=urls(servers))
        alone = EasyLLMRerank(base_url=servers[0].url)
        if sync_or_async == "documents":
            best = model.compress_documents(documents, "query")
        else:
            best = asyncio.run(model.acompress_documents(documents, "query"))
        assert counts(servers) == [1, 1, 1]
        assert best == alone.compress_documents(documents, "query")


def test_a_call_without_a_timeout_goes_on_as_well(servers: list[Mortal], mode: str) -> None:
    for server in servers[:2]:
        server.on("POST", CHAT, FAILURES["500"])
    model = EasyLLMChat(base_url=urls(servers), max_retries=0, timeout=None)
    assert text_of(answer(mode, model)) == "Hello world"
    assert counts(servers) == [1, 1, 1]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_request_goes_on_from_a_server_that_fails(
    servers: list[Mortal], mode: str, failure: str
) -> None:
    """It takes no retry, and the server that failed is left alone for a while."""
    servers[0].on("POST", CHAT, FAILURES[failure])
    model = EasyLLMChat(base_url=urls(servers), max_retries=0)
    for _ in range(4):
        assert text_of(answer(mode, model)) == "Hello world"
    assert len(posts(servers[0])) == 1
    assert benched(model) == [True, False, False]


def test_a_server_that_is_not_there_is_no_error(servers: list[Mortal], mode: str) -> None:
    servers[0].kill()
    servers[0].wait_until(lambda: not servers[0]._thread.is_alive())
    model = EasyLLMChat(base_url=urls(servers), max_retries=0)
    assert text_of(answer(mode, model)) == "Hello world"
    assert benched(model) == [True, False, False]


def test_a_stream_goes_on_to_another_server_before_its_first_piece_only(
    servers: list[Mortal], stream_mode: str
) -> None:
    opened = Reply(chunks=[b": wait\n\n", Cut()], headers={"content-type": "text/event-stream"})
    whole = chat_stream(["Hello", " world"], server_name="vllm")
    begun = Reply(chunks=[*list(whole.chunks or [])[:2], Cut()], headers=whole.headers)
    servers[0].on("POST", CHAT, opened)
    for server in servers[1:]:
        server.on("POST", CHAT, begun)
    model = EasyLLMChat(base_url=urls(servers), max_retries=2)
    with pytest.raises(IncompleteStreamError) as failure:
        answer(stream_mode, model)
    assert failure.value.partial == "Hello"
    assert counts(servers) == [1, 1, 0]
    assert benched(model) == [True, True, False]


def test_a_server_that_stops_in_the_middle_of_a_stream_gets_no_more(servers: list[Mortal]) -> None:
    whole = chat_stream(["Hello", " world"], server_name="vllm")
    servers[0].on("POST", CHAT, Reply(chunks=[*list(whole.chunks or [])[:2], Reset()]))
    model = EasyLLMChat(base_url=urls(servers))
    with pytest.raises(ConnectionError):
        model.invoke("Hi", streaming=True)
    for _ in range(4):
        model.invoke("Hi")
    assert len(posts(servers[0])) == 1


def test_a_server_that_does_not_answer_in_time_is_benched(servers: list[Mortal]) -> None:
    servers[0].on("POST", CHAT, Reply(before=[Stall()]))
    model = EasyLLMChat(base_url=urls(servers), timeout=0.3)
    with pytest.raises(TimeoutError):
        model.invoke("Hi")
    assert model.invoke("Hi").text == "Hello world"
    assert benched(model) == [True, False, False]


HANGING = {
    "no answer": Reply(before=[Stall()]),
    "no piece": Reply(chunks=[Stall()], headers={"content-type": "text/event-stream"}),
}


@pytest.mark.parametrize("hanging", HANGING)
def test_a_server_that_sends_no_piece_leaves_time_for_another(
    servers: list[Mortal], stream_mode: str, hanging: str
) -> None:
    servers[0].on("POST", CHAT, HANGING[hanging])
    model = EasyLLMChat(base_url=urls(servers), timeout=1.2, max_retries=0)
    assert text_of(answer(stream_mode, model)) == "Hello world"
    assert counts(servers) == [1, 1, 0]
    assert benched(model) == [True, False, False]


@pytest.mark.parametrize("mode", ["documents", "aquery"])
def test_a_server_that_hangs_costs_no_text(mode: str) -> None:
    texts = [f"text {n}" for n in range(64)]
    with several_servers(2) as servers:
        for server in servers:
            serve_tei(server)
        servers[0].on("POST", "/v1/embeddings", Reply(before=[Stall()]))
        model = EasyLLMEmbeddings(base_url=urls(servers), timeout=1.2, max_retries=0)
        assert embedded(mode, model, texts[:1] if mode == "aquery" else texts)
        assert benched(model) == [True, False]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_the_answer_of_all(servers: list[Mortal], mode: str, status: int) -> None:
    for server in servers:
        server.on("POST", CHAT, Reply({"error": {"message": "no"}}, status=status))
    model = EasyLLMChat(base_url=urls(servers), api="chat", model="tiny")
    with pytest.raises(Exception, match=str(status)):
        answer(mode, model)
    assert sum(counts(servers)) == 1
    assert benched(model) == [False] * 3


def test_a_busy_server_is_not_benched(servers: list[Mortal], any_mode: str) -> None:
    busy = Reply({"error": "busy"}, status=429, headers={"retry-after": "30"})
    servers[0].on("POST", CHAT, busy)
    model = EasyLLMChat(base_url=urls(servers), max_retries=0)
    for _ in range(3):
        assert text_of(answer(any_mode, model)) == "Hello world"
    assert benched(model) == [False] * 3
    assert state(model)[0].limit.limit == 1


def test_a_call_that_all_are_too_busy_for_waits(servers: list[Mortal], mode: str) -> None:
    busy = Reply({"error": "busy"}, status=429, headers={"retry-after": "0.05"})
    for server in servers:
        server.on("POST", CHAT, busy)
    model = EasyLLMChat(base_url=urls(servers), max_retries=2)
    with pytest.raises(RateLimitError):
        answer(mode, model)
    assert counts(servers) == [3, 3, 3]


def test_where_all_fail_the_usual_retries_hold(servers: list[Mortal], mode: str) -> None:
    for server in servers:
        server.on("POST", CHAT, Reply({"error": "no"}, status=503, headers={"retry-after": "0"}))
    model = EasyLLMChat(base_url=urls(servers), max_retries=2)
    with pytest.raises(ServerError):
        answer(mode, model)
    assert sum(counts(servers)) == 5  # each once, then one of them in each retry
    servers[1].on("POST", CHAT, chat("again", server_name="vllm"))
    assert EasyLLMChat(base_url=urls(servers), max_retries=2).invoke("Hi").text == "again"


def test_where_all_are_away_the_error_says_so(sync_or_async: str) -> None:
    with several_servers() as servers:
        addresses = urls(servers)
    model = EasyLLMEmbeddings(base_url=addresses, max_retries=0)
    with pytest.raises(ConnectionError, match="refuses the connection"):
        embedded(sync_or_async, model, ["a", "b"])


def test_cold_starts_of_all_are_waited_for(servers: list[Mortal], mode: str) -> None:
    warm = chat_stream if "stream" in mode else chat
    said: Any = ["warm"] if "stream" in mode else "warm"
    for server in servers:
        server.on("POST", CHAT, LOADING, LOADING, warm(said, server_name="vllm"))
    model = EasyLLMChat(base_url=urls(servers), max_retries=0)
    with pytest.raises(ModelLoadingError):
        answer(mode, model)
    model = EasyLLMChat(base_url=urls(servers), max_retries=0, wait_for_model=20)
    assert text_of(answer(mode, model)) == "warm"


def loading_for(seconds: float, ready: Reply) -> Any:
    """A route whose server is loading for so many seconds."""
    end = time.monotonic() + seconds
    return lambda _: LOADING if time.monotonic() < end else ready


def test_a_cold_start_is_waited_for_though_another_server_is_away(
    servers: list[Mortal], any_mode: str
) -> None:
    """Its bench ends meanwhile, and it fails again: that is no answer for a call that waits."""
    servers[0].kill()
    servers[0].wait_until(lambda: not servers[0]._thread.is_alive())
    warm = chat_stream if "stream" in any_mode else chat
    said: Any = ["warm"] if "stream" in any_mode else "warm"
    for server in servers[1:]:
        server.on("POST", CHAT, loading_for(0.25, warm(said, server_name="vllm")))
    model = EasyLLMChat(base_url=urls(servers), max_retries=0, wait_for_model=20)
    if any_mode in ("invoke", "ainvoke"):
        model._connect().session.detect(model._retry_policy())
        state(model)[0].benched_until = 0.0
    assert text_of(answer(any_mode, model)) == "warm"


@pytest.mark.parametrize("many", ["batch", "abatch"])
def test_a_cold_start_is_polled_by_one_row(servers: list[Mortal], many: str) -> None:
    for server in servers:
        server.on("POST", CHAT, loading_for(0.6, chat("warm", server_name="vllm")))
    model = EasyLLMChat(base_url=urls(servers), max_retries=0, wait_for_model=20)
    rows = ["row"] * 40
    answers = model.batch(rows) if many == "batch" else asyncio.run(model.abatch(rows))
    assert {one.text for one in answers} == {"warm"}
    # At most all of the rows at each of them at first, six polls, and the answers.
    assert sum(counts(servers)) <= 3 * 40 + 3 * 6 + 40


def test_what_servers_are_that_load_is_known_before_a_request_is_made(sync_or_async: str) -> None:
    """By the first of them that is up, wherever it is in the list: its routes are its own."""
    documents = [Document(f"text {n}") for n in range(40)]
    with several_servers() as servers:
        for server, seconds in zip(servers, (60, 0.3, 60), strict=True):
            server.on("GET", "/info", loading_for(seconds, info_tei("reranker")))
            server.on("POST", "/rerank", rank_route())
        model = EasyLLMRerank(base_url=urls(servers), max_retries=0, wait_for_model=20)
        if sync_or_async == "documents":
            best = model.compress_documents(documents, "query")
        else:
            best = asyncio.run(model.acompress_documents(documents, "query"))
        assert best
        assert {request.path for server in servers for request in posts(server)} == {"/rerank"}


def test_a_probe_that_fails_goes_on_to_a_server_that_may_be_back(servers: list[Mortal]) -> None:
    model = EasyLLMChat(base_url=urls(servers[:2]), max_retries=0)
    for _ in range(2):
        model.invoke("Hi")
    servers[0].on("POST", CHAT, FAILURES["500"])
    servers[1].on("POST", CHAT, FAILURES["500"], chat("back", server_name="vllm"))
    with pytest.raises(ServerError):
        model.invoke("Hi")
    state(model)[0].benched_until = 0.0  # the first is probed, and the second still benched
    assert model.invoke("Hi").text == "back"


def test_the_shortest_pause_that_a_server_asks_for_counts(servers: list[Mortal], mode: str) -> None:
    ok = chat_stream(["ok"], server_name="vllm") if "stream" in mode else chat("ok")
    for server, pause in zip(servers, ("100", "0.05", "100"), strict=True):
        busy = Reply({"error": "busy"}, status=429, headers={"retry-after": pause})
        server.on("POST", CHAT, busy, ok)
    assert text_of(answer(mode, EasyLLMChat(base_url=urls(servers), timeout=10))) == "ok"


def test_all_that_load_when_they_are_detected_are_waited_for(servers: list[Mortal]) -> None:
    for server in servers:
        for route in ("/info", "/v1/models"):
            server.on("GET", route, LOADING, LOADING, LOADING, models(owned_by="vllm"))
    model = EasyLLMChat(base_url=urls(servers), max_retries=0, wait_for_model=20)
    assert model.invoke("Hi").text == "Hello world"


def test_a_server_that_comes_back_is_used_again(servers: list[Mortal]) -> None:
    servers[0].kill()
    servers[0].wait_until(lambda: not servers[0]._thread.is_alive())
    model = EasyLLMChat(base_url=urls(servers))
    model.invoke("Hi")
    with Mortal(port=int(servers[0].url.rpartition(":")[2])) as again:
        serve(again, "vllm")
        limit = time.monotonic() + 10
        while not posts(again):
            model.invoke("Hi")
            assert time.monotonic() < limit
        assert again.received("/v1/models")
        assert benched(model) == [False] * 3


def test_a_server_that_comes_back_with_another_model_gets_no_requests(
    servers: list[Mortal],
) -> None:
    servers[0].kill()
    servers[0].wait_until(lambda: not servers[0]._thread.is_alive())
    model = EasyLLMChat(base_url=urls(servers))
    model.invoke("Hi")
    with Mortal(port=int(servers[0].url.rpartition(":")[2])) as again:
        serve(again, "vllm", model="other")
        state(model)[0].benched_until = 0.0
        with pytest.warns(UserWarning, match=f"{again.url} is vllm with other.*no requests"):
            texts = [model.invoke("Hi").text for _ in range(4)]
        assert texts == ["Hello world"] * 4
        assert posts(again) == []
        # Once all have it, it is theirs.
        for server in servers[1:]:
            serve(server, "vllm", model="other")
        state(model)[0].benched_until = 0.0
        for _ in range(4):
            assert model.invoke("Hi").text == "Hello world"
        assert posts(again)
        assert posts(again)[-1].json["model"] == "other"  # type: ignore[index, call-overload]


DIFFERENT: dict[str, tuple[Any, Any, list[str]]] = {
    "models": (models("one", owned_by="vllm"), models("two", owned_by="vllm"), ["one", "two"]),
    "kinds": (models("one", owned_by="vllm"), models("one", owned_by="sglang"), ["vllm", "sglang"]),
    "infos": (info_tgi(model_id="one"), info_tgi(model_id="two"), ["tgi", "one", "two"]),
    "tei": (info_tei(), info_tei("reranker"), ["embedding", "reranker"]),
}


@pytest.mark.parametrize("difference", DIFFERENT)
def test_servers_that_differ_are_an_error_that_names_both(difference: str) -> None:
    *replies, words = DIFFERENT[difference]
    with several_servers(3) as servers:
        route = "/v1/models" if difference in ("models", "kinds") else "/info"
        for server, reply in zip(servers, (replies[0], *replies), strict=True):
            server.on("GET", route, reply)
        for model in (
            EasyLLMChat(base_url=urls(servers)),
            EasyLLMChat(base_url=urls(servers), api="chat", model="m"),
        ):
            with pytest.raises(ConfigurationError) as error:
                model.invoke("Hi")
            for word in (*words, servers[0].url, servers[2].url):
                assert word in str(error.value)
            with pytest.raises(ConfigurationError):
                asyncio.run(model.ainvoke("Hi"))
        assert [posts(server) for server in servers] == [[], [], []]
        servers[2].on("GET", route, replies[0])  # it was put right
        with pytest.raises(Exception, match="404"):
            model.invoke("Hi")


def test_other_models_beside_the_one_that_was_named_are_no_difference() -> None:
    with several_servers(2) as servers:
        for server, own in zip(servers, "ab", strict=True):
            serve(server, "ollama", model="tiny")
            server.on("GET", "/v1/models", models("tiny", own, owned_by="library"))
        assert EasyLLMChat(base_url=urls(servers), model="tiny").invoke("Hi").text
        with pytest.raises(ConfigurationError, match="differ"):
            EasyLLMChat(base_url=urls(servers)).invoke("Hi")


@ON_THE_CLOCK
@pytest.mark.parametrize("many", ["batch", "abatch"])
def test_a_batch_uses_the_slots_of_all(servers: list[Mortal], many: str) -> None:
    slots = [Slots(24, 0.03) for _ in servers]
    for server, own in zip(servers, slots, strict=True):
        server.on("POST", CHAT, own)
    model = EasyLLMChat(base_url=urls(servers), max_retries=0)
    rows = ["row"] * 600
    if many == "batch":
        answers = model.batch(rows, return_exceptions=True)
    else:
        answers = asyncio.run(model.abatch(rows, return_exceptions=True))
    assert [one for one in answers if not isinstance(one, BaseMessage)] == []
    assert sum(one.refused for one in slots) < 0.2 * sum(one.asked for one in slots)
    answered = [one.asked - one.refused for one in slots]
    assert min(answered) > 0.5 * max(answered)
    assert all(replica.in_flight == replica.limit.in_flight == 0 for replica in state(model))


def test_a_batch_waits_for_its_turns_where_all_are_full(servers: list[Mortal]) -> None:
    for server in servers:
        server.on("POST", CHAT, Slots(2, 0.01, "0"))
    model = EasyLLMChat(base_url=urls(servers), max_retries=0)
    answers = asyncio.run(model.abatch(["row"] * 200, return_exceptions=True))
    assert [one for one in answers if not isinstance(one, BaseMessage)] == []


def dying(server: Mortal, after: int, route: Any) -> Any:
    """A route whose server is killed when it gets so many requests."""

    def answer(request: Received) -> Reply:
        if len(posts(server)) >= after:
            server.kill()
            return Reply(before=[Stall()])
        reply = route(request) if callable(route) else route
        if reply.chunks is not None:  # all that there is to hand over comes at once
            return Reply(chunks=[Pause(0.002), b"".join(reply.chunks)], headers=reply.headers)
        return Reply(reply.body, before=[Pause(0.002)])

    return answer


@pytest.mark.parametrize("mode", ["documents", "adocuments", "aiter"])
def test_one_of_three_is_killed_while_texts_are_embedded(mode: str) -> None:
    texts = [f"text {n}" for n in range(32_000 if mode == "adocuments" else 6_400)]
    with several_servers() as servers:
        for server in servers:
            serve_tei(server)
        own = servers[1]._routes["POST", "/v1/embeddings"].answers[0]
        servers[1].on("POST", "/v1/embeddings", dying(servers[1], 50, own))
        model = EasyLLMEmbeddings(base_url=urls(servers), max_retries=0)
        vectors = embedded(mode, model, texts)
        assert len(posts(servers[1])) >= 50
    assert [len(vectors), vectors[0], vectors[-1]] == [
        len(texts),
        *vectors_of([texts[0], texts[-1]]),
    ]
    assert all(vector == vector_of(text) for vector, text in zip(vectors, texts, strict=True))


@pytest.mark.parametrize("many", ["batch", "abatch", "streamed"])
def test_one_of_three_is_killed_while_chats_are_answered(servers: list[Mortal], many: str) -> None:
    own = servers[1]._routes["POST", CHAT].answers[0]
    servers[1].on("POST", CHAT, dying(servers[1], 40, own))
    model = EasyLLMChat(base_url=urls(servers), max_retries=0)
    rows = ["row"] * (1000 if many == "abatch" else 300)
    if many == "batch":
        answers = model.batch(rows)
    elif many == "abatch":
        answers = asyncio.run(model.abatch(rows))
    else:
        answers = asyncio.run(model.abatch(rows, streaming=True))
    assert {one.text for one in answers} == {"Hello world"}
    assert len(posts(servers[1])) >= 40


def test_prompts_with_the_same_beginning_go_to_the_same_server(
    servers: list[Mortal], mode: str
) -> None:
    model = EasyLLMChat(base_url=urls(servers), balance="prefix")
    for _ in range(2):
        for topic in "abcdefgh":
            answer(mode, model, [("system", "Be brief."), ("human", topic)])
    seen = [{str(r.json["messages"]) for r in posts(server)} for server in servers]  # type: ignore[index, call-overload]
    assert sum(map(len, seen)) == 8
    assert sum(bool(one) for one in seen) > 1


def test_the_key_goes_to_the_listed_servers_only(servers: list[Mortal]) -> None:
    listed, other = servers[:2], servers[2]
    model = EasyLLMChat(base_url=urls(listed), api_key="a-key-of-ours")
    for _ in range(2):
        model.invoke("Hi")
    for server in listed:
        assert {r.headers["authorization"] for r in server.requests} == {"Bearer a-key-of-ours"}
    more = model.model_copy(update={"base_url": tuple(urls(servers))})
    for _ in range(3):
        more.invoke("Hi")
    assert posts(other)
    assert {r.headers.get("authorization") for r in other.requests} == {None}
    assert posts(listed[0])[-1].headers["authorization"] == "Bearer a-key-of-ours"


def test_a_key_function_is_asked_for_each(servers: list[Mortal]) -> None:
    model = EasyLLMChat(base_url=urls(servers), api_key=lambda: "from-a-function")
    for _ in range(3):
        model.invoke("Hi")
    for server in servers:
        assert {r.headers["authorization"] for r in server.requests} == {"Bearer from-a-function"}


def test_tokens_of_the_environment_stay_with_hugging_face(
    servers: list[Mortal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_environment")
    model = EasyLLMChat(base_url=urls(servers))
    for _ in range(3):
        model.invoke("Hi")
    assert {r.headers.get("authorization") for s in servers for r in s.requests} == {None}


def test_a_client_of_the_callers_own_carries_the_requests(servers: list[Mortal]) -> None:
    servers[0].on("POST", CHAT, FAILURES["reset"])
    with httpx.Client(headers={"x-own": "yes"}) as client:
        model = EasyLLMChat(base_url=urls(servers), http_client=client, max_retries=0)
        assert [text_of(answer("stream", model)) for _ in range(3)] == ["Hello world"] * 3
        assert model.batch(["Hi"] * 9)[8].text == "Hello world"
    assert {r.headers.get("x-own") for s in servers for r in s.requests} == {"yes"}


async def test_an_async_client_of_the_callers_own_carries_the_requests(
    servers: list[Mortal],
) -> None:
    servers[0].on("POST", CHAT, FAILURES["reset"])
    async with httpx.AsyncClient(headers={"x-own": "yes"}) as client:
        model = EasyLLMChat(base_url=urls(servers), http_async_client=client, max_retries=0)
        assert "Hello" in [chunk.text async for chunk in model.astream("Hi")]
        assert (await model.abatch(["Hi"] * 9))[8].text == "Hello world"
    assert {r.headers.get("x-own") for s in servers for r in s.requests} == {"yes"}


def test_paths_and_queries_are_each_servers_own(servers: list[Mortal]) -> None:
    bases = []
    for number, server in enumerate(servers):
        for (method, path), route in list(server._routes.items()):
            server.on(method, f"/base{number}{path}", *route.answers)
        bases.append(f"{server.url}/base{number}/v1/?version={number}")
    model = EasyLLMChat(base_url=bases)
    for _ in range(3):
        model.invoke("Hi")
    for number, server in enumerate(servers):
        assert [r.path for r in posts(server)] == [f"/base{number}{CHAT}"]
        assert {r.query["version"] for r in server.requests} == {str(number)}


def test_questions_about_the_model_go_to_any_of_them(servers: list[Mortal]) -> None:
    for server in servers:
        server.on("POST", "/tokenize", Reply({"tokens": [1, 2, 3], "count": 3}))
    servers[0].kill()
    model = EasyLLMChat(base_url=urls(servers), max_retries=0)
    assert model.get_num_tokens("some text") == 3
    assert model.get_num_tokens("other text") == 3
    assert EasyLLM(base_url=urls(servers)).model_id == "tiny"


def test_objects_with_the_same_servers_share_what_is_known(servers: list[Mortal]) -> None:
    for _ in range(3):
        EasyLLMChat(base_url=urls(servers)).invoke("Hi")
    assert [len(server.received("/v1/models")) for server in servers] == [1, 1, 1]
    assert counts(servers) == [1, 1, 1]


def test_a_closed_object_opens_new_connections(servers: list[Mortal]) -> None:
    with EasyLLMChat(base_url=urls(servers)) as model:
        model.invoke("Hi")
    servers[0].wait_until(lambda: not any(server.open_connections for server in servers))
    assert model.invoke("Hi").text == "Hello world"


def test_a_stream_that_is_given_up_is_counted_no_more(servers: list[Mortal]) -> None:
    whole = chat_stream(["Hello", " world"], server_name="vllm")
    begun = Reply(chunks=[*list(whole.chunks or [])[:2], Stall()], headers=whole.headers)
    for server in servers:
        server.on("POST", CHAT, begun)
    model = EasyLLMChat(base_url=urls(servers))
    stream = model.stream("Hi")
    next(stream)
    assert sum(replica.in_flight for replica in state(model)) == 1
    stream.close()  # type: ignore[attr-defined]
    assert [replica.in_flight for replica in state(model)] == [0, 0, 0]


async def test_a_cancelled_call_is_counted_no_more(servers: list[Mortal]) -> None:
    for server in servers:
        server.on("POST", CHAT, Reply(before=[Stall()]))
    model = EasyLLMChat(base_url=urls(servers))
    task = asyncio.ensure_future(model.ainvoke("Hi"))
    await asyncio.to_thread(servers[0].wait_until, lambda: sum(counts(servers)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(replica.in_flight, replica.limit.in_flight) for replica in state(model)] == [
        (0, 0)
    ] * 3


def test_what_a_text_is_refused_for_is_found_out_once(sync_or_async: str) -> None:
    """A row's own failure is no reason to bench a server, nor to send it to all."""
    texts = [f"text {n}" for n in range(99)] + ["long " * 600]
    with several_servers() as servers:
        for server in servers:
            serve_tei(server)
        model = EasyLLMEmbeddings(base_url=urls(servers), batch_size=10)
        with pytest.raises(BadRequestError, match="Text 99"):
            embedded(sync_or_async, model, texts)
        assert benched(model) == [False] * 3
