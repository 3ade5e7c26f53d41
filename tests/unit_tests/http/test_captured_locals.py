"""What a traceback shows that captures locals, as error reporters do: no secret, no body."""

from __future__ import annotations

import asyncio
import base64
import builtins
import math
import socket
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm._http.attempt_hooks import AttemptHooks
from langchain_easyllm._http.auth import Credentials
from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.connect import render
from langchain_easyllm._http.exchange import Attempt
from langchain_easyllm._http.headers import RequestHeaders
from langchain_easyllm._http.http1 import ResponseParser
from langchain_easyllm._http.httpx_client import HttpxAdapter
from langchain_easyllm._http.models import (
    Request,
    Response,
    RetryPolicy,
    SecretHeaders,
    parse_url,
)
from langchain_easyllm._http.proxies import proxy_for
from langchain_easyllm._http.sync_connection import SyncConnection
from langchain_easyllm._http.sync_pool import SyncPool
from langchain_easyllm._http.user_functions import UserFunction
from langchain_easyllm._servers.session import SessionSettings
from langchain_easyllm._servers.urls import parse_server_url
from langchain_easyllm.errors import ConfigurationError, EasyLLMError

from ...support.fake_server import Cut, FakeServer, Reply, Reset, Stall
from ...support.http_clients import ONCE, post
from .conftest import MakeClient

SECRET = "hf_never_in_any_traceback"
LOGIN = "pass-word-never-shown"
PROXY_LOGIN = "proxy-word-never-shown"
HIDDEN = (SECRET, LOGIN, PROXY_LOGIN)


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


ENCODED = (basic("me", LOGIN), basic("you", PROXY_LOGIN))


def leaks(error: BaseException) -> list[str]:
    """The frames, and the names in them, whose locals show a secret."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    return [
        f"{frame.filename}:{frame.lineno} {frame.name} {name}={value[:200]}"
        for part in chain(report)
        for frame in part.stack
        if frame.filename != __file__
        for name, value in (frame.locals or {}).items()
        if any(word in value for word in (*HIDDEN, *ENCODED))
    ]


def chain(report: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    yield report
    for other in (report.__cause__, report.__context__):
        if other is not None:
            yield from chain(other)


def failing(fault: str) -> Reply:
    return {
        "status": Reply({"error": "no"}, status=400),
        "retried": Reply({"error": "no"}, status=503),
        "redirect": Reply("", status=307, headers={"location": "ftp://x"}),
        "reset": Reply(chunks=[Reset()]),
        "cut": Reply(b"123", headers={"content-length": "9"}, chunks=[b"1", Cut()]),
        "stall": Reply(chunks=[Stall()]),
        "garbage": Reply(before=[b"SSH-2.0\r\n\r\n", Cut()]),
        "page": Reply("<html><title>x</title>", headers={"content-type": "text/html"}),
        "json": Reply("[1, 2", headers={"content-type": "application/json"}),
    }[fault]


FAULTS = ("status", "retried", "redirect", "reset", "cut", "stall", "garbage")


@pytest.mark.parametrize("how", ["send", "read"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("source", ["key", "login", "header", "proxy"])
def test_no_frame_of_the_transport_shows_a_secret(
    fake_server: FakeServer,
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    fault: str,
    source: str,
) -> None:
    fake_server.on("POST", "/a", failing(fault))
    url = fake_server.url
    client = make_client(
        Credentials(SECRET if source == "key" else None, base_url=url),
        headers={"X-API-Key": SECRET} if source == "header" else {},
    )
    if source == "login":
        url = url.replace("://", f"://me:{LOGIN}@")
    if source == "proxy":
        monkeypatch.setenv("http_proxy", url.replace("://", f"://you:{PROXY_LOGIN}@"))
        url = f"http://me:{LOGIN}@example.test"
    with pytest.raises(EasyLLMError) as caught:
        getattr(client, how)(post(url + "/a"), RetryPolicy(timeout=0.5, max_retries=1))
    assert leaks(caught.value) == []


@pytest.mark.parametrize("how", ["send", "read"])
@pytest.mark.parametrize("fault", ["refused tunnel", "no proxy", "no TLS"])
def test_no_frame_of_a_tunnel_shows_a_secret(
    fake_server: FakeServer,
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    fault: str,
) -> None:
    proxy = fake_server.url.replace("://", f"://you:{PROXY_LOGIN}@")
    if fault == "no proxy":
        proxy = f"http://you:{PROXY_LOGIN}@127.0.0.1:1"
    status = 200 if fault == "no TLS" else 407
    fake_server.on("CONNECT", "example.test:443", Reply(status=status))
    monkeypatch.setenv("https_proxy", proxy)
    client = make_client(Credentials(SECRET, base_url="https://example.test"))
    with pytest.raises(EasyLLMError) as caught:
        getattr(client, how)(post(f"https://me:{LOGIN}@example.test/a"), ONCE)
    assert leaks(caught.value) == []


def test_no_frame_of_a_given_client_shows_a_secret() -> None:
    httpx = pytest.importorskip("httpx")
    sent = {"authorization": f"Bearer {SECRET}"}
    late = Attempt("POST", parse_url("http://x/a"), SecretHeaders(sent), b"", False, 0.0, 1.0)
    with httpx.Client() as client, pytest.raises(builtins.TimeoutError) as caught:
        HttpxAdapter(client, "httpx").open(late)
    assert leaks(caught.value) == []


def test_headers_with_the_token_of_a_function_do_not_show_it() -> None:
    seen: list[Attempt] = []
    hooks = AttemptHooks(Credentials(UserFunction(lambda: SECRET), base_url="http://x"))
    attempt = Attempt("POST", parse_url("http://x/a"), {}, b"", False, math.inf, 1.0)
    send = hooks.sender(seen.append)  # type: ignore[arg-type]
    send(attempt)
    assert seen[0].headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in repr(seen[0].headers)


def ways() -> Iterator[Any]:
    kinds: list[tuple[type, tuple[str, ...]]] = [
        (EasyLLMChat, ("invoke", "ainvoke", "stream", "astream", "batch")),
        (EasyLLM, ("invoke", "ainvoke", "stream", "astream")),
        (EasyLLMEmbeddings, ("embed_query", "aembed_query", "embed_documents", "aembed_documents")),
    ]
    for kind, hows in kinds:
        for how in hows:
            yield pytest.param(kind, how, id=f"{kind.__name__}-{how}")


def call(model: Any, how: str) -> None:
    given = ["hi"] if how in {"batch", "embed_documents", "aembed_documents"} else "hi"
    if how == "stream":
        list(model.stream(given))
    elif how == "astream":

        async def read() -> None:
            async for _ in model.astream(given):
                pass

        asyncio.run(read())
    elif how.startswith("a"):
        asyncio.run(getattr(model, how)(given))
    else:
        getattr(model, how)(given)


@pytest.mark.parametrize(("kind", "how"), list(ways()))
@pytest.mark.parametrize("fault", ["status", "reset", "garbage", "page", "json"])
def test_no_frame_below_an_object_shows_a_secret(
    fake_server: FakeServer,
    kind: Callable[..., Any],
    how: str,
    fault: str,
) -> None:
    for route in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/embed"):
        fake_server.on("POST", route, failing(fault))
    model = kind(
        base_url=fake_server.url,
        api_key=SECRET,
        default_headers={"X-API-Key": SECRET},
        max_retries=0,
        timeout=5,
    )
    with pytest.raises(EasyLLMError) as caught:
        call(model, how)
    assert leaks(caught.value) == []


@pytest.mark.parametrize("given", [True, False])
def test_a_token_that_cannot_be_sent_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    token = f"{SECRET}\n{SECRET}"
    if given:
        model = EasyLLMChat(base_url="http://127.0.0.1:1", api_key=token, api="chat", model="m")
    else:
        monkeypatch.setenv("HF_TOKEN", token)
        model = EasyLLMChat(model="m/m")
    for how in ("invoke", "ainvoke", "stream", "astream"):
        with pytest.raises(ConfigurationError, match="contains line breaks") as caught:
            call(model, how)
        assert leaks(caught.value) == []


def holders(url: str) -> Iterator[object]:
    """Values that hold a secret."""
    login, url = url, "http://example.test"
    yield from (Request("GET", login), parse_url(login))
    request = post(url + "/a", b"{}", authorization=f"Bearer {SECRET}")
    address = parse_url(request.url)
    credentials = Credentials(SECRET, base_url=url)
    headers = RequestHeaders(credentials, {"X-API-Key": SECRET})
    sent = headers.for_request(request, address, ONCE, streaming=False)
    attempt = Attempt("POST", address, sent, request.body, streaming=False, deadline=1, timeout=1)
    server = parse_server_url("http://example.test/v1?key=" + SECRET)
    settings = SessionSettings(server, SECRET, (("X-API-Key", SECRET),), verify=True)
    yield from (request, address, credentials, headers, sent, attempt, settings, attempt.headers)
    yield EasyLLMChat(base_url=url, api_key=SECRET, default_headers={"X-API-Key": SECRET})
    connection = SyncConnection(socket.socket(), None, lambda *_: None)
    yield from (
        connection,
        ResponseParser("POST"),
        HTTPTransport(credentials, headers={"X-Key": SECRET}),
    )
    yield from (SyncPool(verify=True), render(attempt, None))
    connection.close()


def test_no_value_shows_the_secret_that_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://you:{PROXY_LOGIN}@127.0.0.1:1")
    url = f"http://me:{LOGIN}@example.test"
    proxy = proxy_for(parse_url(url))
    for value in (*holders(url), proxy, parse_url(url)):
        for shown in (repr(value), str(value), f"{value}", repr([value])):
            assert not any(word in shown for word in (*HIDDEN, *ENCODED)), type(value)


def test_an_answer_and_a_request_show_how_large_they_are() -> None:
    response = Response(200, {"set-cookie": SECRET}, b"x" * 1000, "http://example.test/")
    assert repr(response) == (
        "Response(status=200, url='http://example.test/', body=<1,000 bytes>)"
    )
    request = Request("POST", "http://example.test/?key=1", b"x" * 1000)
    assert repr(request) == "Request('POST', 'http://example.test/', body=<1,000 bytes>)"
