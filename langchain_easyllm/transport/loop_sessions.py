"""The life of an aiohttp session: it belongs to the event loop it was opened on and ends with it.

A suspended async generator that the loop knows is the hook: `asyncio.run` closes such generators
while the loop still runs, and its `finally` closes the session. A loop that was closed in another
way can no longer close anything: then the sockets are closed directly.
"""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

import aiohttp

from .connector import Connector

__all__ = ["LoopSession"]

READ_SIZE = 256 * 1024

# Sessions that are open; strong references, for a session that is collected complains aloud.
_live: set[LoopSession] = set()
_graveyard: list[LoopSession] = []


class LoopSession:
    """The aiohttp session of one event loop.

    Args:
        on_end: Called when the session is closed.

    Attributes:
        loop: The loop it belongs to.
        client: The aiohttp session.
        responses: Answers that are being streamed.
    """

    def __init__(self, on_end: Callable[[LoopSession], None]) -> None:
        self.loop = asyncio.get_running_loop()
        self.pid = os.getpid()
        self.responses: set[aiohttp.ClientResponse] = set()
        self._on_end = on_end
        self._connector = Connector()
        self.client = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=READ_SIZE,
            trust_env=False,
        )
        self._keeper = self._keep()

    async def start(self) -> None:
        """Register with the loop, so that its end closes the session."""
        for session in tuple(_live):
            if session.pid != self.pid or session.loop.is_closed():
                session.retire()
        _live.add(self)
        await anext(self._keeper)

    async def close(self) -> None:
        """Close all connections; to be awaited on the session's own loop."""
        if self in _live:
            try:
                await self._shut()
            finally:
                _finish(self._keeper.aclose())

    def check(self) -> None:
        """Raise if the session was closed meanwhile."""
        if self.client.closed:
            raise aiohttp.ClientConnectionError("the transport was closed")

    def retire(self) -> None:
        """Close from any thread, whatever has become of the loop."""
        if self.pid != os.getpid():
            # The sockets and the loop are the parent's: only forget them.
            _live.discard(self)
            _graveyard.append(self)
        elif self.loop.is_closed():
            self._abandon()
        else:
            with suppress(RuntimeError):  # the loop may end at this moment
                self.loop.call_soon_threadsafe(self._start_closing)

    async def _keep(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            if self in _live:
                await self._shut()
                await asyncio.sleep(0)

    async def _shut(self) -> None:
        _live.discard(self)
        self._on_end(self)
        self._hang_up()
        await self.client.close()

    def _hang_up(self) -> None:
        """Begin to close everything: each socket is closed a turn or two of the loop later."""
        for response in tuple(self.responses):
            response.close()
        if self.loop.is_closed():
            return
        for protocol, transport in tuple(self._connector.transports.items()):
            protocol.close()
            # A polite end of TLS waits for the server, maybe longer than the loop runs.
            transport.abort()

    def _start_closing(self, turns: int = 4) -> None:
        """Close without a task, which a loop that stops at this moment would leave pending."""
        self._hang_up()
        # Some turns of the loop later the sockets are closed, and there is nothing to wait for.
        if turns:
            self.loop.call_soon(self._start_closing, turns - 1)
        else:
            _finish(self.close())

    def _abandon(self) -> None:
        """Close the sockets of a closed loop, on which nothing can be awaited."""
        transports = list(self._connector.transports.values())
        connections = [response.connection for response in self.responses]
        _finish(self._shut())
        for connection in connections:
            if connection is not None:
                connection.close()
        for transport in transports:
            _discard(transport)


@atexit.register
def _close_all() -> None:
    """Close what is open at exit, while its loop may still be there to do it."""
    for session in tuple(_live):
        loop = session.loop
        if session.pid != os.getpid() or loop.is_closed():
            session.retire()
        elif loop.is_running():
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(session.close(), loop).result(1)
        else:
            loop.run_until_complete(session.close())


def _finish(coroutine: object) -> None:
    """Run a coroutine that has nothing to wait for."""
    with suppress(StopIteration):
        coroutine.send(None)  # type: ignore[attr-defined]


def _discard(transport: object) -> None:
    """Close a transport of a closed loop, whose own `close` would need the loop."""
    secure = getattr(transport, "_ssl_protocol", None)
    if secure is not None:
        transport._closed = True  # type: ignore[attr-defined]  # noqa: SLF001
        _discard(getattr(secure, "_transport", None))
    sock = getattr(transport, "_sock", None)
    if sock is not None:
        sock.close()
        transport._sock = None  # type: ignore[attr-defined]  # noqa: SLF001
