"""One synchronous connection: a socket whose waits have a deadline."""

from __future__ import annotations

import builtins
import select
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from .addresses import UNREAD, allow_slow_reading
from .tls_layer import TLSLayer

if TYPE_CHECKING:
    from .connection_limit import Share
    from .exchange import Attempt
    from .http1 import ResponseParser
    from .models import URL

READ_SIZE = 64 * 1024

SLICE = 256 * 1024
"""Bytes of a request that are encrypted at once."""

LONGEST_WAIT = 3600.0
"""Seconds of one wait; longer ones are made of several, for `poll` counts in few bits."""

# As in `select`, which has neither on Windows.
READABLE, WRITABLE = 1, 4


class SyncConnection:
    """A connected socket whose waits have a deadline; its owner takes it back.

    `share` counts it as open until it is closed.
    """

    __slots__ = ("_backlog", "_counted_by", "_give_back", "_poll", "_sock", "_tls", "_unsent",
                 "idle_since", "owner", "yielded")  # fmt: skip

    def __init__(
        self,
        sock: socket.socket,
        owner: object,
        give_back: Callable[[SyncConnection, URL], None],
        share: Share | None = None,
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._give_back = give_back
        self._tls: TLSLayer | None = None
        self._backlog = b""  # what TLS itself has to send
        self._unsent = False
        self._poll: select.poll | None = None
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(sock, READABLE)
        # Taken out by who closes the connection: two threads may do it at one time.
        self._counted_by = [] if share is None else [share]
        self.yielded = False
        self.idle_since = 0.0
        self.owner = owner

    def __del__(self) -> None:
        # A stream that was dropped unread lets its connection go.
        self.close()

    def send(self, data: memoryview, parser: ResponseParser, deadline: float) -> list[bytes]:
        """Send a request, and return what has come of the response's body meanwhile.

        A server that refuses a large body answers before it has it, and then closes, reads on, or
        does neither. So what comes is read while the rest is sent, and what came before a reset
        remains to be read.
        """
        early: list[bytes] = []
        if len(data) > UNREAD:
            allow_slow_reading(self._sock)
        for block in (data,) if self._tls is None else self._encrypted(data, self._tls):
            try:
                sent = self._sock.send(block)
            except BlockingIOError:
                sent = 0
            except builtins.ConnectionError:
                self._unsent = True
                break
            if sent < len(block) and not self._send_rest(
                memoryview(block)[sent:], parser, early, deadline
            ):
                self._unsent = True
                break
        return early

    def receive(self, deadline: float) -> bytes:
        """Return the next bytes, none at the end, or raise the socket's error."""
        if self._tls is not None:
            return self._receive_secret(deadline, self._tls)
        while True:
            self._wait(READABLE, deadline)
            try:
                return self._sock.recv(READ_SIZE)
            except BlockingIOError:
                continue

    def _receive_secret(self, deadline: float, tls: TLSLayer) -> bytes:
        while not tls.ended:
            self._wait(READABLE, deadline)
            block = self._receive_now()
            if self._backlog:
                self._flush(deadline)
            if block is not None:
                return block
        return tls.decrypt(b"")

    def is_readable(self, wait: float) -> bool:
        # Not by the connection's own poll object, with which another thread may wait.
        return bool(_ready(self._sock, READABLE, wait))

    def is_spent(self) -> bool:
        """Whether an idle connection has something to read: its end, or what nobody asked for."""
        poll = self._poll
        return self.is_readable(0) if poll is None else bool(poll.poll(0))

    def start_tls(self, context: ssl.SSLContext, host: str, deadline: float) -> None:
        tls = TLSLayer(context, host)
        try:
            while not tls.handshake():
                self._push(tls.outgoing(), deadline)
                self._wait(READABLE, deadline)
                try:
                    tls.feed(self._sock.recv(READ_SIZE))
                except BlockingIOError:
                    continue
        except ssl.SSLError:
            with suppress(OSError):
                self._sock.send(tls.outgoing())  # the server's log gets to know why
            raise
        self._push(tls.outgoing(), deadline)
        self._tls = tls

    def finish(self, parser: ResponseParser, attempt: Attempt) -> None:
        """Keep the connection for another request if the response allows it, else close it."""
        if parser.reusable and not self._unsent:
            self._give_back(self, attempt.address)
        else:
            self.close()

    def close(self) -> None:
        self._sock.close()
        try:
            share = self._counted_by.pop()
        except IndexError:  # it was closed before
            return
        share.free(yielded=self.yielded)

    def _encrypted(self, data: memoryview, tls: TLSLayer) -> Iterator[bytes]:
        """Yield what has to go out, in pieces, so that no copy is made of all."""
        for start in range(0, len(data), SLICE):
            block = tls.encrypt(data[start : start + SLICE])
            backlog, self._backlog = self._backlog, b""
            yield backlog + block

    def _send_rest(
        self, left: memoryview, parser: ResponseParser, early: list[bytes], deadline: float
    ) -> bool:
        """Send in turns with reading; returns whether all of it was sent."""
        try:
            while left:
                ready = self._wait(READABLE | WRITABLE, deadline)
                if ready & ~WRITABLE:
                    chunk = self._receive_now()
                    if chunk:
                        early.append(parser.feed(chunk))
                    elif chunk is not None:
                        if not parser.status:
                            raise builtins.ConnectionResetError
                        parser.feed_eof()
                    if parser.complete:
                        return False
                if ready & WRITABLE:
                    try:
                        left = left[self._sock.send(left) :]
                    except BlockingIOError:
                        pass
                    except builtins.ConnectionError:
                        return False  # what was received before is read next
            return True
        finally:
            if self._poll is not None:
                self._poll.modify(self._sock, READABLE)

    def _receive_now(self) -> bytes | None:
        """Return what is here, none at the end; None if that is nothing of the application's."""
        try:
            block = self._sock.recv(READ_SIZE)
        except BlockingIOError:
            return None
        if self._tls is None:
            return block
        plain = self._tls.decrypt(block)
        # New keys are acknowledged between two blocks that were encrypted with them.
        self._backlog += self._tls.outgoing()
        return plain if plain or self._tls.ended else None

    def _flush(self, deadline: float) -> None:
        backlog, self._backlog = self._backlog, b""
        with suppress(builtins.ConnectionError):  # what is there can be read nonetheless
            self._push(backlog, deadline)

    def _push(self, data: bytes, deadline: float) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[self._sock.send(left) :]
            except BlockingIOError:
                self._wait(WRITABLE, deadline)
        if self._poll is not None:
            self._poll.modify(self._sock, READABLE)

    def _wait(self, mask: int, deadline: float) -> int:
        """Wait for the socket to be ready, and return for what; raises that there is no time."""
        poll = self._poll
        if mask != READABLE and poll is not None:
            poll.modify(self._sock, mask)
        while (left := deadline - monotonic()) > 0:
            left = min(left, LONGEST_WAIT)
            if poll is None:
                ready = _ready(self._sock, mask, left)
            else:
                events = poll.poll(left * 1000)
                ready = events[0][1] if events else 0
            if ready:
                return ready
        raise builtins.TimeoutError


def _ready(sock: socket.socket, mask: int, wait: float) -> int:
    """Return for what a socket is ready, waiting that many seconds at most."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, mask)
        events = poll.poll(wait * 1000)
        return events[0][1] if events else 0
    readable, writable, _ = select.select(
        [sock] if mask & READABLE else [], [sock] if mask & WRITABLE else [], [], wait
    )
    return (READABLE if readable else 0) | (WRITABLE if writable else 0)
