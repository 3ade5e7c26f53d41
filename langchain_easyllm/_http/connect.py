"""What sync and async share about connections: addresses, limits, what is sent, who is idle."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

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

KNOWN_SECONDS = 10.0
"""Seconds for which a name's addresses are used again."""

STAGGER = 0.25
"""Seconds that an address may take before the next one is tried beside it."""

AddrInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
"""One way to reach a host, as `socket.getaddrinfo` gives it."""


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


class Resolver:
    """The addresses of names, looked up in a thread, once for all who need them at one time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lookups: dict[tuple[str, int], tuple[float, asyncio.Future[Sequence[AddrInfo]]]] = {}

    async def find(self, host: str, port: int) -> Sequence[AddrInfo]:
        """The ways to reach a host, in the order in which to try them."""
        try:
            return look_up(host, port, socket.AI_NUMERICHOST)
        except socket.gaierror:
            pass  # a name
        now = monotonic()
        since, lookup = self._lookups.get((host, port), (0.0, None))
        if lookup is None or now - since > KNOWN_SECONDS or _failed(lookup):
            try:
                lookup = self._loop.run_in_executor(None, look_up, host, port)
            except RuntimeError:  # an interpreter that exits begins nothing more in executors
                return _alternating(look_up(host, port))
            self._lookups[host, port] = now, lookup
        # One who gives up does not end the others' wait.
        return _alternating(await asyncio.shield(lookup))


async def connect_socket(
    loop: asyncio.AbstractEventLoop, addresses: Sequence[AddrInfo]
) -> socket.socket:
    """Connect to the first address that answers, best first; raises the last one's error."""
    if len(addresses) == 1:
        return await _connect(loop, addresses[0])
    tasks: list[asyncio.Task[socket.socket]] = []
    winner = None
    try:
        winner = await _race(loop, addresses, tasks)
        return winner
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, socket.socket) and result is not winner:
                result.close()


async def _race(
    loop: asyncio.AbstractEventLoop,
    addresses: Sequence[AddrInfo],
    tasks: list[asyncio.Task[socket.socket]],
) -> socket.socket:
    failure: BaseException = OSError("the host has no address")
    running: set[asyncio.Task[socket.socket]] = set()
    while running or len(tasks) < len(addresses):
        if len(tasks) < len(addresses):
            tasks.append(loop.create_task(_connect(loop, addresses[len(tasks)])))
            running.add(tasks[-1])
        wait = STAGGER if len(tasks) < len(addresses) else None
        done, running = await asyncio.wait(
            running, timeout=wait, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            error = task.exception()
            if error is None:
                return task.result()
            failure = error
    raise failure


async def _connect(loop: asyncio.AbstractEventLoop, info: AddrInfo) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        set_options(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _failed(lookup: asyncio.Future[Sequence[AddrInfo]]) -> bool:
    return lookup.done() and (lookup.cancelled() or lookup.exception() is not None)


def _alternating(addresses: Sequence[AddrInfo]) -> list[AddrInfo]:
    """The same addresses, families in turn: one that leads nowhere costs one try only."""
    seen: Counter[int] = Counter()
    ranked: list[tuple[int, AddrInfo]] = []
    for info in addresses:
        ranked.append((seen[info[0]], info))
        seen[info[0]] += 1
    return [info for _, info in sorted(ranked, key=lambda pair: pair[0])]


def look_up(host: str, port: int, flags: int = 0) -> Sequence[AddrInfo]:
    """The ways to reach a host; may take seconds, unless the flags forbid to ask anybody."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as error:  # a label of the name is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, "no valid host name") from error


def set_options(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A generation may be silent for minutes, and a dead peer says nothing.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


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
