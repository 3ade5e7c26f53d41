"""A proxy that is out of reach is named, and one that is named later is used."""

from __future__ import annotations

import socket
import traceback

import httpx
import pytest

from langchain_easyllm import EasyLLMChat
from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.models import RetryPolicy
from langchain_easyllm.errors import ConnectionError, EasyLLMError, TimeoutError

from ...support.fake_server import FakeServer, Reply, Stall
from ...support.fake_text_servers import serve
from ...support.http_clients import ONCE, post
from ...support.invocation_modes import answer
from .conftest import MakeClient
from .test_tls_and_proxies import Proxy, proxy  # noqa: F401


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("HTTPS_PROXY", "https://x.example.test/a"),
        ("https_proxy", "https://x.example.test/a"),
        ("HTTP_PROXY", "http://x.example.test/a"),
        ("ALL_PROXY", "https://x.example.test/a"),
    ],
)
def test_a_dead_proxy_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, make_client: MakeClient, variable: str, url: str
) -> None:
    address = closed_port()
    monkeypatch.setenv(variable, f"http://user:topsecret@{address}")
    with pytest.raises(ConnectionError) as caught:
        make_client().send(post(url), ONCE)
    assert str(caught.value) == (
        f"The proxy {address} refuses the connection. {variable} names it for x.example.test: "
        "correct it, or add the host to NO_PROXY."
    )
    assert caught.value.is_retryable  # it may be starting


def test_so_is_one_whose_name_nobody_knows(
    monkeypatch: pytest.MonkeyPatch, make_client: MakeClient
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
    with pytest.raises(ConnectionError, match=r"The proxy proxy\.invalid:3128 .*resolved\. HTTPS_"):
        make_client().send(post("https://x.example.test/a"), ONCE)


def test_so_is_one_that_is_silent(monkeypatch: pytest.MonkeyPatch, make_client: MakeClient) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        address = listening.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:  # they fill its queue
            one.setblocking(False)
            one.connect_ex(address)
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{address[1]}")
        with pytest.raises(TimeoutError, match=r"The proxy 127.* within 0\.2 s\. HTTPS_PROXY"):
            make_client().send(post("https://x.example.test/a"), RetryPolicy(0.2, 0))
        for one in waiting:
            one.close()


def test_new_objects_use_the_proxy_that_is_named_by_then(
    monkeypatch: pytest.MonkeyPatch,
    fake_server: FakeServer,
    mode: str,
    proxy: Proxy,  # noqa: F811
) -> None:
    serve(fake_server, "vllm")

    def made() -> EasyLLMChat:
        return EasyLLMChat(base_url=fake_server.url, model="tiny", api="chat")

    before = made()
    answer(mode, before)
    monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
    answer(mode, before)  # it stays with what it has
    assert len(proxy.heads) == 0
    answer(mode, made())
    assert len(proxy.heads) == 1
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    answer(mode, made())
    assert len(proxy.heads) == 1


def test_a_refused_connection_has_a_short_traceback(mode: str) -> None:
    model = EasyLLMChat(base_url=f"http://{closed_port()}", model="m", api="chat", max_retries=0)
    with pytest.raises(ConnectionError, match="refuses the connection") as caught:
        answer(mode, model)
    report = "".join(traceback.format_exception(caught.value))
    assert "During handling" not in report
    assert "direct cause" not in report
    frames = traceback.extract_tb(caught.value.__traceback__)
    own = [frame for frame in frames if "langchain_easyllm" in frame.filename]
    assert 0 < len(own) <= 10


def test_a_silent_server_takes_no_longer_than_timeout(fake_server: FakeServer, mode: str) -> None:
    for route in ("/info", "/v1/models"):
        fake_server.on("GET", route, Reply(chunks=[Stall()]))
    fake_server.on("POST", "/v1/chat/completions", Reply(chunks=[Stall()]))
    model = EasyLLMChat(base_url=fake_server.url, timeout=0.3, max_retries=0)
    with pytest.raises(EasyLLMError) as caught:
        answer(mode, model)
    assert isinstance(caught.value, TimeoutError)


def test_a_client_of_ones_own_may_take_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    address = closed_port()
    monkeypatch.setenv("HTTP_PROXY", f"http://user:topsecret@{address}")
    with httpx.Client() as client, httpx.Client(trust_env=False) as direct:
        with pytest.raises(ConnectionError, match=rf"the proxy of HTTP_PROXY \({address}\)") as one:
            HTTPTransport(http_client=client).send(post("http://127.0.0.1:9/a"), ONCE)
        with pytest.raises(ConnectionError) as other:
            HTTPTransport(http_client=direct).send(post("http://127.0.0.1:9/a"), ONCE)
    assert "topsecret" not in str(one.value)
    assert "proxy" not in str(other.value)
