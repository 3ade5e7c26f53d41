"""The connections of one event loop: who gets which, and how they end with the loop.

A suspended async generator that the loop knows is the hook: `asyncio.run` closes such generators
while the loop still runs, and its `finally` closes the connections. A loop that was closed in
another way can no longer close anything: then the sockets are closed directly.
"""

from __future__ import annotations

import asyncio
import atexit
import builtins
import os
import select
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from math import inf
from time import monotonic

from .addresses import Resolver, connect_socket
from .async_connection import AsyncConnection
from .connect import (
    CONNECT_TIMEOUT,
    MAX_IDLE,
    IdleConnections,
    check_tunnel,
    render,
    render_tunnel,
    response,
    time_allowed,
)
from .connection_limit import FULL_SECONDS, RETRY_FULL, Share, may_retry
from .event_loop import running_loop
from .exchange import Attempt
from .http1 import ResponseParser
from .models import URL, Response
from .proxies import Proxies, Proxy
from .socket_errors import (
    Phase,
    connection_lost,
    incomplete,
    raise_translated,
    raise_unreachable_proxy,
)
from .stream import AsyncEventStream
from .tls import Verify, load_context

MAX_CONNECTING = 64
"""Connections to one server that are opened at once.

The number of open ones has no bound but the process's own (`connection_limit`), so that streams
never starve another request; yet a burst takes over connections that become free while it queues.
"""

HAS_POLL = hasattr(select, "poll")

Origin = tuple[str, str, int]
# Gets a connection, or None for leave to open one, or that its time is over.
_Waiter = asyncio.Future["AsyncConnection | builtins.TimeoutError | None"]

# Pools that are open; strong references, for a transport that is collected complains aloud.
_live: set[AsyncPool] = set()
# Pools of a parent process, kept: to collect them would be to close the parent's connections.
_leaked: list[AsyncPool] = []


class _OriginPool(Share):
    """The connections of one pool to one server."""

    def __init__(self, pool: AsyncPool) -> None:
        super().__init__()
        self.idle: IdleConnections[AsyncConnection] = IdleConnections()
        self.connecting = 0
        self.waiting: deque[_Waiter] = deque()
        self._pool = pool
        self._asked = 0  # leaves to open a connection that are wanted, or on their way

    def ask(self) -> None:
        """Want as many leaves as there are waiters that may connect."""
        while self.waiting and self.waiting[0].done():  # it gave up
            self.waiting.popleft()
        needed = min(len(self.waiting), MAX_CONNECTING - self.connecting) - self._asked
        if needed > 0:
            self._asked += needed
            self.limit.want(self, needed)
        elif needed < 0:
            self._asked -= self.limit.unwant(self, -needed)

    def grant(self) -> bool:
        return self._pool.call_soon(self._pass_leave)

    def _pass_leave(self) -> None:
        self._asked -= 1
        waiter = self.next() if self.connecting < MAX_CONNECTING else None
        if waiter is None:
            self.free()
        else:
            self.connecting += 1
            waiter.set_result(None)

    def next(self) -> _Waiter | None:
        """Take out the first who still waits."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    def close_idle(self) -> bool:
        if self._pool.loop.is_closed():
            self._pool.retire()
            return False
        if not self._pool.loop.is_running():
            return False  # nobody would close it
        try:
            connection = self.idle.popleft()
        except IndexError:
            return False
        self.limit.note_yield(self)
        if self._pool.call_soon(lambda: self._pool.close_yielded(connection, self)):
            return True
        self.limit.note_yield(self, -1)
        return False


class AsyncPool:
    """The connections of one transport on the running event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._resolver = Resolver(self.loop)
        self._origins: dict[Origin, _OriginPool] = {}
        # And who counts them
        self._connections: dict[AsyncConnection, _OriginPool] = {}
        self._unclaimed: set[AsyncConnection] = set()  # those that are being opened
        self._pending_acquires = 0
        self._retired = False
        for pool in list(_live):
            if not pool.is_own() or pool.loop.is_closed():
                pool.retire()
        _live.add(self)
        self._shutdown_hook = self._close_with_loop()
        _finish(anext(self._shutdown_hook))  # the loop knows it now

    def is_own(self) -> bool:
        """Whether the pool was made in this process."""
        return self._pid == os.getpid()

    def is_usable(self) -> bool:
        return not self._retired and self.is_own()

    def take(self, address: URL) -> AsyncConnection | None:
        origin = self._origins.get(address.origin)
        return origin.idle.take() if origin else None

    async def open(
        self, attempt: Attempt, connect: Callable[[AsyncPool], Awaitable[AsyncConnection]]
    ) -> AsyncConnection:
        """Open a connection by `connect`, or get one that becomes free if many are being opened."""
        key = attempt.address.origin
        origin = self._origins.get(key) or self._origins.setdefault(key, _OriginPool(self))
        self._pending_acquires += 1
        try:
            while origin.connecting >= MAX_CONNECTING or not origin.limit.take(origin):
                given = await self._queue(origin, attempt.deadline)
                if given is None:
                    break
                if not given.is_spent():
                    return given
                given.close()
            else:
                origin.connecting += 1
            return await self._connect(origin, connect)
        finally:
            self._pending_acquires -= 1
            self._end_if_empty()

    async def _connect(
        self, origin: _OriginPool, connect: Callable[[AsyncPool], Awaitable[AsyncConnection]]
    ) -> AsyncConnection:
        """Open a connection, for which there is leave."""
        connection = None
        try:
            connection = await connect(self)
            return connection
        finally:
            origin.connecting -= 1
            if connection in self._unclaimed:
                self._unclaimed.discard(connection)
                self._connections[connection] = origin
            else:
                origin.free()
            origin.ask()

    async def connect_to(self, address: URL) -> AsyncConnection:
        """Connect, without TLS."""
        places = await self._resolver.find(address.host, address.port)
        sock = await connect_socket(self.loop, places)
        connection = AsyncConnection(self.loop, sock, self._give_back, self.forget)
        self._unclaimed.add(connection)
        try:
            await self.loop.create_connection(lambda: connection, sock=sock)
        except BaseException:
            connection.close()
            sock.close()
            self.forget(connection)
            raise
        return connection

    def call_soon(self, callback: Callable[[], object]) -> bool:
        """Have something called on the pool's loop, from any thread; False if it is closed."""
        try:
            self.loop.call_soon_threadsafe(callback)
        except RuntimeError:
            return False
        return True

    def close_yielded(self, connection: AsyncConnection, origin: _OriginPool) -> None:
        """Close a connection for others, unless it was lost meanwhile."""
        if connection in self._connections:
            connection.yielded = True
            connection.close()
        else:
            origin.limit.note_yield(origin, -1)

    def forget(self, connection: AsyncConnection) -> None:
        origin = self._connections.pop(connection, None)
        if origin is None:
            self._unclaimed.discard(connection)
        else:
            with suppress(ValueError):
                origin.idle.remove(connection)
            origin.free(yielded=connection.yielded)
            origin.ask()
        self._end_if_empty()

    def retire(self) -> None:
        """Close what is idle, and all else when its response ends; from any thread.

        A loop that is closed has no responses under way: then everything is closed.
        """
        if not self.is_own():
            # The sockets and the loop are the parent's: only forget them.
            _live.discard(self)
            _leaked.append(self)
        elif self.loop.is_closed():
            self._abandon()
        else:
            self.call_soon(self._close_idle)

    async def aclose_idle(self) -> None:
        """The same on the pool's own loop; what is idle is closed when this returns."""
        self._close_idle()
        await _let_loop_close()

    def _close_idle(self) -> None:
        self._retired = True
        for origin in self._origins.values():
            origin.idle.close()
        self._end_if_empty()

    async def close(self) -> None:
        """Close all connections at once, on the pool's own loop."""
        self._retired = True
        for connection in [*self._connections, *self._unclaimed]:
            connection.close()
        await _let_loop_close()

    async def _queue(self, origin: _OriginPool, deadline: float) -> AsyncConnection | None:
        """Wait for a connection that becomes free, or for leave to open one."""
        waiter: _Waiter = self.loop.create_future()
        left = deadline - monotonic()
        timer = None if left == inf else self.loop.call_later(max(left, 0), _time_out, waiter)
        origin.waiting.append(waiter)
        try:
            origin.ask()
            given = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._return(origin, waiter.result())
            origin.ask()  # for one less
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if isinstance(given, builtins.TimeoutError):
            origin.ask()  # for one less
            raise given
        return given

    def _return(self, origin: _OriginPool, given: object) -> None:
        """Take back what was given to a waiter that was cancelled at the same moment."""
        if isinstance(given, AsyncConnection):
            self._offer(given, origin)
        elif given is None:
            origin.connecting -= 1
            origin.free()

    def _give_back(self, connection: AsyncConnection, attempt: Attempt) -> None:
        self._offer(connection, self._origins[attempt.address.origin])

    def _offer(self, connection: AsyncConnection, origin: _OriginPool) -> None:
        limit = origin.limit
        if self._retired or len(origin.idle) >= MAX_IDLE:
            connection.close()
        elif limit.wanted and limit.must_yield(origin, needed=bool(origin.waiting)):
            connection.yielded = True
            connection.close()
        elif origin.waiting and (waiter := origin.next()):
            waiter.set_result(connection)
            origin.ask()
        else:
            origin.idle.put(connection)
            if limit.wanted:  # somebody in another thread may have looked for it just before
                limit.make_room()

    async def _close_with_loop(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            if self in _live:
                _live.discard(self)
                await self.close()
                self._drop_origins()

    def _drop_origins(self) -> None:
        """Have nothing counted any more: leaves that were on their way will not be taken."""
        for origin in list(self._origins.values()):
            origin.limit.drop(origin)

    def _end_if_empty(self) -> None:
        if self._retired and not (self._connections or self._unclaimed or self._pending_acquires):
            self._leave()

    def _leave(self) -> None:
        with suppress(KeyError):  # another thread may have found the loop closed as well
            _live.remove(self)
            _finish(self._shutdown_hook.aclose())

    def _abandon(self) -> None:
        """Close the sockets of a closed loop, on which nothing can be awaited."""
        self._retired = True
        for connection in list(self._connections):
            connection.close()
        for connection in list(self._unclaimed):
            connection.close()
        self._connections.clear()
        self._unclaimed.clear()
        self._drop_origins()
        self._leave()


@atexit.register
def _close_all() -> None:
    """Close what is open at exit, while its loop may still be there to do it."""
    for pool in list(_live):
        loop = pool.loop
        if not pool.is_own() or loop.is_closed():
            pool.retire()
        elif loop.is_running():
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(pool.close(), loop).result(1)
        else:
            loop.run_until_complete(pool.close())


def _time_out(waiter: _Waiter) -> None:
    if not waiter.done():
        waiter.set_result(builtins.TimeoutError())


async def _let_loop_close() -> None:
    """Let the loop do what it does to connections that were closed, in two steps."""
    for _ in range(3):
        await asyncio.sleep(0)


def _finish(awaitable: Awaitable[None]) -> None:
    """Run something awaitable that has nothing to wait for."""
    with suppress(StopIteration, StopAsyncIteration):
        awaitable.__await__().send(None)


class AsyncBackend:
    """The pools of one transport, one for each event loop that used it."""

    def __init__(self, verify: Verify) -> None:
        self._verify = verify
        self._pools: dict[asyncio.AbstractEventLoop, AsyncPool] = {}
        self._proxies = Proxies()

    async def send(self, attempt: Attempt) -> Response | AsyncEventStream:
        phase: Phase = "connect"
        connection = None
        try:
            proxy = self._proxies.find(attempt.address)
            pool = self._pool()
            if not HAS_POLL:
                # What the system knows of idle connections, only the loop can say.
                for _ in range(3):
                    await asyncio.sleep(0)
            connection = pool.take(attempt.address)
            if connection is None:
                connection = await pool.open(
                    attempt, lambda pool: self._connect(pool, attempt, proxy)
                )
            phase = "answer"
            return await _converse(connection, attempt, proxy)
        except BaseException as exc:  # noqa: BLE001 - raised again
            if connection is not None:
                connection.close()
            raise_translated(exc, attempt.address.url, phase, time_allowed(attempt, phase))

    async def aclose(self) -> None:
        """Close the idle connections, the running loop's before this returns."""
        pool = self._pools.pop(running_loop(), None)
        if pool is not None and pool.is_own():
            await pool.aclose_idle()
        self.close()

    def close(self) -> None:
        """Have the idle connections closed, each on its own loop; from any thread."""
        self._proxies = Proxies()
        for loop in list(self._pools):
            pool = self._pools.pop(loop, None)
            if pool is not None:
                pool.retire()

    def _pool(self) -> AsyncPool:
        loop = running_loop()
        pool = self._pools.get(loop)
        if pool is None or not pool.is_usable():
            pool = self._pools[loop] = AsyncPool()
            for other in list(self._pools):
                if other.is_closed():
                    self._pools.pop(other, None)
        return pool

    async def _connect(
        self, pool: AsyncPool, attempt: Attempt, proxy: Proxy | None
    ) -> AsyncConnection:
        until = min(attempt.deadline, monotonic() + FULL_SECONDS)
        while True:
            try:
                return await self._connect_once(pool, attempt, proxy)
            except OSError as error:
                if not may_retry(error, until):
                    raise
                await asyncio.sleep(RETRY_FULL)

    async def _connect_once(
        self, pool: AsyncPool, attempt: Attempt, proxy: Proxy | None
    ) -> AsyncConnection:
        address = attempt.address
        deadline = min(attempt.deadline, monotonic() + CONNECT_TIMEOUT)
        seconds = time_allowed(attempt, "connect")
        connection = reaching = None
        try:
            async with asyncio.timeout(max(deadline - monotonic(), 0)):
                context = await load_context(self._verify) if address.scheme == "https" else None
                reaching = proxy
                connection = await pool.connect_to(proxy.address if proxy else address)
                if context and proxy:
                    await _open_tunnel(connection, attempt, proxy, deadline)
                if context:
                    await connection.start_tls(context, address.host, deadline)
        except BaseException as exc:
            if connection is not None:
                connection.close()
            elif reaching is not None:
                raise_unreachable_proxy(exc, address, reaching.address, seconds)
            raise
        return connection


async def _open_tunnel(
    connection: AsyncConnection, attempt: Attempt, proxy: Proxy, deadline: float
) -> None:
    parser = ResponseParser("HEAD")
    try:
        await connection.send(render_tunnel(attempt, proxy), parser, deadline)
    except builtins.ConnectionError as lost:
        raise connection_lost(proxy.address.url) from lost
    check_tunnel(attempt, parser)


async def _converse(
    connection: AsyncConnection, attempt: Attempt, proxy: Proxy | None
) -> Response | AsyncEventStream:
    parser = ResponseParser(attempt.method, attempt.limits, streaming=attempt.streaming)
    data, deadline = render(attempt, proxy), attempt.deadline
    try:
        await connection.send(data, parser, deadline, whole=not attempt.streaming)
        if attempt.streaming and 200 <= parser.status < 300:
            return AsyncEventStream(connection, parser, b"", attempt)
        if not parser.complete:
            await connection.wait_whole(deadline)
    except builtins.ConnectionError as lost:
        failure = incomplete if parser.status else connection_lost
        raise failure(attempt.address.url) from lost
    result = response(attempt, parser, connection.take())
    connection.finish(parser, attempt)
    return result
