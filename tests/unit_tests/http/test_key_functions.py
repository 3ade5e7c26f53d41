"""A token that a function returns: asked for each attempt, sent where it may be, and not kept."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import count

import pytest
from pydantic import SecretStr

from langchain_easyllm._http import auth
from langchain_easyllm._http.auth import Credentials
from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.models import RetryPolicy
from langchain_easyllm._http.user_functions import UserFunction
from langchain_easyllm.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionError,
    EasyLLMError,
    ServerError,
    TimeoutError,
)

from ...support.fake_server import Cut, FakeServer, Reply, sse
from ...support.http_clients import ONCE, Client, post
from .conftest import MakeClient

TOKEN = "gw_topsecret_{}"


def numbered() -> Callable[[], str]:
    numbers = count(1)
    return lambda: TOKEN.format(next(numbers))


def as_async(function: Callable[[], object]) -> Callable[[], object]:
    async def token() -> object:
        await asyncio.sleep(0)
        return function()

    return token


class Callee:
    """An object that can be called, and returns something to wait for."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function

    async def __call__(self) -> object:
        return self.function()


KINDS = {
    "sync": lambda function: function,
    "async": as_async,
    "a partial of an async one": lambda function: partial(as_async(function)),
    "an object": Callee,
    "one that returns a coroutine": lambda function: lambda: as_async(function)(),
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
sync_and_async = pytest.mark.parametrize("kind", [KINDS["sync"], KINDS["async"]])


@pytest.fixture
def ask(make_client: MakeClient) -> Callable[..., Client]:
    """Makes a client with a function for a server."""

    def make(function: object, url: str | None) -> Client:
        return make_client(Credentials(UserFunction(function), base_url=url))

    return make


def keys(server: FakeServer) -> list[str | None]:
    return [request.headers.get("authorization") for request in server.requests]


@kinds
def test_it_is_asked_before_each_attempt(ask, fake_server: FakeServer, kind) -> None:
    busy = Reply({}, status=503, headers={"retry-after": "0"})
    moved = Reply(status=307, headers={"location": "/b"})
    fake_server.on("POST", "/a", busy, moved)
    fake_server.on("POST", "/b", busy, Reply({}))
    client = ask(kind(numbered()), fake_server.url)
    client.send(post(fake_server.url + "/a"), RetryPolicy(max_retries=2))
    client.send(post(fake_server.url + "/b"))
    assert keys(fake_server) == [f"Bearer {TOKEN.format(number)}" for number in range(1, 6)]


@kinds
def test_it_is_asked_for_streams(ask, fake_server: FakeServer, kind) -> None:
    fake_server.on("POST", "/s", sse({"a": 1}))
    client = ask(kind(numbered()), fake_server.url)
    for _ in range(2):
        assert client.read(post(fake_server.url + "/s"))
    assert keys(fake_server) == [f"Bearer {TOKEN.format(number)}" for number in (1, 2)]


def test_a_blocking_call_beside_a_running_loop_may_have_an_async_function(
    fake_server: FakeServer,
) -> None:
    fake_server.on("POST", "/a", Reply({}))
    loops = set()

    async def token() -> str:
        loops.add(asyncio.get_running_loop())
        return TOKEN

    async def main() -> None:
        loops.add(asyncio.get_running_loop())
        credentials = Credentials(UserFunction(token), base_url=fake_server.url)
        with HTTPTransport(credentials) as transport:
            for _ in range(2):
                transport.send(post(fake_server.url + "/a"))

    asyncio.run(main())
    assert keys(fake_server) == [f"Bearer {TOKEN}"] * 2
    assert len(loops) == 2  # a client that the function keeps finds its loop again


async def test_a_blocking_call_inside_an_async_function_is_an_error_not_a_deadlock(
    fake_server: FakeServer,
) -> None:
    fake_server.on("POST", "/a", Reply({}))

    async def token() -> str:
        nested = Credentials(UserFunction(as_async(lambda: TOKEN)), base_url=fake_server.url)
        with HTTPTransport(nested) as transport:
            transport.send(post(fake_server.url + "/a"))
        return TOKEN

    with (
        HTTPTransport(Credentials(UserFunction(token), base_url=fake_server.url)) as transport,
        pytest.raises(ConfigurationError, match="await the async method"),
    ):
        await asyncio.to_thread(transport.send, post(fake_server.url + "/a"), ONCE)
    assert not fake_server.requests


def test_a_sync_function_does_not_stop_the_event_loop(fake_server: FakeServer) -> None:
    fake_server.on("POST", "/a", Reply({}))
    ticked = threading.Event()

    def token() -> str:
        assert ticked.wait(5)  # which only a loop that runs can set
        return TOKEN

    async def main() -> None:
        credentials = Credentials(UserFunction(token), base_url=fake_server.url)
        async with HTTPTransport(credentials) as transport:
            call = asyncio.create_task(transport.asend(post(fake_server.url + "/a")))
            await asyncio.sleep(0.01)
            ticked.set()
            await call

    asyncio.run(main())
    assert keys(fake_server) == [f"Bearer {TOKEN}"]


def test_other_hosts_get_no_token(ask, fake_server: FakeServer) -> None:
    """Nor is the function asked for them, nor for the first host once it was left."""
    asked = []
    with FakeServer() as other:
        fake_server.on("POST", "/a", Reply(status=307, headers={"location": other.url + "/b"}))
        other.on("POST", "/b", Reply(status=307, headers={"location": fake_server.url + "/c"}))
        fake_server.on("POST", "/c", Reply({}))
        other.on("POST", "/d", Reply({}))
        client = ask(lambda: asked.append(1) or TOKEN, fake_server.url)
        client.send(post(fake_server.url + "/a"))
        client.send(post(other.url + "/d"))
        assert keys(fake_server) == [f"Bearer {TOKEN}", None]
        assert keys(other) == [None, None]
    assert asked == [1]


@pytest.mark.parametrize(
    ("base_url", "url", "may"),
    [
        (None, "https://router.huggingface.co/v1", True),
        (None, "https://x.endpoints.huggingface.cloud/", True),
        (None, "https://me-app.hf.space/v1", False),
        (None, "http://router.huggingface.co/v1", False),
        ("https://a.example", "https://a.example/v1", True),
        ("https://a.example", "https://a.example:444/v1", False),
        ("https://a.example", "https://router.huggingface.co/v1", False),
        ("https://router.huggingface.co", "https://huggingface.co/api", True),
    ],
)
def test_a_function_is_bound_as_a_key_is(
    base_url: str | None, url: str, may: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_environment")
    function = UserFunction(lambda: TOKEN)
    credentials = Credentials(function, base_url=base_url)
    assert credentials.function_for(auth.parse_url(url)) == (function if may else None)
    assert credentials.header_for(url) is None  # the environment's stands in for nobody
    assert credentials.withheld_from(url) is not may
    assert (Credentials("hf_given", base_url=base_url).header_for(url) is not None) is may


def test_the_callers_own_header_wins(make_client: MakeClient, fake_server: FakeServer) -> None:
    fake_server.on("POST", "/a", Reply({}))
    credentials = Credentials(UserFunction(lambda: 1 / 0), base_url=fake_server.url)
    make_client(credentials).send(post(fake_server.url + "/a", Authorization="Basic mine"))
    make_client(credentials, headers={"Authorization": "Basic ours"}).send(
        post(fake_server.url + "/a")
    )
    assert keys(fake_server) == ["Basic mine", "Basic ours"]


@sync_and_async
@pytest.mark.parametrize("given", [f" {TOKEN}\n", SecretStr(TOKEN), SecretStr(f"{TOKEN} ")])
def test_what_it_may_return(ask, fake_server: FakeServer, kind, given: object) -> None:
    fake_server.on("POST", "/a", Reply({}))
    ask(kind(lambda: given), fake_server.url).send(post(fake_server.url + "/a"))
    assert keys(fake_server) == [f"Bearer {TOKEN}"]


@sync_and_async
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "returned NoneType"),
        ("", "returned an empty text"),
        (" \n", "returned an empty text"),
        (SecretStr(""), "returned an empty text"),
        (b"gw_bytes_secret", "returned bytes"),
        (7, "returned int"),
        ("gw_secret\r\nX-Evil: 1", "returned a token with line breaks"),
        ("gw_sécret", "returned a token with line breaks, control or non-ASCII"),
    ],
)
def test_what_it_may_not_return(
    ask, fake_server: FakeServer, kind, given: object, said: str
) -> None:
    client = ask(kind(lambda: given), fake_server.url)
    with pytest.raises(ConfigurationError, match=f"given as api_key {said}") as caught:
        client.send(post(fake_server.url + "/a"), RetryPolicy(max_retries=2))
    shown = f"{caught.value}{caught.value!r}"
    assert "secret" not in shown
    assert "sécret" not in shown
    assert not fake_server.requests


@sync_and_async
@pytest.mark.parametrize("raised", [KeyError("id"), OSError(5, "x"), StopIteration(), TypeError()])
def test_what_it_raises_is_explained(ask, fake_server: FakeServer, kind, raised: Exception) -> None:
    calls = []

    def refuse() -> str:
        calls.append(1)
        raise raised

    client = ask(kind(refuse), fake_server.url)
    with pytest.raises(AuthenticationError, match=r"given as api_key raised \w+, so") as caught:
        client.send(post(fake_server.url + "/a"), RetryPolicy(max_retries=2))
    assert not isinstance(raised, KeyError | OSError) or caught.value.__cause__ is raised
    assert not caught.value.is_retryable
    assert calls == [1]
    assert not fake_server.requests
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_function_that_takes_arguments_is_explained(ask, fake_server: FakeServer) -> None:
    async def token(tenant: str) -> str:
        return tenant

    for function in (token, lambda tenant: tenant):
        client = ask(function, fake_server.url)
        with pytest.raises(AuthenticationError, match="raised TypeError"):
            client.send(post(fake_server.url + "/a"))


@kinds
def test_an_error_of_this_package_is_judged_as_such(ask, fake_server: FakeServer, kind) -> None:
    fake_server.on("POST", "/a", Reply({}))
    failures = [ConnectionError("the token service is away")]

    def token() -> str:
        if failures:
            raise failures.pop()
        return TOKEN

    client = ask(kind(token), fake_server.url)
    client.send(post(fake_server.url + "/a"), RetryPolicy(max_retries=1))
    assert keys(fake_server) == [f"Bearer {TOKEN}"]


def test_its_name_is_said_and_not_its_arguments(ask, fake_server: FakeServer) -> None:
    def fetch_token(secret: str) -> str:
        raise RuntimeError

    client = ask(partial(fetch_token, "gw_client_secret"), fake_server.url)
    with pytest.raises(AuthenticationError, match="fetch_token") as caught:
        client.send(post(fake_server.url + "/a"))
    assert "gw_client_secret" not in str(caught.value)


def slow() -> str:
    time.sleep(0.2)
    return TOKEN


async def slow_async() -> str:
    await asyncio.sleep(30)
    return TOKEN


@pytest.mark.parametrize("function", [slow, slow_async])
def test_its_time_counts(ask, fake_server: FakeServer, function: object) -> None:
    fake_server.on("POST", "/a", Reply({}))
    client = ask(function, fake_server.url)
    with pytest.raises(TimeoutError, match=r"given as api_key took longer .* 0\.1 s"):
        client.send(post(fake_server.url + "/a"), RetryPolicy(timeout=0.1, max_retries=3))
    assert not fake_server.requests


def test_its_own_timeout_is_its_failure(ask, fake_server: FakeServer) -> None:
    async def token() -> str:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(30)
        return TOKEN

    client = ask(token, fake_server.url)
    with pytest.raises(AuthenticationError, match="raised TimeoutError"):
        client.send(post(fake_server.url + "/a"))


def test_a_call_that_is_cancelled_ends_an_async_function(fake_server: FakeServer) -> None:
    ended = []

    async def token() -> str:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(1)
        return TOKEN

    async def main() -> None:
        credentials = Credentials(UserFunction(token), base_url=fake_server.url)
        async with HTTPTransport(credentials) as transport:
            call = asyncio.create_task(transport.asend(post(fake_server.url + "/a")))
            await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    asyncio.run(main())
    assert ended == [1]
    assert not fake_server.requests


@sync_and_async
def test_errors_of_its_call_do_not_show_it(ask, fake_server: FakeServer, kind) -> None:
    parrot = Reply({"error": f"{TOKEN.format(1)} and {TOKEN.format(2)} are wrong"}, status=500)
    fake_server.on("POST", "/a", parrot)
    client = ask(kind(numbered()), fake_server.url)
    with pytest.raises(ServerError) as caught:
        client.send(post(fake_server.url + "/a"), RetryPolicy(max_retries=1))
    assert len(fake_server.requests) == 2
    assert "gw_topsecret" not in f"{caught.value}{vars(caught.value)}{caught.value!r}"


def test_errors_within_its_stream_do_not_show_it(ask, fake_server: FakeServer) -> None:
    fake_server.on("POST", "/s", sse({"a": 1}, Cut()))
    client = ask(lambda: TOKEN, fake_server.url)
    transport = client.transport
    with transport.open(post(fake_server.url + "/s"), ONCE) as stream:
        gc.collect()
        next(stream)
        assert auth.redact(TOKEN) == "***"  # what the error of an event goes through
    del stream
    gc.collect()
    assert auth.redact(TOKEN) == TOKEN


def test_errors_about_its_response_do_not_show_it(ask, fake_server: FakeServer) -> None:
    """A server may tell in a success what is wrong."""
    fake_server.on("POST", "/a", Reply({}))
    response = ask(lambda: TOKEN, fake_server.url).send(post(fake_server.url + "/a"))
    gc.collect()
    assert auth.redact(TOKEN) == "***"
    assert TOKEN not in repr(response)
    del response
    gc.collect()
    assert auth.redact(TOKEN) == TOKEN


def test_nothing_keeps_it(ask, fake_server: FakeServer) -> None:
    fake_server.on("POST", "/a", Reply({}))
    fake_server.on("POST", "/b", Reply({}, status=400))
    client = ask(lambda: TOKEN + "x", fake_server.url)
    client.send(post(fake_server.url + "/a"))
    with pytest.raises(EasyLLMError):
        client.send(post(fake_server.url + "/b"))
    gc.collect()
    assert TOKEN + "x" not in auth._secrets.values()
    assert TOKEN not in str(client.transport._headers._cache)
    assert repr(client.transport.credentials) == "Credentials(***)"
