"""The synchronous backend: bare sockets, kept alive, shared by threads.

Why not the asynchronous backend on a background loop: the hop to another thread and back costs
0.25 ms a call, this costs about 0.03 ms beyond the raw socket.
"""

from __future__ import annotations

import builtins
import os
import threading
import time
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic

from .addresses import Socket, connect
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
from .stream import EventStream
from .sync_connection import SyncConnection
from .tls import Verify, context_for


class _WaitingThread:
    """A thread that waits for a connection that becomes free, or for leave to open one."""

    __slots__ = ("_done", "_wake", "given")

    def __init__(self) -> None:
        self.given: SyncConnection | None = None
        self._done = False
        # Not an `Event`: the collector may close a stream within any step of this very thread, and
        # so give it something; within a step of `Event.wait` it would wait for itself.
        self._wake: SimpleQueue[None] = SimpleQueue()

    def give(self, connection: SyncConnection | None) -> None:
        self.given = connection
        self._done = True
        self._wake.put(None)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until something is given, or for so long; returns whether it was."""
        if not self._done:
            with suppress(Empty):
                self._wake.get(timeout=seconds)
        return self._done


class _SyncOriginPool(Share):
    """The connections of one pool to one server. Any thread may take and put at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.idle: IdleConnections[SyncConnection] = IdleConnections()
        self.waiting: deque[_WaitingThread] = deque()

    def acquire(self, deadline: float) -> SyncConnection | None:
        """Wait for a connection that becomes free, or for leave to open one, which is None."""
        while not self.limit.take(self):
            waiter = _WaitingThread()
            self.waiting.append(waiter)
            try:
                self.limit.want(self)
                left = min(deadline - monotonic(), threading.TIMEOUT_MAX)
                if not waiter.wait(max(left, 0.0)):
                    raise builtins.TimeoutError  # noqa: TRY301 - it leaves as any other does
            except BaseException:
                self._leave(waiter)
                raise
            if waiter.given is None:
                return None
            if not waiter.given.is_spent():
                return waiter.given
            waiter.given.close()
        return None

    def put(self, connection: SyncConnection) -> None:
        """Pass a connection on to who waits for it, here or elsewhere, or keep it."""
        limit = self.limit
        contended = limit.wanted or self.waiting
        # A stream may be closed by the collector, within any step of anything.
        if len(self.idle) >= MAX_IDLE or (contended and limit.is_within()):
            connection.close()
        elif limit.wanted and limit.must_yield(self, needed=bool(self.waiting)):
            connection.yielded = True
            connection.close()
        elif waiter := self._next():
            limit.unwant(self)
            waiter.give(connection)
        else:
            self.idle.put(connection)
            if limit.wanted:  # somebody may have looked for it just before
                limit.make_room()

    def grant(self) -> bool:
        waiter = self._next()
        if waiter is not None:
            waiter.give(None)
        return waiter is not None

    def close_idle(self) -> bool:
        try:
            connection = self.idle.popleft()
        except IndexError:
            return False
        connection.yielded = True
        self.limit.note_yield(self)
        connection.close()
        return True

    def _next(self) -> _WaitingThread | None:
        try:
            return self.waiting.popleft()
        except IndexError:
            return None

    def _leave(self, waiter: _WaitingThread) -> None:
        try:
            self.waiting.remove(waiter)
        except ValueError:  # something is given to it at this moment
            waiter.wait()
            if waiter.given is None:
                self.free()
            else:
                self.put(waiter.given)
        else:
            self.limit.unwant(self)


class SyncPool:
    def __init__(self, verify: Verify) -> None:
        self._verify = verify
        self._reset()

    def send(self, attempt: Attempt) -> Response | EventStream:
        phase: Phase = "connect"
        connection = None
        try:
            proxy = self._proxies.find(attempt.address)
            connection = self._take(attempt.address) or self._open(attempt, proxy)
            phase = "answer"
            return _converse(connection, attempt, proxy)
        except BaseException as exc:  # noqa: BLE001 - raised again
            if connection is not None:
                connection.close()
            raise_translated(exc, attempt.address.url, phase, time_allowed(attempt, phase))

    def _give_back(self, connection: SyncConnection, address: URL) -> None:
        origin = self._origins.get(address.origin)
        if origin is None or connection.owner is not self.owner:
            connection.close()
        else:
            origin.put(connection)
            if connection.owner is not self.owner:
                # Another thread closed the pool meanwhile, and may not have seen it.
                origin.idle.close()

    def close(self) -> None:
        """Close the idle connections; those in use close when their response ends."""
        origins = self._origins
        self._reset()
        for origin in list(origins.values()):
            origin.idle.close()

    def _reset(self) -> None:
        self.owner = object()
        self._origins: dict[tuple[str, str, int], _SyncOriginPool] = {}
        self._proxies = Proxies()
        # Last: another thread that sees it takes what is idle for this process's own.
        self._pid = os.getpid()

    def _take(self, address: URL) -> SyncConnection | None:
        if self._pid != os.getpid():
            # After a fork the sockets are the parent's: our copies are closed unused.
            self.close()
        origin = self._origins.get(address.origin)
        return origin.idle.take() if origin else None

    def _open(self, attempt: Attempt, proxy: Proxy | None) -> SyncConnection:
        owner = self.owner
        origin = self._origins.setdefault(attempt.address.origin, _SyncOriginPool())
        given = origin.acquire(attempt.deadline)
        if given is not None:
            return given
        address = attempt.address
        try:
            context = context_for(self._verify) if address.scheme == "https" else None
            sock, deadline = _reach(attempt, proxy)
        except BaseException:
            origin.free()
            raise
        connection = SyncConnection(sock, owner, self._give_back, origin)
        if context is None:
            return connection
        try:
            if proxy:
                parser = ResponseParser("HEAD")
                try:
                    connection.send(render_tunnel(attempt, proxy), parser, deadline)
                    _read_head(connection, parser, deadline)
                except builtins.ConnectionError as lost:
                    raise connection_lost(proxy.address.url) from lost
                check_tunnel(attempt, parser)
            connection.start_tls(context, address.host, deadline)
        except BaseException:
            connection.close()
            raise
        return connection


def _reach(attempt: Attempt, proxy: Proxy | None) -> tuple[Socket, float]:
    """Connect to the server, or to the proxy before it."""
    if proxy is None:
        return _connect(attempt.address, attempt.deadline)
    try:
        return _connect(proxy.address, attempt.deadline)
    except OSError as exc:
        seconds = time_allowed(attempt, "connect")
        raise_unreachable_proxy(exc, attempt.address, proxy.address, seconds)
        raise


def _connect(address: URL, last: float) -> tuple[Socket, float]:
    """Connect, before a last moment; also returns the moment till which the rest may take."""
    until = min(last, monotonic() + FULL_SECONDS)
    while True:
        deadline = min(last, monotonic() + CONNECT_TIMEOUT)
        try:
            return connect(address.host, address.port, deadline), deadline
        except OSError as error:
            if not may_retry(error, until):
                raise
            time.sleep(RETRY_FULL)


def _converse(
    connection: SyncConnection, attempt: Attempt, proxy: Proxy | None
) -> Response | EventStream:
    parser = ResponseParser(attempt.method, attempt.limits, streaming=attempt.streaming)
    url, deadline = attempt.address.url, attempt.deadline
    chunks = []
    try:
        chunks = connection.send(render(attempt, proxy), parser, deadline)
        if not parser.status:
            chunks.append(_read_head(connection, parser, deadline))
        if attempt.streaming and 200 <= parser.status < 300:
            return EventStream(connection, parser, b"".join(chunks), attempt)
        while not parser.complete:
            if block := connection.receive(deadline):
                chunks.append(parser.feed(block))
            else:
                parser.feed_eof()
    except builtins.ConnectionError as lost:
        raise (incomplete if parser.status else connection_lost)(url) from lost
    result = response(attempt, parser, b"".join(chunks))
    connection.finish(parser, attempt)
    return result


def _read_head(connection: SyncConnection, parser: ResponseParser, deadline: float) -> bytes:
    """Read until the head is there; returns what came of the body."""
    chunk = b""
    while not parser.status:
        block = connection.receive(deadline)
        if not block:
            raise builtins.ConnectionResetError
        chunk = parser.feed(block)
    return chunk
