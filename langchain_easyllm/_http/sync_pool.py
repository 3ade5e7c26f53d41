"""The synchronous backend: bare sockets, kept alive, shared by threads.

Why not the asynchronous backend on a background loop: the hop to another thread and back costs
0.25 ms a call, this costs about 0.03 ms beyond the raw socket.
"""

from __future__ import annotations

import builtins
import os
import socket
from math import inf
from time import monotonic

from .connect import (
    CONNECT_TIMEOUT,
    MAX_IDLE,
    IdleConnections,
    check_tunnel,
    look_up,
    render,
    render_tunnel,
    response,
    set_options,
    time_allowed,
)
from .exchange import Attempt
from .http1 import ResponseParser
from .models import URL, Response
from .proxies import Proxies, Proxy
from .socket_errors import Phase, connection_lost, incomplete, raise_translated
from .stream import EventStream
from .sync_connection import SyncConnection
from .tls import Verify, context_for


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
        idle = self._idle.setdefault(address.origin, IdleConnections())
        if connection.owner is not self.owner or len(idle) >= MAX_IDLE:
            connection.close()
        else:
            idle.put(connection)

    def close(self) -> None:
        """Close the idle connections; those in use close when their response ends."""
        idle = self._idle
        self._reset()
        for connections in tuple(idle.values()):
            connections.close()

    def _reset(self) -> None:
        self.owner = object()
        self._idle: dict[tuple[str, str, int], IdleConnections[SyncConnection]] = {}
        self._proxies = Proxies()
        # Last: another thread that sees it takes what is idle for this process's own.
        self._pid = os.getpid()

    def _take(self, address: URL) -> SyncConnection | None:
        if self._pid != os.getpid():
            # After a fork the sockets are the parent's: our copies are closed unused.
            self.close()
        idle = self._idle.get(address.origin)
        return idle.take() if idle else None

    def _open(self, attempt: Attempt, proxy: Proxy | None) -> SyncConnection:
        deadline = min(attempt.deadline, monotonic() + CONNECT_TIMEOUT)
        address = attempt.address
        context = context_for(self._verify) if address.scheme == "https" else None
        nearest = proxy.address if proxy else address
        sock = _connect(nearest.host, nearest.port, deadline)
        connection = SyncConnection(sock, self.owner, self._give_back)
        if context is None:
            return connection
        try:
            if proxy:
                connection.send(render_tunnel(attempt, proxy), deadline)
                parser = ResponseParser("HEAD")
                _read_head(connection, parser, proxy.address.url, deadline)
                check_tunnel(attempt, parser)
            connection.start_tls(context, address.host, deadline)
        except BaseException:
            connection.close()
            raise
        return connection


def _converse(
    connection: SyncConnection, attempt: Attempt, proxy: Proxy | None
) -> Response | EventStream:
    parser = ResponseParser(attempt.method, attempt.limits, streaming=attempt.streaming)
    url, deadline = attempt.address.url, attempt.deadline
    lost = None
    try:
        connection.send(render(attempt, proxy), deadline)
    except builtins.ConnectionError as error:
        # A server that refuses a large body answers and closes before it has read it.
        lost = error
    chunk = _read_head(connection, parser, url, deadline, lost)
    if attempt.streaming and 200 <= parser.status < 300:
        return EventStream(connection, parser, chunk, attempt)
    chunks = [chunk]
    while not parser.complete:
        try:
            block = connection.receive(deadline)
        except builtins.ConnectionError as error:
            raise incomplete(url) from error
        if block:
            chunks.append(parser.feed(block))
        else:
            parser.feed_eof()
    result = response(attempt, parser, b"".join(chunks))
    connection.finish(parser, attempt)
    return result


def _read_head(
    connection: SyncConnection,
    parser: ResponseParser,
    url: str,
    deadline: float,
    lost: builtins.ConnectionError | None = None,
) -> bytes:
    """Read until the head is there; returns what came of the body."""
    chunk = b""
    while not parser.status:
        try:
            block = connection.receive(deadline)
        except builtins.ConnectionError:
            block = b""
        if not block:
            raise connection_lost(url) from lost
        chunk = parser.feed(block)
    return chunk


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to the first address that answers, each with its share of the time."""
    found = look_up(host, port)
    failure: OSError = OSError(f"{host} has no address")
    for tried, (family, kind, protocol, _, address) in enumerate(found):
        left = (deadline - monotonic()) / (len(found) - tried)
        if left <= 0:
            raise builtins.TimeoutError
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(None if left == inf else left)
            sock.connect(address)
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
