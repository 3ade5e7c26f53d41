"""The options of connections, the addresses they go to, and the contexts they are secured with."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import uvloop

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm._http import addresses, tls
from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.models import RetryPolicy
from langchain_easyllm.errors import ConfigurationError, ConnectionError, EasyLLMError, TimeoutError

from ...support.fake_server import FakeServer, Pause, Reply, sse
from ...support.http_clients import Client, post
from ...support.subprocess_scripts import assert_silent
from .conftest import MakeClient

QUICK = RetryPolicy(timeout=0.5, max_retries=0)


def sockets_of(client: Client) -> list[socket.socket]:
    """The sockets of idle connections."""
    backends = client.transport._backends
    if backends.sync:
        return [c._sock for o in backends.sync._origins.values() for c in o.idle]
    (pool,) = backends.asynchronous._pools.values()
    return [connection._sock for connection in pool._connections]


# Options


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="it has other names here")
def test_silent_connections_are_probed(fake_server: FakeServer, client: Client) -> None:
    fake_server.on("POST", "/a", Reply("hi"))
    client.send(post(fake_server.url + "/a"))
    (sock,) = sockets_of(client)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    names = ["TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_NODELAY"]
    values = [sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]
    assert values[:3] == [60, 10, 3]
    assert values[3]
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # The time in which those probes find a dead peer.
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 90_000


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="it is Linux's")
def test_a_server_may_let_a_large_request_wait(
    monkeypatch: pytest.MonkeyPatch, make_client: MakeClient
) -> None:
    """Its full buffer is no dead peer, however long its model takes to start."""
    monkeypatch.setattr(addresses, "USER_TIMEOUT", 1)
    body = b"x" * 20_000_000

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            time.sleep(4)
            while not client.recv(1 << 20).endswith(b"end"):
                pass
            client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/a"
        policy = RetryPolicy(timeout=30, max_retries=0)
        assert make_client().send(post(url, body + b"end"), policy).body == b"hi"
        thread.join()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="it is Linux's")
def test_a_peer_that_acknowledges_nothing_is_no_slow_answer(
    monkeypatch: pytest.MonkeyPatch, make_client: MakeClient
) -> None:
    monkeypatch.setattr(addresses, "USER_TIMEOUT", 1)
    # As if the peer were gone: nothing that it has no room for is waited for.
    for module in ("sync_connection", "async_connection"):
        monkeypatch.setattr(f"langchain_easyllm._http.{module}.allow_slow_reading", lambda _: None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/a"
        policy = RetryPolicy(timeout=60, max_retries=0)
        with pytest.raises(
            ConnectionError, match=r"connection to 127\.0\.0\.1.* failed: .*timed out"
        ):
            make_client().send(post(url, b"x" * 20_000_000), policy)


# Addresses


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port at which 127.0.0.2 does not answer, and a server listens on 127.0.0.1."""
    with socket.socket() as full, FakeServer() as server:
        server.on("POST", "/a", Reply("hi", keep_alive=False))
        port = int(server.url.rpartition(":")[2])
        full.bind(("127.0.0.2", port))
        full.listen(0)
        clients = [socket.socket() for _ in range(4)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(("127.0.0.2", port))
        yield port
        for client in clients:
            client.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The addresses of names."""
    known: dict[str, list[str]] = {}
    system = socket.getaddrinfo

    def look_up(host: str, port: int, **options: int) -> list[object]:
        if host in known and options.get("flags"):
            raise socket.gaierror
        return [info for one in known.get(host, [host]) for info in system(one, port, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(addresses, "_last", {})
    return known


def test_a_dead_first_address_costs_one_moment_once(
    deaf: int, names: dict[str, list[str]], make_client: MakeClient
) -> None:
    names["two.test"] = ["127.0.0.2", "127.0.0.1"]
    client = make_client()
    times = []
    for _ in range(4):
        started = time.monotonic()
        assert client.send(post(f"http://two.test:{deaf}/a")).body == b"hi"
        times.append(time.monotonic() - started)
    assert addresses.STAGGER <= times[0] < 3  # of the ten seconds that a connection may take
    assert min(times[1:]) < addresses.STAGGER
    assert sorted(times)[1] < addresses.STAGGER


def test_an_address_that_refuses_is_not_waited_for(
    fake_server: FakeServer, names: dict[str, list[str]], make_client: MakeClient
) -> None:
    fake_server.on("POST", "/a", Reply("hi"))
    names["two.test"] = ["127.0.0.3", "127.0.0.1"]
    port = fake_server.url.rpartition(":")[2]
    assert make_client().send(post(f"http://two.test:{port}/a")).body == b"hi"
    names["none.test"] = ["127.0.0.3", "127.0.0.4"]
    with pytest.raises(ConnectionError, match=r"none\.test.* refuses the connection"):
        make_client().send(post(f"http://none.test:{port}/a"), QUICK)


def test_what_did_not_answer_is_tried_first_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresses, "_last", {})
    one, two = (addresses.look_up(host, 80)[0] for host in ("127.0.0.1", "127.0.0.2"))
    assert addresses.best_first([one, two]) == [one, two]
    addresses._note(two, [one, two])
    assert addresses.best_first([one, two]) == [two, one]
    addresses._note(one, [two, one])
    assert addresses.best_first([one, two]) == [one, two]
    now = time.monotonic() + addresses.LAST_SECONDS + 1
    monkeypatch.setattr(addresses, "monotonic", lambda: now)
    assert addresses.best_first([two, one]) == [two, one]


def test_nobody_answers_in_time(
    deaf: int, names: dict[str, list[str]], make_client: MakeClient
) -> None:
    names["deaf.test"] = ["127.0.0.2", "127.0.0.2"]
    with pytest.raises(TimeoutError, match=r"No connection to deaf\.test.* within 0\.5 s"):
        make_client().send(post(f"http://deaf.test:{deaf}/a"), QUICK)


# TLS contexts


@contextmanager
def https(certificate: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with FakeServer(tls=context) as server:
        server.on("POST", "/a", Reply("hi", keep_alive=False))
        server.on("POST", "/s", sse("a", Pause(0.01), "b"))
        yield server.url


@pytest.mark.parametrize("kind", ["file", "folder", "variable"])
def test_authorities_that_are_replaced_are_seen(
    certificate: Path,
    tmp_path: Path,
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    place = tmp_path / "ca"
    if kind == "folder":
        place.mkdir()
    else:
        wrong = ssl.create_default_context().get_ca_certs(binary_form=True)
        if not wrong:
            import certifi

            wrong = ssl.create_default_context(cafile=certifi.where()).get_ca_certs(True)
        place.write_text(ssl.DER_cert_to_PEM_cert(wrong[0]))
    if kind == "variable":
        monkeypatch.setenv("SSL_CERT_FILE", str(place))
    client = make_client(verify=True if kind == "variable" else str(place))
    with https(certificate) as url:
        with pytest.raises(ConnectionError, match="cannot be verified"):
            client.send(post(url + "/a"))
        if kind == "folder":
            shutil.copytree(certificate.with_name("authorities"), place, dirs_exist_ok=True)
        else:
            place.write_text(certificate.read_text())
        assert client.send(post(url + "/a")).body == b"hi"
        if kind == "folder":
            for file in place.iterdir():
                file.unlink()
        else:
            place.write_text(ssl.DER_cert_to_PEM_cert(wrong[0]))
        with pytest.raises(ConnectionError, match="cannot be verified"):
            client.send(post(url + "/a"))


async def test_a_loop_goes_on_while_a_context_is_built(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, builders = tls._build, []
    ticks: list[int] = []

    def slow(**options: object) -> ssl.SSLContext:
        builders.append(threading.current_thread())
        before = len(ticks)
        end = time.monotonic() + 10
        while len(ticks) < before + 5 and time.monotonic() < end:
            time.sleep(0.001)
        assert len(ticks) > before
        return build(**options)

    async def tick() -> None:
        while True:
            ticks.append(1)
            await asyncio.sleep(0.001)

    monkeypatch.setattr(tls, "_build", slow)
    monkeypatch.setattr(tls, "_contexts", {})
    ticking = asyncio.create_task(tick())
    with https(certificate) as url:
        async with HTTPTransport(verify=certificate) as transport:
            requests = [post(url + "/a")] * 5
            gone = asyncio.create_task(transport.asend(requests[0]))
            await asyncio.sleep(0.002)
            gone.cancel()  # one who gives up leaves it to the others
            answers = await asyncio.gather(*map(transport.asend, requests))
            assert [answer.body for answer in answers] == [b"hi"] * 5
            assert (await asyncio.to_thread(transport.send, requests[0])).body == b"hi"
    ticking.cancel()
    assert len(builders) == 1
    assert builders[0] is not threading.main_thread()


async def test_a_context_that_cannot_be_built_is_tried_again(
    certificate: Path, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    with https(certificate) as url:
        async with HTTPTransport(verify=file) as transport:
            for _ in range(2):
                with pytest.raises(ConfigurationError, match=r"ca\.pem"):
                    await transport.asend(post(url + "/a"))
            shutil.copy(certificate, file)
            assert (await transport.asend(post(url + "/a"))).body == b"hi"


# Loops of other kinds


def test_uvloop(certificate: Path) -> None:
    async def main(url: str) -> None:
        async with HTTPTransport(verify=certificate) as transport:
            for _ in range(2):
                assert (await transport.asend(post(url + "/a"))).body == b"hi"
                async with await transport.aopen(post(url + "/s")) as stream:
                    events = [event async for several in stream for event in several]
                assert events == [b"a", b"b", b"[DONE]"]

    with https(certificate) as url, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(url))


TRIO = r"asyncio's event loops .*trio\.to_thread\.run_sync\(llm\.invoke"


@pytest.mark.parametrize(
    "call",
    [
        lambda url: EasyLLMChat(base_url=url).ainvoke("hi"),
        lambda url: EasyLLMChat(base_url=url).abatch(["hi", "ho"]),
        lambda url: anext(EasyLLMChat(base_url=url).astream("hi")),
        lambda url: EasyLLM(base_url=url).ainvoke("hi"),
        lambda url: anext(EasyLLM(base_url=url).astream("hi")),
        lambda url: EasyLLMEmbeddings(base_url=url).aembed_query("hi"),
        lambda url: EasyLLMEmbeddings(base_url=url).aembed_documents(["hi", "ho"]),
    ],
)
def test_a_call_from_trio_says_how_to_make_it(fake_server: FakeServer, call: object) -> None:
    async def main() -> None:
        with pytest.raises(ConfigurationError, match=TRIO):
            await call(fake_server.url)

    trio.run(main)
    assert fake_server.requests == []


def test_the_way_from_trio_that_is_named(fake_server: FakeServer) -> None:
    answer = {"choices": [{"message": {"role": "assistant", "content": "Hi"}}]}
    fake_server.on("POST", "/v1/chat/completions", Reply(answer))
    model = EasyLLMChat(base_url=fake_server.url, api="chat", model="m")

    async def main() -> str:
        return (await trio.to_thread.run_sync(model.invoke, "hi")).text

    assert trio.run(main) == "Hi"


def test_a_stream_made_outside_of_its_loop(fake_server: FakeServer) -> None:
    chunk = {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    fake_server.on("POST", "/v1/chat/completions", sse(chunk))
    stream = EasyLLMChat(base_url=fake_server.url, api="chat", model="m").astream("hi")

    async def main() -> str:
        return "".join([piece.text async for piece in stream])

    assert asyncio.run(main()) == "Hi"


async def test_an_idle_connection_that_ended_is_seen_without_poll(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where the loop has to say it."""
    monkeypatch.delattr("select.poll")
    monkeypatch.setattr("langchain_easyllm._http.async_pool.HAS_POLL", False)
    fake_server.on("POST", "/a", Reply("hi"))
    async with HTTPTransport() as transport:
        for _ in range(3):
            await transport.asend(post(fake_server.url + "/a"), QUICK)
            ends = list(fake_server._transports)
            fake_server._loop.call_soon_threadsafe(lambda ends=ends: [e.close() for e in ends])
            fake_server.wait_until(lambda: fake_server.open_connections == 0)  # blocks the loop
    assert fake_server.connections == 3


def test_threads_without_poll(
    certificate: Path, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("select.poll")
    monkeypatch.setattr(addresses, "_Selector", addresses.selectors.SelectSelector)
    fake_server.on("POST", "/a", Reply("hi"))
    with HTTPTransport(verify=certificate) as transport, https(certificate) as url:
        for _ in range(2):
            assert transport.send(post(fake_server.url + "/a", b"x" * 5_000_000)).body == b"hi"
            assert transport.send(post(url + "/a", b"x" * 5_000_000)).body == b"hi"
            with transport.open(post(url + "/s")) as stream:
                assert len([event for several in stream for event in several]) == 3
        with pytest.raises(EasyLLMError, match="refuses"):
            transport.send(post("http://127.0.0.1:1/a"), QUICK)
    assert fake_server.connections == 1


# What is dropped


DROPPED = """
    import asyncio, gc, logging, sys, threading, time
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    from langchain_easyllm._http.models import Request
    from langchain_easyllm._http.client import HTTPTransport
    url = sys.argv[1]
    plain, streamed = Request("POST", url + "/slow", b"{}"), Request("POST", url + "/s", b"{}")
    class Holder:
        pass
"""
SYNC_DROP = """
    transport = HTTPTransport(verify=False)
    thread = threading.Thread(target=transport.send, args=(plain,))
    thread.start()
    for generation in (0, 1, 2, 0):
        time.sleep(0.02)
        gc.collect(generation)
        holder = Holder()
        holder.me, holder.stream = holder, transport.open(streamed)
        next(holder.stream)
        holder.connection = holder.stream._connection
        holder.socket = holder.connection._sock
        gc.collect(generation)
        del holder
        gc.collect()
    thread.join()
    holder = Holder()
    holder.me, holder.own = holder, HTTPTransport(verify=False)
    holder.own.send(plain)
    del holder
    gc.collect()
    next(HTTPTransport(verify=False).open(streamed))
"""
ASYNC_DROP = """
    async def main():
        transport = HTTPTransport(verify=False)
        for generation in (0, 1, 2):
            holder = Holder()
            holder.me, holder.stream = holder, await transport.aopen(streamed)
            await anext(holder.stream)
            holder.connection = holder.stream._connection
            gc.collect(generation)
            del holder
            gc.collect()
        await asyncio.sleep(0.05)
        holder = Holder()
        holder.me, holder.own = holder, HTTPTransport(verify=False)
        holder.stream = await holder.own.aopen(streamed)
    asyncio.run(main())
    gc.collect()
"""


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("drop", [SYNC_DROP, ASYNC_DROP], ids=["sync", "async"])
def test_what_is_dropped_in_a_cycle_ends_in_silence(
    certificate: Path, scheme: str, drop: str
) -> None:
    context = None
    if scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with FakeServer(tls=context) as server:
        server.on("POST", "/slow", Reply("hi", before=[Pause(0.3)]))
        server.on("POST", "/s", sse("a", Pause(20)))
        assert_silent(DROPPED, drop, arguments=(server.url,))
        server.wait_until(lambda: server.open_connections == 0)
