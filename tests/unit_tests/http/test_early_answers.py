"""Answers that come before the request has been sent, and what a server says as it hangs up."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from langchain_easyllm._http.models import RetryPolicy
from langchain_easyllm.errors import ConnectionError, EasyLLMError, IncompleteStreamError

from ...support.http_clients import Client, post
from .conftest import MakeClient

POLICY = RetryPolicy(timeout=8, max_retries=2)
HEAD = b"HTTP/1.1 413 Payload Too Large\r\ncontent-length: 22\r\n"
REFUSAL = HEAD + b'connection: close\r\n\r\n{"error": "too large"}'
LARGE = b"x" * 5_000_000

Script = Callable[[socket.socket], object]


class ScriptedServer:
    """Does what a script says with each connection, behind the head of its first request."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.requests = 0
        self._script = script
        self._tls = tls
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}/a"
        self._threads: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            # What waits for an acknowledgement would be lost as it closes.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            with client:
                data = b""
                while b"\r\n\r\n" not in data:
                    block = client.recv(1000)
                    if not block:
                        return
                    data += block
                self.requests += 1
                self._script(client)

    def hold(self, client: socket.socket) -> None:
        """Neither read nor close till the end of the test."""
        self._over.wait(30)

    def close(self) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


def answer_and_close(client: socket.socket) -> None:
    client.sendall(REFUSAL)


def answer_in_the_middle(client: socket.socket) -> None:
    for _ in range(50):
        client.recv(16384)
    client.sendall(REFUSAL)


def answer_and_read_on(client: socket.socket) -> None:
    client.sendall(REFUSAL)
    with suppress(OSError):
        while client.recv(65536):
            pass


def answer_and_stop(client: socket.socket) -> None:
    client.sendall(REFUSAL)
    client.shutdown(socket.SHUT_WR)
    time.sleep(0.2)


def answer_in_two_parts(client: socket.socket) -> None:
    client.sendall(REFUSAL[:30])
    time.sleep(0.05)
    client.sendall(REFUSAL[30:])


SCRIPTS = {
    "closes": answer_and_close,
    "closes later": answer_in_the_middle,
    "reads on": answer_and_read_on,
    "ends its side": answer_and_stop,
    "in two parts": answer_in_two_parts,
    "holds": None,
}


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest, certificate: Path) -> ssl.SSLContext | None:
    return server_context(certificate) if request.param == "https" else None


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


MakeServer = Callable[..., ScriptedServer]


@pytest.fixture
def make_server(tls: ssl.SSLContext | None) -> Iterator[MakeServer]:
    servers: list[ScriptedServer] = []

    def make(script: Script | None) -> ScriptedServer:
        server = ScriptedServer(script or (lambda client: None), tls)
        if script is None:
            server._script = lambda client: (client.sendall(REFUSAL), server.hold(client))
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.close()


def ask(client: Client, mode: str, url: str, body: bytes, policy: RetryPolicy = POLICY) -> object:
    return (client.send if mode == "whole" else client.read)(post(url, body), policy)


@pytest.mark.parametrize("mode", ["whole", "streamed"])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_an_answer_that_comes_before_the_upload_ends(
    make_server: MakeServer, make_client: MakeClient, script: Script | None, mode: str
) -> None:
    server = make_server(script)
    client = make_client(verify=False)
    for number in (1, 2):
        with pytest.raises(EasyLLMError, match="too large") as caught:
            ask(client, mode, server.url, LARGE)
        assert caught.value.status_code == 413
        assert server.requests == number


@pytest.mark.parametrize("size", [100, 60_000, 300_000])
def test_a_connection_with_an_unread_request_is_not_used_again(
    make_server: MakeServer, make_client: MakeClient, size: int
) -> None:
    server = make_server(None)  # it answers the first request of a connection only
    kept = REFUSAL.replace(b"connection: close\r\n", b"")
    server._script = lambda client: (client.sendall(kept), server.hold(client))
    client = make_client(verify=False)
    with pytest.raises(EasyLLMError, match="too large"):
        client.send(post(server.url, b"x" * 5_000_000), POLICY)
    with pytest.raises(EasyLLMError, match="too large"):
        client.send(post(server.url, b"x" * size), POLICY)
    assert server.requests == 2


def test_an_answer_that_begins_early_and_a_whole_upload(
    make_server: MakeServer, make_client: MakeClient
) -> None:
    ended = threading.Event()

    def echo(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: a\n\n")
        while not client.recv(65536).endswith(b"end"):
            client.sendall(b"data: " + b"y" * 1000 + b"\n\n")
        ended.set()
        client.sendall(b"data: [DONE]\n\n")

    client = make_client(verify=False)
    events = client.read(post(make_server(echo).url, LARGE + b"end"), POLICY)
    assert ended.is_set()
    assert events[0] == b"a"
    assert events[-1] == b"[DONE]"
    assert len(events) > 50


@pytest.mark.parametrize("mode", ["whole", "streamed"])
@pytest.mark.parametrize("size", [10, 5_000_000])
def test_a_server_that_hangs_up_without_an_answer(
    make_server: MakeServer, make_client: MakeClient, mode: str, size: int
) -> None:
    server = make_server(lambda client: None)
    policy = RetryPolicy(timeout=8, max_retries=0)
    with pytest.raises(ConnectionError, match="closed the connection without an answer"):
        ask(make_client(verify=False), mode, server.url, b"x" * size, policy)


def test_an_early_answer_that_is_cut(make_server: MakeServer, make_client: MakeClient) -> None:
    server = make_server(lambda client: client.sendall(REFUSAL[:-5]))
    policy = RetryPolicy(timeout=8, max_retries=0)
    with pytest.raises(IncompleteStreamError, match=r"answer of 127\.0\.0\.1.* was cut off"):
        make_client(verify=False).send(post(server.url, LARGE), policy)


def test_what_arrived_before_an_event_loop_met_the_reset(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch, make_client: MakeClient
) -> None:
    """The loop sends first, finds the connection reset, and the answer is there all the same."""
    gone = threading.Event()

    def answer(client: socket.socket) -> None:
        client.sendall(REFUSAL)
        time.sleep(0.02)
        client.close()
        gone.set()

    client = make_client(verify=False)
    if not hasattr(client, "_runner"):
        pytest.skip("threads have no loop")
    server = make_server(answer)

    async def main() -> None:
        sleep = asyncio.sleep
        call = asyncio.create_task(client.transport.asend(post(server.url, LARGE), POLICY))
        while not server.requests:
            await sleep(0)
        gone.wait(5)  # the loop does nothing meanwhile
        time.sleep(0.05)  # noqa: ASYNC251 - on purpose
        await call

    with pytest.raises(EasyLLMError, match="too large"):
        client._runner.run(main())
    assert server.requests == 1


# What is said under TLS


@pytest.mark.parametrize("mode", ["whole", "streamed"])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("size", [10, 5_000_000])
def test_a_server_that_wants_a_certificate_of_the_client(
    certificate: Path, make_client: MakeClient, mode: str, version: str, size: int
) -> None:
    key = certificate.with_name("key.pem")
    context = server_context(certificate)
    context.maximum_version = ssl.TLSVersion[version]
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate)
    server = ScriptedServer(answer_and_read_on, context)
    pauses: list[float] = []
    policy = RetryPolicy(timeout=8, max_retries=1, on_retry=lambda _, wait: pauses.append(wait))
    # TLS 1.2 has no word for it.
    words = r"wants one.*load_cert_chain" if version == "TLSv1_3" else r"handshake failure"
    with pytest.raises(ConnectionError, match=words):
        ask(make_client(verify=str(certificate)), mode, server.url, b"x" * size, policy)
    if version == "TLSv1_3":
        assert pauses == []
    own = ssl.create_default_context(cafile=certificate)
    own.load_cert_chain(certificate, key)
    with pytest.raises(EasyLLMError, match="too large"):
        ask(make_client(verify=own), mode, server.url, b"x" * size)
    server.close()
