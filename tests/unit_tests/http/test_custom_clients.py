"""Objects of other clients in the place of our own connections: anything with two methods."""

from __future__ import annotations

import asyncio
import builtins
import gc
import gzip
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings, EasyLLMRerank
from langchain_easyllm._http.auth import Credentials
from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.models import RetryPolicy
from langchain_easyllm.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionError,
    EasyLLMError,
    IncompleteStreamError,
    ProtocolError,
    RateLimitError,
    TimeoutError,
)
from langchain_easyllm.http import Request, Response

from ...support.fake_server import FakeServer, Reply, Stall, sse
from ...support.fake_text_servers import serve
from ...support.http_clients import AsyncClient, Client, SyncClient, post
from ...support.invocation_modes import ALL_MODES, answer, text_of

EVENTS = {"content-type": "text/event-stream"}
URL = "http://localhost:9/a"
ONCE = RetryPolicy(timeout=5, max_retries=0)


class Streamed:
    """A response in blocks; an exception among them is raised."""

    def __init__(self, *blocks: object, status: int = 200, **headers: str) -> None:
        self.status = status
        self.headers = {**EVENTS, **{k.replace("_", "-"): v for k, v in headers.items()}}
        self.blocks = list(blocks)
        self.closed = 0

    def __iter__(self) -> Iterator[Any]:
        for block in self.blocks:
            if isinstance(block, BaseException):
                raise block
            yield block

    async def __aiter__(self) -> AsyncIterator[Any]:
        for block in self:
            if isinstance(block, float):
                await asyncio.sleep(block)
            else:
                yield block

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


class Scripted:
    """A client that answers from a list, for both kinds of call."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.closed = 0

    def send(self, request: Request) -> Any:
        self.requests.append(request)
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(given, BaseException):
            raise given
        return given

    open = send

    async def asend(self, request: Request) -> Any:
        return self.send(request)

    aopen = asend

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


@pytest.fixture(params=[SyncClient, AsyncClient], ids=["sync", "async"])
def over(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Builds clients over a given object."""
    opened: list[Client] = []

    def make(given: object, credentials: Credentials | None = None, **headers: str) -> Client:
        transport = HTTPTransport(
            credentials, headers=headers, http_client=given, http_async_client=given
        )
        opened.append(request.param(transport).__enter__())
        return opened[-1]

    yield make
    for client in opened:
        client.__exit__(None, None, None)


def test_what_a_client_is_given(over: Any) -> None:
    given = Scripted(Response(200, {"X-One": "1"}, b"hi"))
    client = over(given, Credentials("token-1", base_url=URL))
    response = client.send(post(URL + "?q=1", b"{}"), RetryPolicy(timeout=5))
    assert (response.status, response.body, response.url) == (200, b"hi", URL + "?q=1")
    assert response.headers == {"x-one": "1"}
    (request,) = given.requests
    assert (request.method, request.url, request.body) == ("POST", URL + "?q=1", b"{}")
    assert 0 < request.timeout <= 5
    assert dict(request.headers) == {
        "accept": "application/json",
        "accept-encoding": "identity",
        "authorization": "Bearer token-1",
        "content-type": "application/json",
        "user-agent": request.headers["user-agent"],
    }
    client.send(post(URL), RetryPolicy(timeout=None))
    assert given.requests[-1].timeout is None
    assert given.closed == 0
    assert "token-1" not in repr(request)


def test_retries_are_ours(over: Any) -> None:
    given = Scripted(
        Response(503, {"Retry-After": "0"}, b"busy"),
        builtins.ConnectionResetError("gone"),
        RateLimitError("slow down", status_code=429, retry_after=0.0),
        Response(200, {}, b"hi"),
    )
    assert over(given).send(post(URL), RetryPolicy(timeout=5, max_retries=3)).body == b"hi"
    assert len(given.requests) == 4


def test_the_time_that_an_error_asks_for_is_waited(over: Any) -> None:
    busy = RateLimitError("slow down", status_code=429, retry_after=100.0)
    given = Scripted(busy, Response(200, {}, b"hi"))
    with pytest.raises(RateLimitError, match="slow down"):
        over(given).send(post(URL), RetryPolicy(timeout=5, max_retries=3))
    assert len(given.requests) == 1


def test_redirects_and_tokens_are_ours(over: Any) -> None:
    given = Scripted(
        Response(307, {"Location": "/b"}, b""),
        Response(307, {"Location": "http://127.0.0.1:9/c"}, b""),
        Response(200, {}, b"hi"),
    )
    client = over(given, Credentials("token-1", base_url=URL), cookie="a=b")
    assert client.send(post(URL)).url == "http://127.0.0.1:9/c"
    assert [r.url for r in given.requests] == [
        URL,
        "http://localhost:9/b",
        "http://127.0.0.1:9/c",
    ]
    assert ["authorization" in r.headers for r in given.requests] == [True, True, False]
    assert "cookie" not in given.requests[2].headers


@pytest.mark.parametrize("whole", [True, False])
def test_a_refusal_is_an_error_of_ours(over: Any, whole: bool) -> None:
    body = b'{"error": "no token"}'
    refusal = Response(401, {}, body) if whole else Streamed(body[:5], body[5:], status=401)
    with pytest.raises(AuthenticationError, match="no token"):
        over(Scripted(refusal)).read(post(URL))
    assert whole or refusal.closed == 1


@pytest.mark.parametrize("coding", ["gzip", "GZIP"])
def test_the_content_coding_is_undone_here(over: Any, coding: str) -> None:
    packed = gzip.compress(b"data: a\n\ndata: b\n\n")
    assert (
        over(Scripted(Response(200, {"Content-Encoding": coding}, packed)))
        .send(post(URL))
        .body.startswith(b"data: a")
    )
    streamed = Streamed(packed[:9], packed[9:], content_encoding=coding)
    assert over(Scripted(streamed)).read(post(URL)) == [b"a", b"b"]


@pytest.mark.parametrize(
    "blocks",
    [
        [b"data: a\n\nda", b"ta: b\n\n"],
        [bytearray(b"data: a\n\ndata: b\n\n")],
        [memoryview(b"data: a\n\n"), b"", b"data: b\n\n"],
        [[b"a"], [b"b"]],
        [[], [b"a", b"b"]],
        [b"data: a\n\n", [b"b"]],
    ],
    ids=["cut", "bytearray", "memoryview", "events", "events together", "mixed"],
)
def test_a_stream_is_blocks_or_events(over: Any, blocks: list[object]) -> None:
    streamed = Streamed(*blocks)
    assert over(Scripted(streamed)).read(post(URL)) == [b"a", b"b"]
    assert streamed.closed == 1


def test_a_stream_may_come_as_a_whole(over: Any) -> None:
    whole = Response(200, EVENTS, b"data: a\n\ndata: b\n\n")
    assert over(Scripted(whole)).read(post(URL)) == [b"a", b"b"]


def test_a_stream_left_early_is_closed_once(over: Any) -> None:
    streamed = Streamed(b"data: a\n\n", b"data: b\n\n")
    assert over(Scripted(streamed)).first(post(URL))[0] == [b"a"]
    assert streamed.closed == 1


FAILURES = {
    "reset": (builtins.ConnectionResetError(), ConnectionError),
    "own timeout": (builtins.TimeoutError(), TimeoutError),
    "our error": (ProtocolError("nonsense"), ProtocolError),
    "os": (OSError("strange"), ConnectionError),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures_become_our_errors(over: Any, case: str) -> None:
    failure, kind = FAILURES[case]
    for ask in ("send", "read"):
        with pytest.raises(kind) as caught:
            getattr(over(Scripted(failure)), ask)(post(URL))
        assert caught.value.url == URL


@pytest.mark.parametrize("case", FAILURES)
def test_failures_within_a_stream_become_our_errors(over: Any, case: str) -> None:
    failure, kind = FAILURES[case]
    streamed = Streamed(b"data: a\n\n", failure)
    events: list[bytes] = []
    with pytest.raises(IncompleteStreamError if kind is ConnectionError else kind):
        over(Scripted(streamed)).read(post(URL), into=events)
    assert events == [b"a"]
    assert streamed.closed == 1


def test_a_bug_of_the_client_stays_what_it_is(over: Any) -> None:
    given = Scripted(ZeroDivisionError("mine"), Response(200, {}, b""))
    with pytest.raises(ZeroDivisionError):
        over(given).send(post(URL), RetryPolicy(timeout=5, max_retries=3))
    assert len(given.requests) == 1


@pytest.mark.parametrize(
    "returned",
    [None, 5, "text", b"bytes", Response(200, {}, "text"), Response("200", {}, b"")],  # type: ignore[arg-type]
    ids=["none", "number", "text", "bytes", "text body", "text status"],
)
def test_a_return_value_that_is_none_is_named(over: Any, returned: object) -> None:
    for ask in ("send", "read"):
        with pytest.raises(ConfigurationError, match=r"http\.Response"):
            getattr(over(Scripted(returned)), ask)(post(URL))


@pytest.mark.parametrize("block", ["text", 5])
def test_a_body_that_is_no_bytes_is_named(over: Any, block: object) -> None:
    with pytest.raises(ConfigurationError, match=r"consists of (str|int)"):
        over(Scripted(Streamed(block))).read(post(URL))


def test_an_asynchronous_method_has_to_be_one() -> None:
    class Wrong(Scripted):
        def asend(self, request: Request) -> Response:  # type: ignore[override]
            return self.send(request)

    transport = HTTPTransport(http_async_client=Wrong(Response(200, {}, b"")))
    with pytest.raises(ConfigurationError, match=r"asend has to be asynchronous"):
        asyncio.run(transport.asend(post(URL)))


async def test_an_asynchronous_client_is_interrupted_in_time() -> None:
    class Slow(Scripted):
        async def asend(self, request: Request) -> Any:
            await asyncio.sleep(60)

        aopen = asend

    transport = HTTPTransport(http_async_client=Slow())
    started = time.monotonic()
    for ask in (transport.asend, transport.aopen):
        with pytest.raises(TimeoutError, match=r"within 0\.2 s"):
            await ask(post(URL), RetryPolicy(timeout=0.2, max_retries=0))
    streamed = Streamed(b"data: a\n\n", 60.0)
    transport = HTTPTransport(http_async_client=Scripted(streamed))
    stream = await transport.aopen(post(URL), RetryPolicy(timeout=0.2, max_retries=0))
    assert await anext(stream) == [b"a"]
    with pytest.raises(TimeoutError, match=r"nothing more .* 0\.2 s"):
        await anext(stream)
    assert time.monotonic() - started < 10
    assert streamed.closed == 1


async def test_a_cancelled_call_closes_what_it_had() -> None:
    streamed = Streamed(b"data: a\n\n", 60.0)
    transport = HTTPTransport(http_async_client=Scripted(streamed))
    stream = await transport.aopen(post(URL), ONCE)
    await anext(stream)
    task = asyncio.create_task(anext(stream))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert streamed.closed == 1


def test_a_stream_that_is_dropped_is_closed() -> None:
    streamed = Streamed(b"data: a\n\n", b"data: b\n\n")
    holder: dict[str, object] = {}
    holder["stream"] = HTTPTransport(http_client=Scripted(streamed)).open(post(URL))
    holder["me"] = holder
    del holder
    gc.collect()
    assert streamed.closed == 1


async def test_an_asynchronous_stream_that_is_dropped_is_closed() -> None:
    streamed = Streamed(b"data: a\n\n", b"data: b\n\n")
    await HTTPTransport(http_async_client=Scripted(streamed)).aopen(post(URL))
    gc.collect()
    await asyncio.sleep(0.01)
    assert streamed.closed == 1


# Our own transport may stand behind another one


@pytest.mark.parametrize("mode", ALL_MODES)
def test_our_own_transport_is_such_a_client(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    with HTTPTransport() as behind:
        fields = {"http_client": behind, "http_async_client": behind}
        assert text_of(answer(mode, EasyLLMChat(base_url=fake_server.url, **fields))) == (
            "Hello world"
        )
        assert text_of(answer(mode, EasyLLM(base_url=fake_server.url, **fields))) == "Hello world"


def test_without_a_policy_a_transport_makes_one_attempt_in_time(fake_server: FakeServer) -> None:
    fake_server.on("POST", "/busy", Reply("busy", status=503))
    fake_server.on("POST", "/slow", Reply(before=[Stall()]))
    with HTTPTransport() as transport:
        with pytest.raises(EasyLLMError, match="busy"):
            transport.send(Request("POST", fake_server.url + "/busy", b"{}"))
        with pytest.raises(TimeoutError, match=r"0\.2 s"):
            transport.send(Request("POST", fake_server.url + "/slow", b"{}", timeout=0.2))
    assert len(fake_server.requests) == 2


def test_a_stream_through_both_ends_its_connection(fake_server: FakeServer, over: Any) -> None:
    fake_server.on("POST", "/s", sse("a", Stall()))
    client = over(HTTPTransport())
    assert client.first(post(fake_server.url + "/s"))[0] == [b"a"]
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


# Blocking calls of many requests


class Counting(Scripted):
    """Embeds or scores texts, and notes how many requests are in flight at once."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(Response(200, {"content-type": "application/json"}, answer))
        self.in_flight = self.most = 0
        self.threads: set[int] = set()

    def send(self, request: Request) -> Any:
        import threading

        if request.method == "GET":
            return Response(404, {}, b"")
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        self.threads.add(threading.get_ident())
        time.sleep(0.02)
        self.in_flight -= 1
        return super().send(request)

    open = send


@pytest.mark.parametrize("concurrency", [1, 4])
def test_many_requests_of_a_blocking_call_have_threads(concurrency: int) -> None:
    given = Counting(b"[[1.0, 2.0]]")
    embeddings = EasyLLMEmbeddings(
        base_url="http://localhost:9",
        api="embed",
        batch_size=1,
        max_concurrency=concurrency,
        http_client=given,
    )
    texts = [f"text {number}" for number in range(12)]
    assert embeddings.embed_documents(texts) == [[1.0, 2.0]] * 12
    assert given.most <= concurrency
    assert given.most > 1 or concurrency == 1
    assert embeddings.embed_documents_array(texts).shape == (12, 2)
    assert sum(len(array) for array in embeddings.iter_embeddings(texts)) == 12


def test_a_reranker_sends_with_it_too() -> None:
    from langchain_core.documents import Document

    given = Counting(b'[{"index": 0, "score": 0.5}]')
    reranker = EasyLLMRerank(
        base_url="http://localhost:9", api="tei", batch_size=1, http_client=given
    )
    documents = [Document(f"text {number}") for number in range(5)]
    found = reranker.compress_documents(documents, "query")
    assert [d.metadata["relevance_score"] for d in found] == [0.5] * 5
    assert {request.url for request in given.requests} == {"http://localhost:9/rerank"}


def test_an_error_in_a_thread_is_raised_where_it_is_waited_for() -> None:
    given = Counting(b"")
    given.answers = [ZeroDivisionError("mine")]
    embeddings = EasyLLMEmbeddings(
        base_url="http://localhost:9", api="embed", batch_size=1, http_client=given
    )
    with pytest.raises(ZeroDivisionError):
        embeddings.embed_documents(["a", "b", "c"])


def test_the_callers_context_is_there() -> None:
    from contextvars import ContextVar

    span: ContextVar[str] = ContextVar("span", default="none")
    seen: set[str] = set()

    class Traced(Counting):
        def send(self, request: Request) -> Any:
            seen.add(span.get())
            return super().send(request)

    span.set("mine")
    embeddings = EasyLLMEmbeddings(
        base_url="http://localhost:9",
        api="embed",
        batch_size=1,
        http_client=Traced(b"[[1.0]]"),
    )
    embeddings.embed_documents(["a", "b", "c"])
    assert seen == {"mine"}


class Exhausted(Scripted):
    """A client that answers from an iterator, which has no more answers."""

    def send(self, request: Request) -> Any:
        return next(iter(self.answers[1:]))

    open = send


@pytest.mark.parametrize("call", ["invoke", "stream", "embed_documents"])
def test_a_stop_iteration_of_the_client_ends_no_flow_of_ours(call: str) -> None:
    client = Exhausted("")
    if call == "embed_documents":
        embeddings = EasyLLMEmbeddings(
            base_url="http://localhost:9", api="embed", http_client=client, batch_size=8
        )
        outcome = ThreadPoolExecutor(1).submit(embeddings.embed_documents, ["a", "b"] * 40)
        error = outcome.exception(20)
    else:
        llm = EasyLLM(base_url="http://localhost:9", model="m", api="generate", http_client=client)
        with pytest.raises(RuntimeError) as caught:
            list(getattr(llm, call)("Hi"))
        error = caught.value
    assert isinstance(error, RuntimeError)
    assert "http_client raised StopIteration" in str(error)


class Calls:
    """A method that is an object, as mocks and partial functions are."""

    def __init__(self, method: Any) -> None:
        self.method = method

    def __call__(self, request: Request) -> Any:
        return self.method(request)


class AsyncCalls(Calls):
    async def __call__(self, request: Request) -> Any:  # type: ignore[override]
        return self.method(request)


def whole(request: Request) -> Response:
    body = b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}'
    return Response(200, {"content-type": "application/json"}, body)


def test_methods_need_not_be_functions() -> None:
    client = SimpleNamespace(send=Calls(whole), open=partial(whole))
    model = EasyLLMChat(base_url=URL, model="m", api="chat", http_client=client)
    assert model.invoke("Hi").text == "Hi"
    assert text_of(answer("stream", model)) == "Hi"
    client = SimpleNamespace(asend=AsyncCalls(whole), aopen=partial(AsyncCalls(whole)))
    model = EasyLLMChat(base_url=URL, model="m", api="chat", http_async_client=client)
    assert answer("ainvoke", model).text == "Hi"
    assert text_of(answer("astream", model)) == "Hi"


def test_an_object_whose_call_is_asynchronous_is_no_sync_client() -> None:
    client = SimpleNamespace(send=AsyncCalls(whole), open=AsyncCalls(whole))
    with pytest.raises(ConfigurationError, match="methods are asynchronous"):
        EasyLLMChat(base_url=URL, http_client=client)


def test_what_a_method_returns_by_mistake_is_told_by_its_name() -> None:
    client = SimpleNamespace(send=partial(lambda request: None), open=Calls(lambda request: None))
    model = EasyLLMChat(base_url=URL, model="m", api="chat", http_client=client)
    for mode, name in (("invoke", "send"), ("stream", "open")):
        with pytest.raises(EasyLLMError, match=rf"http_client\.{name} "):
            answer(mode, model)
