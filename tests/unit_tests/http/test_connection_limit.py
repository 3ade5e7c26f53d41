"""The bound on open connections holds for the process: pools, loops and threads share it."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from langchain_easyllm._http.async_connection import AsyncConnection
from langchain_easyllm._http.async_pool import AsyncBackend
from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.connect import IdleConnections
from langchain_easyllm._http.connection_limit import ConnectionLimit, Share, process_limit
from langchain_easyllm._http.models import RetryPolicy
from langchain_easyllm._http.sync_pool import _SyncOriginPool
from langchain_easyllm.errors import TimeoutError

from ...support.fake_server import FakeServer, Pause, Reply, Stall, sse
from ...support.http_clients import post
from ...support.subprocess_scripts import MAY_FORK, assert_silent

LIMIT = "langchain_easyllm._http.connection_limit.max_connections"
PATIENT = RetryPolicy(timeout=20, max_retries=0)


@pytest.fixture
def servers() -> Iterator[tuple[FakeServer, FakeServer]]:
    with FakeServer() as one, FakeServer() as two:
        for server in (one, two):
            server.on("POST", "/a", Reply("hi", before=[Pause(0.02)]))
            server.on("POST", "/s", sse("a", Stall()))
        yield one, two


SETUP = """
    import asyncio, gc, os, resource, sys, threading
    from concurrent.futures import ThreadPoolExecutor
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
    from langchain_easyllm._http.models import Request, RetryPolicy
    from langchain_easyllm._http.client import HTTPTransport
    urls = sys.argv[1:]
    transports = [HTTPTransport() for _ in urls]
    policy = RetryPolicy(timeout=50, max_retries=0)
    requests = [Request("POST", url + "/a", b"{}") for url in urls]
    async def many(number, pairs):
        calls = (t.asend(r, policy) for _ in range(number) for t, r in pairs)
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert all(getattr(end, "body", None) == b"hi" for end in ends), set(map(repr, ends))
    pairs = list(zip(transports, requests))
"""
USES = {
    "two models": "asyncio.run(many(300, pairs))\n",
    "one after the other": """
        async def main():
            for pair in pairs * 2:
                await many(300, [pair])
        asyncio.run(main())
    """,
    "two loops in threads": """
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda pair: asyncio.run(many(300, [pair])), pairs))
    """,
    "a loop that idles beside another": """
        idle = asyncio.new_event_loop()
        thread = threading.Thread(target=idle.run_forever)
        thread.start()
        asyncio.run_coroutine_threadsafe(many(300, pairs[:1]), idle).result()
        asyncio.run(many(300, pairs[1:]))
        asyncio.run_coroutine_threadsafe(transports[0].aclose(), idle).result()
        idle.call_soon_threadsafe(idle.stop)
        thread.join()
        idle.close()
    """,
    "a loop that was closed with all it had": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(many(300, pairs[:1]))
        loop.close()
        asyncio.run(many(300, pairs[1:]))
    """,
    "threads": """
        def call(number):
            transport, request = pairs[number % 2]
            assert transport.send(request, policy).body == b"hi"
        threading.stack_size(128 * 1024)
        with ThreadPoolExecutor(300) as threads:
            list(threads.map(call, range(600)))
    """,
    "threads beside a loop": """
        def call(number):
            assert transports[0].send(requests[0], policy).body == b"hi"
        with ThreadPoolExecutor(100) as threads:
            calls = threads.map(call, range(300))
            asyncio.run(many(300, pairs[1:]))
            list(calls)
    """,
    "other files are open, too": """
        files = [open(os.devnull) for _ in range(150)]
        asyncio.run(many(100, pairs))
        with ThreadPoolExecutor(100) as threads:
            list(threads.map(lambda _: transports[0].send(requests[0], policy), range(300)))
        [file.close() for file in files]
    """,
    "a fork": """
        asyncio.run(many(250, pairs))
        pid = os.fork()
        asyncio.run(many(250, pairs))
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
    """,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_no_call_fails_for_want_of_files(servers: tuple[FakeServer, FakeServer], use: str) -> None:
    pytest.importorskip("resource")
    quiet = "\n    import logging\n    logging.getLogger('asyncio').setLevel(logging.ERROR)\n"
    urls = tuple(server.url for server in servers)
    assert_silent(SETUP, quiet, use, options=MAY_FORK, arguments=urls)


# Fairness


@pytest.mark.parametrize("pools", [1, 2])
async def test_a_server_is_not_starved_by_a_busier_one(
    servers: tuple[FakeServer, FakeServer], monkeypatch: pytest.MonkeyPatch, pools: int
) -> None:
    monkeypatch.setattr(LIMIT, lambda: 4)
    busy = HTTPTransport()
    quiet = busy if pools == 1 else HTTPTransport()
    ends: list[str] = []

    async def call(transport: HTTPTransport, server: FakeServer, name: str) -> None:
        await transport.asend(post(server.url + "/a"), PATIENT)
        ends.append(name)

    async with busy, quiet:
        crowd = [asyncio.create_task(call(busy, servers[0], "busy")) for _ in range(200)]
        await asyncio.sleep(0.03)
        few = [asyncio.create_task(call(quiet, servers[1], "quiet")) for _ in range(6)]
        await asyncio.gather(*crowd, *few)
    last = len(ends) - 1 - ends[::-1].index("quiet")
    assert last < 100
    # Nor are connections replaced in turns.
    assert servers[0].connections + servers[1].connections < 20


def test_a_thread_is_not_starved_by_busier_ones(
    servers: tuple[FakeServer, FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LIMIT, lambda: 4)
    ends: list[int] = []
    with HTTPTransport() as busy, HTTPTransport() as quiet, ThreadPoolExecutor(40) as threads:

        def call(number: int) -> None:
            (quiet if number == 30 else busy).send(post(servers[number == 30].url + "/a"), PATIENT)
            ends.append(number)

        list(threads.map(call, range(200)))
    assert ends.index(30) < 100


async def test_what_is_idle_elsewhere_makes_way(
    servers: tuple[FakeServer, FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LIMIT, lambda: 1)
    one, two = HTTPTransport(), HTTPTransport()
    urls = [server.url + "/a" for server in servers]
    async with one, two:
        for _ in range(2):
            assert (await one.asend(post(urls[0]), PATIENT)).body == b"hi"
            assert (await two.asend(post(urls[1]), PATIENT)).body == b"hi"
            assert (await asyncio.to_thread(one.send, post(urls[1]), PATIENT)).body == b"hi"
            assert (await asyncio.to_thread(two.send, post(urls[0]), PATIENT)).body == b"hi"


def test_a_thread_that_waits_for_a_connection_gives_up_in_time(
    servers: tuple[FakeServer, FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LIMIT, lambda: 1)
    url = servers[0].url
    with HTTPTransport() as transport:
        stream = transport.open(post(url + "/s"), PATIENT)
        with pytest.raises(TimeoutError, match=r"No connection .* within 0\.2 s"):
            transport.send(post(url + "/a"), RetryPolicy(timeout=0.2, max_retries=0))
        with ThreadPoolExecutor(1) as threads:
            call = threads.submit(transport.send, post(url + "/a"), PATIENT)
            time.sleep(0.05)
            stream.close()
            assert call.result(10).body == b"hi"


# The count itself


class Counter(Share):
    def __init__(self, limit: ConnectionLimit) -> None:
        super().__init__()
        self.limit = limit
        self.granted = 0
        self.idle = 0

    def grant(self) -> bool:
        self.granted += 1
        return True

    def close_idle(self) -> bool:
        if not self.idle:
            return False
        self.idle -= 1
        self.limit.note_yield(self)
        self.free(yielded=True)
        return True


def test_leaves_go_to_who_has_the_fewest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIMIT, lambda: 3)
    limit = ConnectionLimit()
    much, some, none = (Counter(limit) for _ in range(3))
    assert [limit.take(share) for share in (much, much, some, none)] == [True] * 3 + [False]
    for share in (much, some, none):
        limit.want(share)
    much.free()
    assert (much.granted, some.granted, none.granted) == (0, 0, 1)
    assert not limit.must_yield(some, needed=True)
    assert limit.unwant(some) == 1
    some.free()
    assert much.granted == 1
    assert not limit.wanted
    some.idle = 0
    much.idle = 1
    limit.want(some)
    assert some.granted == 1


def test_a_share_that_is_dropped_counts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIMIT, lambda: 1)
    limit = ConnectionLimit()
    gone, left = Counter(limit), Counter(limit)
    assert limit.take(gone)
    limit.want(left)
    limit.drop(gone)
    assert left.granted == 1
    gone.free()  # its sockets are closed after all
    assert not limit.take(Counter(limit))


def test_finalizers_may_free_within_any_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads take, want and free, while the collector frees what they dropped."""
    monkeypatch.setattr(LIMIT, lambda: 8)
    limit = ConnectionLimit()
    share = Counter(limit)

    class Held:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            share.free()

    def work() -> None:
        for _ in range(300):
            if limit.take(share):
                Held()
            gc.collect(0)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=work) for _ in range(4)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
    finally:
        sys.setswitchinterval(interval)
    gc.collect()
    assert share.open == 0


def test_a_stream_that_is_closed_within_a_step_waits_for_nothing(
    servers: tuple[FakeServer, FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the collector, which may run a generator's `finally` anywhere."""
    monkeypatch.setattr(LIMIT, lambda: 2)
    servers[0].on("POST", "/s", sse("a"))
    with HTTPTransport() as transport:
        stream = transport.open(post(servers[0].url + "/s"), PATIENT)
        pool = transport._sync_pool()
        (origin,) = pool._origins.values()
        limit = origin.limit
        limit.wanted += 1  # somebody else waits

        def close() -> None:
            with limit._step, limit._lock:
                list(stream)
                stream.close()

        thread = threading.Thread(target=close, daemon=True)
        thread.start()
        thread.join(10)
        limit.wanted -= 1
        assert not thread.is_alive()
        servers[0].wait_until(lambda: servers[0].open_connections == 0)
        assert transport.send(post(servers[0].url + "/a"), PATIENT).body == b"hi"


def steps_of_waiting(finalize: Callable[[_SyncOriginPool, int], None]) -> int:
    """Have a thread wait for a connection, with something called at each of its steps."""
    origin = _SyncOriginPool()
    origin.limit = ConnectionLimit()
    assert origin.limit.take(origin)
    steps = 0

    def trace(_frame: object, _event: str, _argument: object) -> Any:
        nonlocal steps
        steps += 1
        finalize(origin, steps)
        return trace

    def wait() -> None:
        sys.settrace(trace)
        try:
            assert origin.acquire(time.monotonic() + 20) is None
        finally:
            sys.settrace(None)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    seen = -1
    while thread.is_alive() and seen != steps:  # as long as it is not blocked
        seen = steps
        thread.join(0.2)
    blocked_at = steps
    if origin.waiting:
        origin.free()
    thread.join(10)
    assert not thread.is_alive(), f"it waits for itself at step {steps}"
    assert origin.open == 1, f"it was not told at step {blocked_at}"
    return blocked_at


def test_a_finalizer_may_grant_within_any_step_of_a_waiting_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The collector runs anywhere: here a connection is freed at one step after another."""
    monkeypatch.setattr(LIMIT, lambda: 1)
    last = steps_of_waiting(lambda _origin, _step: None)
    assert last > 20
    for moment in range(1, last + 1):

        def free(origin: _SyncOriginPool, step: int, moment: int = moment) -> None:
            if step == moment:
                origin.free()

        steps_of_waiting(free)


def test_an_interrupted_step_leaves_the_limit_to_others() -> None:
    """Ctrl-C may be pressed at any time; Python looks for it where a function begins."""
    moment = ended = 0
    while not ended:
        moment += 1
        limit = ConnectionLimit()
        share = Counter(limit)
        steps = 0

        def trace(_frame: object, _event: str, _argument: object) -> Any:
            nonlocal steps
            steps += 1
            if steps == moment:  # noqa: B023 - called before it changes
                sys.settrace(None)
                raise KeyboardInterrupt
            return None

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            limit.take(share)
            share.free()
            limit.make_room()
            ended = 1
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        other = Counter(limit)
        thread = threading.Thread(target=limit.want, args=(other,), daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive(), f"interrupted at step {moment}"
        assert other.granted == 1
    assert moment > 10


# An event loop's part of it


async def test_a_connection_that_is_lost_while_it_makes_way_counts_once(
    servers: tuple[FakeServer, FakeServer],
) -> None:
    """Another thread asks for it at the moment in which the server closes it."""

    class Losing(IdleConnections[AsyncConnection]):
        def popleft(self) -> AsyncConnection:
            connection = super().popleft()
            connection.close()
            pool.forget(connection)
            return connection

    async with HTTPTransport() as transport:
        await transport.asend(post(servers[0].url + "/a"), PATIENT)
        pool = cast("AsyncBackend", transport._async_backend())._pool()
        (origin,) = pool._origins.values()
        origin.idle = Losing(origin.idle)
        assert origin.close_idle()
        await asyncio.sleep(0.01)
        assert (origin.open, origin.yielding) == (0, 0)


@pytest.mark.parametrize("end", ["cancelled", "too late"])
async def test_who_gives_up_wants_nothing_more(
    servers: tuple[FakeServer, FakeServer], monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(LIMIT, lambda: 1)
    limit = process_limit()
    policy = RetryPolicy(timeout=0.1 if end == "too late" else 20, max_retries=0)
    async with HTTPTransport() as transport:
        stream = await transport.aopen(post(servers[0].url + "/s"), PATIENT)
        calls = [
            asyncio.ensure_future(transport.asend(post(servers[1].url + "/a"), policy))
            for _ in range(5)
        ]
        await asyncio.sleep(0.02)
        if end == "cancelled":
            assert limit.wanted == 5
            for call in calls:
                call.cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        kind = asyncio.CancelledError if end == "cancelled" else TimeoutError
        assert {type(result) for result in results} == {kind}
        assert limit.wanted == 0
        await stream.aclose()


def test_a_loop_that_ends_leaves_nothing_counted(
    servers: tuple[FakeServer, FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a leave that was on its way to it when it ended."""
    monkeypatch.setattr(LIMIT, lambda: 1)
    transport = HTTPTransport()
    limit = process_limit()
    before = limit._open

    async def main() -> None:
        await transport.asend(post(servers[0].url + "/a"), PATIENT)
        (origin,) = cast("AsyncBackend", transport._async_backend())._pool()._origins.values()
        with limit._step, limit._lock:
            limit._add(origin)

    asyncio.run(main())
    assert limit._open == before
