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
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from math import inf
from time import monotonic

from .async_connection import AsyncConnection
from .connect import (
    CONNECT_TIMEOUT,
    IDLE_SECONDS,
    MAX_IDLE,
    Resolver,
    check_tunnel,
    connect_socket,
    patience,
    render,
    render_tunnel,
    response,
)
from .exchange import Attempt
from .http1 import ResponseParser
from .models import URL, Response
from .proxies import Proxies, Proxy
from .socket_errors import Phase, connection_lost, incomplete, translated
from .stream import AsyncEventStream
from .tls import Verify, context_for

__all__ = ["AsyncPool", "Sessions"]


OPENING = 64
"""Connections to one server that are opened at once.

The number of open ones has no bound but the process's own, so that streams never starve another
request; yet a burst takes over connections that become free while it queues.
"""

Origin = tuple[str, str, int]
_Turn = asyncio.Future["AsyncConnection | builtins.TimeoutError | None"]

# Pools that are open; strong references, for a transport that is collected complains aloud.
_live: set[AsyncPool] = set()
_graveyard: list[AsyncPool] = []


class _Line:
    """The connections to one server, and who waits for one."""

    __slots__ = ("idle", "opening", "waiting")

    def __init__(self) -> None:
        self.idle: deque[AsyncConnection] = deque()
        self.opening = 0
        # Each gets a connection, or its turn to open one, or is told that its time is over.
        self.waiting: deque[_Turn] = deque()


class AsyncPool:
    """The connections of one transport on the running event loop.

    Attributes:
        loop: The loop.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._names = Resolver(self.loop)
        self._lines: dict[Origin, _Line] = {}
        self._connections: set[AsyncConnection] = set()
        self._most = _most_connections()
        self._seekers = 0
        self._retired = False
        for pool in tuple(_live):
            if not pool.is_here() or pool.loop.is_closed():
                pool.retire()
        _live.add(self)
        self._keeper = self._keep()
        _finish(anext(self._keeper))  # the loop knows it now

    def is_here(self) -> bool:
        """Whether the pool was made in this process."""
        return self._pid == os.getpid()

    def is_usable(self) -> bool:
        """Whether new attempts may be made with it."""
        return not self._retired and self.is_here()

    def take(self, address: URL) -> AsyncConnection | None:
        """An idle connection to an address, if there is one.

        Args:
            address: Where it has to lead.
        """
        line = self._lines.get(address.origin)
        while line and line.idle:
            connection = line.idle.pop()
            fresh = monotonic() - connection.idle_since <= IDLE_SECONDS
            if fresh and not connection.is_spent():
                return connection
            connection.close()
        return None

    async def open(
        self, step: Attempt, connect: Callable[[AsyncPool], Awaitable[AsyncConnection]]
    ) -> AsyncConnection:
        """Open a connection, or wait for one that becomes free if many are being opened.

        Args:
            step: What it is for.
            connect: Opens one, with `connect_to`.

        Raises:
            OSError: If it cannot be opened, or no time is left.
        """
        line = self._lines.setdefault(step.address.origin, _Line())
        self._seekers += 1
        try:
            while line.opening >= OPENING or not self._make_room():
                given = await self._queue(line, step.deadline)
                if given is None:
                    break
                if not given.is_spent():
                    return given
                given.close()
            else:
                line.opening += 1
            try:
                return await connect(self)
            finally:
                line.opening -= 1
                self._pass_on()
        finally:
            self._seekers -= 1
            self._end_if_empty()

    async def connect_to(self, address: URL) -> AsyncConnection:
        """Connect, without TLS.

        Args:
            address: Where to.

        Raises:
            OSError: If nobody answers there.
        """
        sock = await connect_socket(self.loop, await self._names.find(address.host, address.port))
        connection = AsyncConnection(self.loop, self._give_back, self.forget)
        self._connections.add(connection)
        try:
            await self.loop.create_connection(lambda: connection, sock=sock)
        except BaseException:
            connection.close()
            sock.close()
            self.forget(connection)
            raise
        return connection

    def forget(self, connection: AsyncConnection) -> None:
        """Forget a connection that is closed.

        Args:
            connection: The connection.
        """
        self._connections.discard(connection)
        for line in self._lines.values():
            if connection in line.idle:
                line.idle.remove(connection)
        self._pass_on()
        self._end_if_empty()

    def retire(self) -> None:
        """Close what is idle, and all else when its answer ends; from any thread.

        A loop that is closed has no answers under way: then everything is closed.
        """
        if not self.is_here():
            # The sockets and the loop are the parent's: only forget them.
            _live.discard(self)
            _graveyard.append(self)
        elif self.loop.is_closed():
            self._abandon()
        else:
            with suppress(RuntimeError):  # the loop may end at this moment
                self.loop.call_soon_threadsafe(self._close_idle)

    async def aclose_idle(self) -> None:
        """The same on the pool's own loop; what is idle is closed when this returns."""
        self._close_idle()
        await _some_turns()

    def _close_idle(self) -> None:
        self._retired = True
        for line in self._lines.values():
            while line.idle:
                line.idle.pop().close()
        self._end_if_empty()

    async def close(self) -> None:
        """Close all connections at once, on the pool's own loop."""
        self._retired = True
        for connection in tuple(self._connections):
            connection.close()
        await _some_turns()

    async def _queue(self, line: _Line, deadline: float) -> AsyncConnection | None:
        """Wait for a connection that becomes free, or for the turn to open one."""
        turn: _Turn = self.loop.create_future()
        left = deadline - monotonic()
        timer = None if left == inf else self.loop.call_later(max(left, 0), _too_late, turn)
        line.waiting.append(turn)
        try:
            given = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._return(line, turn.result())
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if isinstance(given, builtins.TimeoutError):
            raise given
        return given

    def _return(self, line: _Line, given: object) -> None:
        """Take back what was given to somebody who had just gone."""
        if isinstance(given, AsyncConnection):
            self._offer(given, line)
        elif given is None:
            line.opening -= 1
            self._pass_on()

    def _give_back(self, connection: AsyncConnection, step: Attempt) -> None:
        line = self._lines[step.address.origin]
        connection.idle_since = now = monotonic()
        self._offer(connection, line)
        # The last one back is the first one out; those at the other end grow old after a burst.
        while line.idle and now - line.idle[0].idle_since > IDLE_SECONDS:
            line.idle.popleft().close()

    def _offer(self, connection: AsyncConnection, line: _Line) -> None:
        if self._retired or len(line.idle) >= MAX_IDLE:
            connection.close()
            return
        while line.waiting:
            turn = line.waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        line.idle.append(connection)
        self._pass_on()  # others may wait for room

    def _pass_on(self) -> None:
        """Give those who wait their turn to open a connection, as far as there is room."""
        for line in self._lines.values():
            while line.waiting and line.opening < OPENING and self._make_room():
                turn = line.waiting.popleft()
                if not turn.done():
                    line.opening += 1
                    turn.set_result(None)

    def _make_room(self) -> bool:
        """Whether another connection may be opened; one that is idle makes way for it."""
        opening = sum(line.opening for line in self._lines.values())
        if len(self._connections) + opening < self._most:
            return True
        idle = next((line.idle for line in self._lines.values() if line.idle), None)
        if idle is None:
            return False
        idle.popleft().close()
        return True

    async def _keep(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            if self in _live:
                _live.discard(self)
                await self.close()

    def _end_if_empty(self) -> None:
        if self._retired and not self._connections and not self._seekers:
            self._leave()

    def _leave(self) -> None:
        with suppress(KeyError):  # another thread may have found the loop closed as well
            _live.remove(self)
            _finish(self._keeper.aclose())

    def _abandon(self) -> None:
        """Close the sockets of a closed loop, on which nothing can be awaited."""
        self._retired = True
        for connection in tuple(self._connections):
            connection.close()
        self._connections.clear()
        self._leave()


@atexit.register
def _close_all() -> None:
    """Close what is open at exit, while its loop may still be there to do it."""
    for pool in tuple(_live):
        loop = pool.loop
        if not pool.is_here() or loop.is_closed():
            pool.retire()
        elif loop.is_running():
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(pool.close(), loop).result(1)
        else:
            loop.run_until_complete(pool.close())


def _too_late(turn: _Turn) -> None:
    if not turn.done():
        turn.set_result(builtins.TimeoutError())


async def _some_turns() -> None:
    """Let the loop do what it does to connections that were closed: two turns, under TLS three."""
    for _ in range(4):
        await asyncio.sleep(0)


def _finish(step: Awaitable[None]) -> None:
    """Run something awaitable that has nothing to wait for."""
    with suppress(StopIteration, StopAsyncIteration):
        step.__await__().send(None)


def _most_connections() -> float:
    """Connections that fit beside the process's other files."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return inf
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return inf if limit == resource.RLIM_INFINITY else max(limit * 3 // 4, 16)


class Sessions:
    """The pools of one transport, one for each event loop that used it.

    Args:
        verify: Which TLS certificates to accept.
    """

    def __init__(self, verify: Verify) -> None:
        self._verify = verify
        self._pools: dict[asyncio.AbstractEventLoop, AsyncPool] = {}
        self._proxies = Proxies()

    async def attempt(self, step: Attempt) -> Response | AsyncEventStream:
        """Make one attempt on the running loop.

        Args:
            step: What to send, and until when.

        Raises:
            EasyLLMError: If there is no answer.
        """
        phase: Phase = "connect"
        connection = None
        try:
            proxy = self._proxies.find(step.address)
            pool = self._pool()
            connection = pool.take(step.address)
            if connection is None:
                connection = await pool.open(step, lambda pool: self._connect(pool, step, proxy))
            phase = "answer"
            return await _converse(connection, step, proxy)
        except BaseException as exc:
            if connection is not None:
                connection.close()
            error = translated(exc, step.address.url, phase, patience(step, phase))
            if error is exc:
                raise
            raise error from exc

    async def aclose(self) -> None:
        """Close the idle connections, the running loop's before this returns."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None and pool.is_here():
            await pool.aclose_idle()
        self.close()

    def close(self) -> None:
        """Have the idle connections closed, each on its own loop; from any thread.

        Answers under way are left to end by themselves; then their connections close.
        """
        self._proxies = Proxies()
        for loop in tuple(self._pools):
            pool = self._pools.pop(loop, None)
            if pool is not None:
                pool.retire()

    def _pool(self) -> AsyncPool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None or not pool.is_usable():
            pool = self._pools[loop] = AsyncPool()
            for other in tuple(self._pools):
                if other.is_closed():
                    self._pools.pop(other, None)
        return pool

    async def _connect(
        self, pool: AsyncPool, step: Attempt, proxy: Proxy | None
    ) -> AsyncConnection:
        address = step.address
        context = context_for(self._verify) if address.scheme == "https" else None
        deadline = min(step.deadline, monotonic() + CONNECT_TIMEOUT)
        async with asyncio.timeout(max(deadline - monotonic(), 0)):
            connection = await pool.connect_to(proxy.address if proxy else address)
            try:
                if context and proxy:
                    await _tunnel(connection, step, proxy, deadline)
                if context:
                    await connection.start_tls(context, address.host)
            except BaseException:
                connection.close()
                # A connection that is lost within the handshake does not say so.
                pool.forget(connection)
                raise
        return connection


async def _converse(
    connection: AsyncConnection, step: Attempt, proxy: Proxy | None
) -> Response | AsyncEventStream:
    parser = ResponseParser(step.method)
    try:
        await connection.ask(render(step, proxy), parser, step.deadline, whole=not step.streaming)
        if step.streaming and 200 <= parser.status < 300:
            return AsyncEventStream(connection, parser, b"", step)
        if not parser.complete:
            await connection.wait_whole(step.deadline)
    except builtins.ConnectionError as lost:
        failure = incomplete if parser.status else connection_lost
        raise failure(step.address.url) from lost
    answer = response(step, parser, connection.take())
    connection.finish(parser, step)
    return answer


async def _tunnel(
    connection: AsyncConnection, step: Attempt, proxy: Proxy, deadline: float
) -> None:
    parser = ResponseParser("HEAD")
    try:
        await connection.ask(render_tunnel(step, proxy), parser, deadline)
    except builtins.ConnectionError as lost:
        raise connection_lost(proxy.address.url, "connect") from lost
    check_tunnel(step, parser)
