"""The synchronous shell: bare sockets, kept alive, shared by threads.

Why not the asynchronous shell on a background loop: the hop to another thread and back costs
0.25 ms a call, this costs about 0.03 ms beyond the raw socket.
"""

from __future__ import annotations

import builtins
import os
import select
import socket
import ssl
from collections import deque
from contextlib import suppress
from math import inf
from time import monotonic

from .connect import (
    CONNECT_TIMEOUT,
    IDLE_SECONDS,
    MAX_IDLE,
    check_tunnel,
    look_up,
    patience,
    render,
    render_tunnel,
    response,
    set_options,
)
from .exchange import Attempt
from .http1 import ResponseParser
from .models import URL, Response
from .proxies import Proxies, Proxy
from .socket_errors import Phase, connection_lost, incomplete, translated
from .stream import EventStream
from .tls import Verify, context_for

__all__ = ["SyncConnection", "SyncPool"]


READ_SIZE = 64 * 1024


class SyncConnection:
    """A connected socket whose waits have a deadline.

    Args:
        sock: The socket; closed with this object.
        pool: Takes it back when its answer is finished.
    """

    __slots__ = ("_pool", "_sock", "_timeout", "idle_since", "owner")

    def __init__(self, sock: socket.socket, pool: SyncPool) -> None:
        self._sock = sock
        self._pool = pool
        self._timeout = -1.0
        self.idle_since = 0.0
        self.owner = pool.owner

    def __del__(self) -> None:
        # A stream that was dropped unread must not make Python warn about its socket.
        self.close()

    def send(self, data: bytes, deadline: float) -> None:
        """Send all bytes, or raise the socket's error."""
        self._bound(deadline)
        self._sock.sendall(data)

    def receive(self, deadline: float) -> bytes:
        """Return the next bytes, none at the end, or raise the socket's error."""
        self._bound(deadline)
        return self._sock.recv(READ_SIZE)

    def is_readable(self, wait: float = 0.0) -> bool:
        """Whether there is something to read within `wait` seconds.

        On an idle connection that is its end.
        """
        if not hasattr(select, "poll"):
            return bool(select.select([self._sock], [], [], wait)[0])
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(wait * 1000))

    def start_tls(self, context: ssl.SSLContext, host: str, deadline: float) -> None:
        """Wrap the connection in TLS."""
        self._bound(deadline)
        self._sock = context.wrap_socket(self._sock, server_hostname=host)
        self._timeout = -1.0

    def finish(self, parser: ResponseParser, step: Attempt) -> None:
        """Keep the connection for another request if the answer allows it, else close it.

        Args:
            parser: The answer, which is complete.
            step: What it answers.
        """
        if parser.reusable:
            self._pool.give_back(self, step.address)
        else:
            self.close()

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def _bound(self, deadline: float) -> None:
        left = deadline - monotonic()
        if left <= 0:
            raise builtins.TimeoutError
        # Changing the timeout is a system call; one that is right to a twentieth second stays.
        if abs(left - self._timeout) > 0.05:
            self._sock.settimeout(None if left == inf else left)
            self._timeout = left


class SyncPool:
    """Connections of one transport, and the attempts made over them.

    Args:
        verify: Which TLS certificates to accept.
    """

    def __init__(self, verify: Verify) -> None:
        self._verify = verify
        self._reset()

    def attempt(self, step: Attempt) -> Response | EventStream:
        """Make one attempt.

        Args:
            step: What to send, and until when.

        Raises:
            EasyLLMError: If there is no answer.
        """
        phase: Phase = "connect"
        connection = None
        try:
            proxy = self._proxies.find(step.address)
            connection = self._take(step.address) or self._open(step, proxy)
            phase = "answer"
            return self._converse(connection, step, proxy)
        except BaseException as exc:
            if connection is not None:
                connection.close()
            error = translated(exc, step.address.url, phase, patience(step, phase))
            if error is exc:
                raise
            raise error from exc

    def give_back(self, connection: SyncConnection, address: URL) -> None:
        """Keep a connection for another request.

        Args:
            connection: One that finished its answer.
            address: Where it leads.
        """
        idle = self._idle.setdefault(address.origin, deque())
        if connection.owner is not self.owner or len(idle) >= MAX_IDLE:
            connection.close()
            return
        connection.idle_since = now = monotonic()
        idle.append(connection)
        # The last one back is the first one out; those at the other end grow old after a burst.
        with suppress(IndexError):  # other threads may have taken them all
            while now - idle[0].idle_since > IDLE_SECONDS:
                idle.popleft().close()

    def close(self) -> None:
        """Close the idle connections; those in use close when their answer ends."""
        idle = self._idle
        self._reset()
        for connections in tuple(idle.values()):
            with suppress(IndexError):  # until all are gone, whoever takes the last one
                while True:
                    connections.pop().close()

    def _reset(self) -> None:
        self.owner = object()
        self._idle: dict[tuple[str, str, int], deque[SyncConnection]] = {}
        self._proxies = Proxies()
        # Last: another thread that sees it takes what is idle for this process's own.
        self._pid = os.getpid()

    def _take(self, address: URL) -> SyncConnection | None:
        if self._pid != os.getpid():
            # After a fork the sockets are the parent's: our copies are closed unused.
            self.close()
        idle = self._idle.get(address.origin)
        while idle:
            try:
                connection = idle.pop()
            except IndexError:  # another thread was faster
                break
            fresh = monotonic() - connection.idle_since <= IDLE_SECONDS
            if fresh and not connection.is_readable():
                return connection
            connection.close()
        return None

    def _open(self, step: Attempt, proxy: Proxy | None) -> SyncConnection:
        deadline = min(step.deadline, monotonic() + CONNECT_TIMEOUT)
        address = step.address
        context = context_for(self._verify) if address.scheme == "https" else None
        nearest = proxy.address if proxy else address
        connection = SyncConnection(_dial(nearest.host, nearest.port, deadline), self)
        if context is None:
            return connection
        try:
            if proxy:
                _tunnel(connection, step, proxy, deadline)
            connection.start_tls(context, address.host, deadline)
        except BaseException:
            connection.close()
            raise
        return connection

    def _converse(
        self, connection: SyncConnection, step: Attempt, proxy: Proxy | None
    ) -> Response | EventStream:
        parser = ResponseParser(step.method)
        try:
            connection.send(render(step, proxy), step.deadline)
        except builtins.ConnectionError as lost:
            # A server that refuses a large body answers and closes before it has read it.
            piece = _read_head(connection, parser, step, lost)
        else:
            piece = _read_head(connection, parser, step)
        if step.streaming and 200 <= parser.status < 300:
            return EventStream(connection, parser, piece, step)
        pieces = [piece]
        while not parser.complete:
            try:
                block = connection.receive(step.deadline)
            except builtins.ConnectionError as lost:
                raise incomplete(step.address.url) from lost
            if block:
                pieces.append(parser.feed(block))
            else:
                parser.feed_eof()
        answer = response(step, parser, b"".join(pieces))
        connection.finish(parser, step)
        return answer


def _read_head(
    connection: SyncConnection,
    parser: ResponseParser,
    step: Attempt,
    lost: builtins.ConnectionError | None = None,
) -> bytes:
    piece = b""
    while not parser.status:
        try:
            block = connection.receive(step.deadline)
        except builtins.ConnectionError:
            block = b""
        if not block:
            raise connection_lost(step.address.url) from lost
        piece = parser.feed(block)
    return piece


def _dial(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to the first address that answers, each with its share of the time."""
    found = look_up(host, port)
    failure: OSError = OSError(f"{host} has no address")
    for tried, (family, kind, protocol, _, place) in enumerate(found):
        left = (deadline - monotonic()) / (len(found) - tried)
        if left <= 0:
            raise builtins.TimeoutError
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(None if left == inf else left)
            sock.connect(place)
            set_options(sock)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _tunnel(connection: SyncConnection, step: Attempt, proxy: Proxy, deadline: float) -> None:
    connection.send(render_tunnel(step, proxy), deadline)
    parser = ResponseParser("HEAD")
    while not parser.status:
        block = connection.receive(deadline)
        if not block:
            raise connection_lost(proxy.address.url, "connect")
        parser.feed(block)
    check_tunnel(step, parser)
