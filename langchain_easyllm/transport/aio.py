"""The asynchronous shell: attempts over connections of our own, one pool per event loop.

Why not aiohttp: what a POST, or a thousand at once, costs this package is more than twice as much
over it, and closing its connections without noise takes its private attributes.
"""

from __future__ import annotations

import asyncio
import builtins
from time import monotonic

from .connections import Connection
from .flow import Attempt
from .http1 import AnswerParser
from .loop_pool import LoopPool
from .messages import Response
from .proxies import Proxies, Proxy
from .shared import CONNECT_TIMEOUT, check_tunnel, patience, render, render_tunnel, response
from .streams import AsyncEventStream
from .tls import Verify, context_for
from .translation import Phase, connection_lost, incomplete, translated

__all__ = ["Sessions"]


class Sessions:
    """The pools of one transport, one for each event loop that used it.

    Args:
        verify: Which TLS certificates to accept.
    """

    def __init__(self, verify: Verify) -> None:
        self._verify = verify
        self._pools: dict[asyncio.AbstractEventLoop, LoopPool] = {}
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

    def _pool(self) -> LoopPool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None or not pool.is_usable():
            pool = self._pools[loop] = LoopPool()
            for other in tuple(self._pools):
                if other.is_closed():
                    self._pools.pop(other, None)
        return pool

    async def _connect(self, pool: LoopPool, step: Attempt, proxy: Proxy | None) -> Connection:
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
    connection: Connection, step: Attempt, proxy: Proxy | None
) -> Response | AsyncEventStream:
    parser = AnswerParser(step.method)
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


async def _tunnel(connection: Connection, step: Attempt, proxy: Proxy, deadline: float) -> None:
    parser = AnswerParser("HEAD")
    try:
        await connection.ask(render_tunnel(step, proxy), parser, deadline)
    except builtins.ConnectionError as lost:
        raise connection_lost(proxy.address.url, "connect") from lost
    check_tunnel(step, parser)
