"""One connection on an event loop: what arrives goes straight into the parser of its response."""

from __future__ import annotations

import asyncio
import builtins
import select
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from math import inf
from time import monotonic
from typing import cast

from ..errors import EasyLLMError
from .addresses import UNREAD, allow_slow_reading
from .exchange import Attempt
from .http1 import ResponseParser
from .tls_layer import TLSLayer

MAX_UNREAD = 128 * 1024
"""Bytes of a stream that wait for their reader before the server has to wait."""

SLICE = 256 * 1024
"""Bytes of a request that are written at once."""


class AsyncConnection(asyncio.Protocol):
    """A connection whose waits have a deadline: a moment of `time.monotonic`."""

    __slots__ = ("_chunks", "_closed", "_deadline", "_early", "_failure", "_give_back", "_loop",
                 "_on_lost", "_parser", "_paused", "_poll", "_sock", "_timer", "_tls",
                 "_transport", "_unread", "_used", "_waiter", "_whole", "_writable",
                 "idle_since", "lost", "yielded")  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        give_back: Callable[[AsyncConnection, Attempt], None],
        on_lost: Callable[[AsyncConnection], None],
    ) -> None:
        self._loop = loop
        self._give_back = give_back
        self._on_lost = on_lost
        self._sock = sock
        self._tls: TLSLayer | None = None
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None
        self._parser: ResponseParser | None = None
        self._whole = True
        self._chunks: list[bytes] = []
        self._unread = 0
        self._early = b""
        self._used = False
        self._failure: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = inf
        self._paused = False
        self._writable = True
        self._closed = False
        self.idle_since = 0.0
        self.lost = False
        self.yielded = False

    # What the pool and streams call

    async def send(
        self, data: memoryview, parser: ResponseParser, deadline: float, *, whole: bool = True
    ) -> None:
        """Send a request; wait for its whole response, or for the head, till the deadline."""
        self._used = True
        self._parser = parser
        self._whole = whole
        if self._early:
            early, self._early = self._early, b""
            self._feed(early)
        if self.lost:
            self._end(None)
        await self._write(data, parser, deadline)
        while not (parser.complete or (parser.status and not whole)):
            await self._sleep(deadline)

    async def wait_whole(self, deadline: float) -> None:
        self._whole = True
        self._resume()
        while self._parser is not None and not self._parser.complete:
            await self._sleep(deadline)

    async def wait(self, deadline: float) -> None:
        """Wait for something of the response to take, or its end."""
        while not self._chunks and self._parser is not None and not self._parser.complete:
            await self._sleep(deadline)

    def take(self) -> bytes:
        """What has arrived of the body and was not taken yet."""
        chunks = self._chunks
        if not chunks:
            return b""
        chunk = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._resume()
        return chunk

    async def start_tls(self, context: ssl.SSLContext, host: str, deadline: float) -> None:
        # Whatever came before TLS is nobody's response.
        self._parser = None
        self._early = b""
        self._used = False
        self._tls = tls = TLSLayer(context, host)
        try:
            while not tls.handshake():
                self._write_now(tls.outgoing())
                await self._sleep(deadline)
        finally:
            self._write_now(tls.outgoing())  # after a failure it says why

    def is_spent(self) -> bool:
        """Whether an idle connection is closed, or holds what nobody asked for.

        A loop that was busy elsewhere, or did not run, has not seen it: the socket itself knows.
        """
        return self.lost or (self._poll is not None and bool(self._poll.poll(0)))

    def finish(self, parser: ResponseParser, attempt: Attempt) -> None:
        """Keep the connection for another request if the response allows it, else close it."""
        self._parser = None
        self._chunks.clear()
        transport = self._transport
        # What the server did not read of the last request it would take for the next one.
        sent = transport is not None and not transport.get_write_buffer_size()
        if parser.reusable and sent and not self.lost:
            self._resume()
            self._give_back(self, attempt)
        else:
            self.close()

    def close(self) -> None:
        """Close the connection at once; a polite end of TLS would wait for the server."""
        self.lost = self._closed = True
        self._stop_timer()
        transport = self._transport
        if transport is None:
            return
        if self._loop.is_closed():
            self._transport = None
            _discard(transport)
        else:
            transport.abort()

    def close_soon(self) -> None:
        """Close the connection from any thread."""
        if self._loop.is_closed():
            return  # the pool closes what a loop has left behind
        with suppress(RuntimeError):  # the loop may end at this moment
            self._loop.call_soon_threadsafe(self.close)

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have no class in common with asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(self._sock, select.POLLIN)

    def data_received(self, data: bytes) -> None:
        tls = self._tls
        if tls is None:
            self._feed(data)
            return
        if not tls.ready:
            tls.feed(data)
            self._wake()
            return
        try:
            plain = tls.decrypt(data)
        except ssl.SSLError as error:
            self._fail(error)
            return
        # New keys are acknowledged in their turn.
        self._write_now(tls.outgoing())
        if plain:
            self._feed(plain)
        if tls.ended:
            self._end_of_tls(tls)

    def _end_of_tls(self, tls: TLSLayer) -> None:
        try:
            tls.decrypt(b"")
        except ssl.SSLError as error:
            self._fail(error)
        else:
            self._end(None)
            self.close()

    def _feed(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            if self._used:
                # What came behind the last response would be taken for the next one.
                self.close()
            else:
                self._early += data
            return
        try:
            chunk = parser.feed(data)
        except EasyLLMError as error:
            self._fail(error)
            return
        if chunk:
            self._chunks.append(chunk)
            if not self._whole:
                self._unread += len(chunk)
                if self._unread > MAX_UNREAD and not self._paused and self._transport:
                    self._paused = True
                    self._transport.pause_reading()
        if parser.complete or not self._whole:
            self._wake()

    def eof_received(self) -> None:
        """Take the end of what the server sends for the end of the connection."""
        tls = self._tls
        if tls is not None and not tls.ready:
            tls.feed(b"")
            self._wake()
        else:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if isinstance(exc, OSError) and not self._closed:
            self._read_rest()
        self._end(exc)
        self._stop_timer()
        self._poll = None
        self._on_lost(self)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._wake()

    # The rest

    async def _write(self, data: memoryview, parser: ResponseParser, deadline: float) -> None:
        tls = self._tls
        if len(data) > UNREAD:
            allow_slow_reading(self._sock)
        for start in range(0, len(data), SLICE):
            # A server that refuses a large body answers, and maybe closes, before it has read it.
            transport = self._transport
            if transport is None or self._failure is not None or parser.complete:
                parser.reusable = False
                break
            block = data[start : start + SLICE] if len(data) > SLICE else data
            transport.write(tls.encrypt(block) if tls is not None else block)
            while not self._writable or transport.is_closing():
                if parser.complete or self._failure is not None:
                    break
                await self._sleep(deadline)

    def _write_now(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def _read_rest(self) -> None:
        """Take what came before a connection broke while something was sent.

        The loop reads no more of it, yet it may be the answer that says why.
        """
        with suppress(OSError):
            while block := self._sock.recv(64 * 1024):
                self.data_received(block)

    async def _sleep(self, deadline: float) -> None:
        """Wait until something happens; raises the failure, or that there is no time left."""
        if self._failure is not None:
            raise self._failure
        if self._waiter is not None:
            raise RuntimeError("Two tasks wait for the same response.")
        left = deadline - monotonic()
        if left <= 0:
            raise builtins.TimeoutError
        # One timer serves many waits, and many requests: when it fires too early it is set again.
        if deadline < self._deadline:
            self._stop_timer()
        self._deadline = deadline
        if self._timer is None and left != inf:
            self._timer = self._loop.call_later(left, self._expire)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _expire(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        left = self._deadline - monotonic()
        if left <= 0:
            self._wake()
        elif left != inf:
            self._timer = self._loop.call_later(left, self._expire)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _resume(self) -> None:
        self._unread = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self.close()
        self._wake()

    def _end(self, exc: BaseException | None) -> None:
        self.lost = True
        parser, tls = self._parser, self._tls
        shaking = tls is not None and not tls.ready
        waited_for = shaking or (parser is not None and not parser.complete)
        if not waited_for or self._failure is not None:
            return
        if exc is None and parser is not None and parser.status and not self._closed:
            try:
                parser.feed_eof()
            except EasyLLMError as error:
                exc = error
        elif exc is None:
            exc = builtins.ConnectionResetError()
        self._failure = exc
        self._wake()


def _discard(transport: object) -> None:
    """Close a transport of a closed loop, whose own `abort` would need the loop."""
    sock = getattr(transport, "_sock", None)
    if sock is not None:
        sock.close()
        transport._sock = None  # type: ignore[attr-defined]  # noqa: SLF001
