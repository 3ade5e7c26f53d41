"""Connections on an event loop: who gets one, who waits, and what a close leaves alone."""

from __future__ import annotations

import asyncio
import builtins
import socket
import time
from collections.abc import Iterator

import pytest

from langchain_easyllm._http.addresses import Resolver, connect_socket, look_up
from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.models import RetryPolicy
from langchain_easyllm.errors import ConnectionError, IncompleteStreamError, TimeoutError

from ...support.fake_server import FakeServer, Pause, Reply, Stall, sse
from ...support.http_clients import post
from ...support.on_the_clock import ON_THE_CLOCK

POOL = "langchain_easyllm._http.async_pool"
LIMIT = "langchain_easyllm._http.connection_limit"
PATIENT = RetryPolicy(timeout=10, max_retries=0)


async def until(server: FakeServer, connections: int) -> None:
    await asyncio.to_thread(server.wait_until, lambda: server.open_connections == connections)


# Who gets a connection


async def test_the_first_one_that_becomes_free_is_taken(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{LIMIT}.max_connections", lambda: 3)
    fake_server.on("POST", "/a", Reply("hi", before=[Pause(0.01)]))
    async with HTTPTransport() as transport:
        calls = (transport.asend(post(fake_server.url + "/a"), PATIENT) for _ in range(30))
        assert [answer.body for answer in await asyncio.gather(*calls)] == [b"hi"] * 30
    assert fake_server.connections <= 3


@pytest.mark.parametrize("opening", [1, 2])
async def test_few_are_opened_at_once(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch, opening: int
) -> None:
    monkeypatch.setattr(f"{POOL}.MAX_CONNECTING", opening)
    fake_server.on("POST", "/s", sse("a", Stall()))
    async with HTTPTransport() as transport:
        calls = (transport.aopen(post(fake_server.url + "/s"), PATIENT) for _ in range(20))
        streams = await asyncio.gather(*calls)
        assert fake_server.connections == 20
        for stream in streams:
            await stream.aclose()
        await until(fake_server, 0)


async def test_failures_to_connect_fail_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{POOL}.MAX_CONNECTING", 2)
    async with HTTPTransport() as transport:
        calls = (transport.asend(post("http://127.0.0.1:1/x"), PATIENT) for _ in range(20))
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(end) for end in ends] == [ConnectionError] * 20


async def test_what_is_idle_makes_way_for_another_server(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{LIMIT}.max_connections", lambda: 1)
    fake_server.on("POST", "/a", Reply("here"))
    with FakeServer() as other:
        other.on("POST", "/a", Reply("there", before=[Pause(0.01)]))
        async with HTTPTransport() as transport:
            for _ in range(2):
                answers = await asyncio.gather(
                    transport.asend(post(fake_server.url + "/a"), PATIENT),
                    transport.asend(post(other.url + "/a"), PATIENT),
                )
                assert [answer.body for answer in answers] == [b"here", b"there"]


@ON_THE_CLOCK
async def test_who_waits_for_a_connection_can_give_up(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{LIMIT}.max_connections", lambda: 1)
    fake_server.on("POST", "/s", sse("a", Stall()))
    fake_server.on("POST", "/a", Reply("hi"))
    async with HTTPTransport() as transport:
        stream = await transport.aopen(post(fake_server.url + "/s"))
        request = post(fake_server.url + "/a")
        with pytest.raises(TimeoutError, match=r"No connection .* within 0\.2 s"):
            await transport.asend(request, RetryPolicy(timeout=0.2, max_retries=0))
        tasks = [asyncio.create_task(transport.asend(request, PATIENT)) for _ in range(4)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        await stream.aclose()
        tasks[1].cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends[:2]] == [asyncio.CancelledError] * 2
        assert [end.body for end in ends[2:]] == [b"hi"] * 2


async def test_a_connection_given_to_one_who_has_gone_goes_to_the_next(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{LIMIT}.max_connections", lambda: 1)
    fake_server.on("POST", "/s", sse("a", Pause(0.1), "b"))
    fake_server.on("POST", "/a", Reply("hi"))
    async with HTTPTransport() as transport:
        stream = await transport.aopen(post(fake_server.url + "/s"), PATIENT)
        call = transport.asend(post(fake_server.url + "/a"), PATIENT)
        gone = asyncio.create_task(call)
        call = transport.asend(post(fake_server.url + "/a"), PATIENT)
        waiting = asyncio.create_task(call)
        async for _ in stream:
            pass
        # The connection is theirs now, but they have not run since.
        gone.cancel()
        assert (await waiting).body == b"hi"
        assert gone.cancelled()
    assert fake_server.connections == 1


# What a close leaves alone


@pytest.mark.parametrize("mode", ["close", "aclose", "thread"])
async def test_answers_under_way_outlive_a_close(fake_server: FakeServer, mode: str) -> None:
    fake_server.on("POST", "/s", sse("a", Pause(0.1), "b"))
    fake_server.on("POST", "/a", Reply("hi", before=[Pause(0.1)]))
    transport = HTTPTransport()
    call = asyncio.create_task(transport.asend(post(fake_server.url + "/a"), PATIENT))
    async with await transport.aopen(post(fake_server.url + "/s"), PATIENT) as stream:
        events = list(await anext(stream))
        if mode == "close":
            transport.close()
        elif mode == "aclose":
            await transport.aclose()
        else:
            await asyncio.to_thread(transport.close)
        async for more in stream:
            events += more
    assert events == [b"a", b"b", b"[DONE]"]
    assert (await call).body == b"hi"
    await until(fake_server, 0)
    assert fake_server.disconnects == 0


async def test_a_second_reader_of_a_stream_is_an_error(fake_server: FakeServer) -> None:
    fake_server.on("POST", "/s", sse("a", Stall()))
    async with HTTPTransport() as transport:
        stream = await transport.aopen(post(fake_server.url + "/s"), PATIENT)
        await anext(stream)
        first = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="Two tasks"):
            await anext(stream)
        with pytest.raises(IncompleteStreamError):
            await first


class Counted(list[bytes]):
    """Pieces that count how many of them were taken."""

    taken = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in super().__iter__():
            self.taken += 1
            yield chunk


async def test_a_server_waits_for_a_slow_reader(fake_server: FakeServer) -> None:
    event = b"data: " + b"x" * 100_000 + b"\n\n"
    chunks = Counted([event] * 640)
    fake_server.on(
        "POST", "/s", Reply(chunks=chunks, headers={"content-type": "text/event-stream"})
    )
    async with HTTPTransport() as transport:
        stream = await transport.aopen(post(fake_server.url + "/s"), PATIENT)
        async with stream:
            seen = len(await anext(stream))
            taken = -1
            while taken != chunks.taken:
                taken = chunks.taken
                await asyncio.sleep(0.2)
            # Tens of them are in the buffers of both kernels.
            assert taken < 400
            async for more in stream:
                seen += len(more)
    assert seen == 640


# Connecting


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def deaf() -> Iterator[tuple[str, int]]:
    """An address that does not answer: the queue of its listener is full."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        clients = [socket.socket() for _ in range(4)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(address)
        yield address
        for client in clients:
            client.close()


async def test_a_dead_address_is_not_waited_for(
    listener: socket.socket, deaf: tuple[str, int]
) -> None:
    loop = asyncio.get_running_loop()
    live = look_up(*listener.getsockname())[0]
    for other in (look_up("127.0.0.1", 1)[0], look_up(*deaf)[0]):
        started = time.monotonic()
        for places in ([other, live], [live, other], [other, other, live]):
            with await connect_socket(loop, places) as sock:
                assert sock.getpeername() == listener.getsockname()
        assert time.monotonic() - started < 5


async def test_the_system_says_why_nobody_is_reached() -> None:
    dead = look_up("127.0.0.1", 1)[0]
    for places in ([dead], [dead, dead]):
        with pytest.raises(ConnectionRefusedError):
            await connect_socket(asyncio.get_running_loop(), places)


async def test_connecting_can_be_cancelled(deaf: tuple[str, int]) -> None:
    place = look_up(*deaf)[0]
    for places in ([place], [place, place]):
        with pytest.raises(builtins.TimeoutError):
            async with asyncio.timeout(0.4):
                await connect_socket(asyncio.get_running_loop(), places)


async def test_names_are_looked_up() -> None:
    names = Resolver(asyncio.get_running_loop())
    found = await asyncio.gather(*(names.find("localhost", 8080) for _ in range(5)))
    assert found[0]
    assert found == [found[0]] * 5
    assert {place[4][1] for place in found[0]} == {8080}
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await names.find("nowhere.invalid", 80)
    with pytest.raises(socket.gaierror):
        await names.find("x" * 64 + ".test", 80)
