"""What sync and async share about connections: limits, what is sent, who is idle."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from .exchange import Attempt
from .http1 import ResponseParser
from .models import Response
from .proxies import Proxy
from .socket_errors import Phase, proxy_refusal

if TYPE_CHECKING:
    from .async_connection import AsyncConnection
    from .sync_connection import SyncConnection

CONNECT_TIMEOUT = 10.0
"""Seconds for the name, the connection, a proxy's tunnel and TLS together."""

IDLE_SECONDS = 15.0
"""Age after which an idle connection is not used again; servers close theirs about then."""

MAX_IDLE = 256
"""Idle connections kept per server."""


C = TypeVar("C", "SyncConnection", "AsyncConnection")


class IdleConnections(deque[C]):
    """Idle connections to one server: the last one back is the first one out.

    Other threads may take and put at any moment.
    """

    def take(self) -> C | None:
        """Remove and return one that can be used; close those that cannot."""
        while self:
            try:
                connection = self.pop()
            except IndexError:  # another thread was faster
                break
            fresh = monotonic() - connection.idle_since <= IDLE_SECONDS
            if fresh and not connection.is_spent():
                return connection
            connection.close()
        return None

    def put(self, connection: C) -> None:
        """Add a connection, and close those at the other end that were idle for too long."""
        connection.idle_since = now = monotonic()
        self.append(connection)
        try:
            while now - self[0].idle_since > IDLE_SECONDS:
                self.popleft().close()
        except IndexError:  # others may have taken them all
            pass

    def close(self) -> None:
        with suppress(IndexError):  # until all are gone, whoever takes the last one
            while True:
                self.pop().close()


def time_allowed(attempt: Attempt, phase: Phase) -> float:
    """Seconds that a phase of an attempt may take, for the error that says so."""
    if phase == "connect" and monotonic() < attempt.deadline:
        return min(attempt.timeout, CONNECT_TIMEOUT)
    return attempt.timeout


def render(attempt: Attempt, proxy: Proxy | None) -> memoryview:
    """The bytes of a request; as a view, so that no traceback shows the token in them."""
    address = attempt.address
    target = address.target
    lines = [f"{name}: {value}" for name, value in attempt.headers.items()]
    if proxy and address.scheme == "http":
        target = address.url
        if proxy.authorization and "proxy-authorization" not in attempt.headers:
            lines.append(f"proxy-authorization: {proxy.authorization}")
    body = attempt.body
    if body is not None or attempt.method not in {"GET", "HEAD"}:
        lines.append(f"content-length: {len(body or b'')}")
    head = f"{attempt.method} {target} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n"
    return memoryview(head.encode("latin-1") + (body or b""))


def response(attempt: Attempt, parser: ResponseParser, body: bytes) -> Response:
    parser.check_body()
    return Response(parser.status, parser.headers, body, attempt.address.url)


def render_tunnel(attempt: Attempt, proxy: Proxy) -> memoryview:
    """The bytes that ask a proxy for a tunnel; its response has no body, like that to HEAD."""
    address = attempt.address
    host = f"[{address.host}]" if ":" in address.host else address.host
    lines = [f"CONNECT {host}:{address.port} HTTP/1.1", f"host: {host}:{address.port}"]
    if proxy.authorization:
        lines.append(f"proxy-authorization: {proxy.authorization}")
    return memoryview(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


def check_tunnel(attempt: Attempt, parser: ResponseParser) -> None:
    if not 200 <= parser.status < 300:
        raise proxy_refusal(attempt.address.url, parser.status)
