"""What both shells do alike: how long and how many, what is sent, where to connect."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Any

from .body import plain_body
from .exchange import Attempt
from .http1 import ResponseParser
from .models import Response
from .proxies import Proxy
from .socket_errors import Phase, proxy_refusal

__all__ = [
    "CONNECT_TIMEOUT",
    "IDLE_SECONDS",
    "MAX_IDLE",
    "AddrInfo",
    "Resolver",
    "check_tunnel",
    "connect_socket",
    "look_up",
    "patience",
    "render",
    "render_tunnel",
    "response",
    "set_options",
]


KNOWN_SECONDS = 10.0
"""Seconds for which a name's addresses are used again."""

STAGGER = 0.25
"""Seconds that an address may take before the next one is tried beside it."""


class Resolver:
    """The addresses of names, looked up in a thread, once for all who ask at the same time.

    Args:
        loop: The event loop that asks.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asked: dict[tuple[str, int], tuple[float, asyncio.Future[Sequence[AddrInfo]]]] = {}

    async def find(self, host: str, port: int) -> Sequence[AddrInfo]:
        """The ways to reach a host, in the order in which to try them.

        Args:
            host: Name or address.
            port: Port number.

        Raises:
            socket.gaierror: If there is none.
        """
        try:
            return look_up(host, port, socket.AI_NUMERICHOST)
        except socket.gaierror:
            pass  # a name
        now = monotonic()
        since, answer = self._asked.get((host, port), (0.0, None))
        if answer is None or now - since > KNOWN_SECONDS or _failed(answer):
            try:
                answer = self._loop.run_in_executor(None, look_up, host, port)
            except RuntimeError:  # an interpreter that leaves begins nothing more in executors
                return _by_turns(look_up(host, port))
            self._asked[host, port] = now, answer
        # One who gives up does not end the others' wait.
        return _by_turns(await asyncio.shield(answer))


async def connect_socket(
    loop: asyncio.AbstractEventLoop, places: Sequence[AddrInfo]
) -> socket.socket:
    """Connect to the first address that answers.

    Args:
        loop: The running loop.
        places: Where to connect, best first.

    Raises:
        OSError: If none answers; the error of the last one tried.
    """
    if len(places) == 1:
        return await _connect(loop, places[0])
    tasks: list[asyncio.Task[socket.socket]] = []
    winner = None
    try:
        winner = await _race(loop, places, tasks)
        return winner
    finally:
        for task in tasks:
            task.cancel()
        for one in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(one, socket.socket) and one is not winner:
                one.close()


async def _race(
    loop: asyncio.AbstractEventLoop,
    places: Sequence[AddrInfo],
    tasks: list[asyncio.Task[socket.socket]],
) -> socket.socket:
    failure: BaseException = OSError("the host has no address")
    running: set[asyncio.Task[socket.socket]] = set()
    while running or len(tasks) < len(places):
        if len(tasks) < len(places):
            tasks.append(loop.create_task(_connect(loop, places[len(tasks)])))
            running.add(tasks[-1])
        patience = STAGGER if len(tasks) < len(places) else None
        done, running = await asyncio.wait(
            running, timeout=patience, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            error = task.exception()
            if error is None:
                return task.result()
            failure = error
    raise failure


async def _connect(loop: asyncio.AbstractEventLoop, place: AddrInfo) -> socket.socket:
    family, kind, protocol, _, address = place
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        set_options(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _failed(answer: asyncio.Future[Sequence[AddrInfo]]) -> bool:
    return answer.done() and (answer.cancelled() or answer.exception() is not None)


def _by_turns(places: Sequence[AddrInfo]) -> list[AddrInfo]:
    """The same addresses, families by turns: one that leads nowhere costs one try only."""
    seen: Counter[int] = Counter()
    ranked: list[tuple[int, AddrInfo]] = []
    for place in places:
        ranked.append((seen[place[0]], place))
        seen[place[0]] += 1
    return [place for _, place in sorted(ranked, key=lambda pair: pair[0])]


CONNECT_TIMEOUT = 10.0
"""Seconds for the name, the connection, a proxy's tunnel and TLS together."""

IDLE_SECONDS = 15.0
"""Age after which an idle connection is not used again; servers close theirs about then."""

MAX_IDLE = 256
"""Idle connections kept per server."""

AddrInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
"""One way to reach a host, as `socket.getaddrinfo` gives it."""


def patience(step: Attempt, phase: Phase) -> float:
    """Seconds that were allowed for a phase of an attempt, for the error that says so.

    Args:
        step: The attempt.
        phase: What was being waited for.
    """
    if phase == "connect" and monotonic() < step.deadline:
        return min(step.timeout, CONNECT_TIMEOUT)
    return step.timeout


def render(step: Attempt, proxy: Proxy | None) -> bytes:
    """The bytes of a request, head and body.

    Args:
        step: What to send.
        proxy: Through which proxy it goes, if any.
    """
    address = step.address
    target = address.target
    lines = [f"{name}: {value}" for name, value in step.headers.items()]
    if proxy and address.scheme == "http":
        target = address.url
        if proxy.authorization:
            lines.append(f"proxy-authorization: {proxy.authorization}")
    body = step.body
    if body is not None or step.method not in {"GET", "HEAD"}:
        lines.append(f"content-length: {len(body or b'')}")
    head = f"{step.method} {target} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n"
    return head.encode("latin-1") + (body or b"")


def response(step: Attempt, parser: ResponseParser, body: bytes) -> Response:
    """The whole answer to an attempt.

    Args:
        step: What was sent.
        parser: The answer's head.
        body: The body as it was sent.

    Raises:
        EasyLLMError: If the body is encoded in an unknown way, or damaged.
    """
    plain = plain_body(parser.headers, body)
    return Response(parser.status, parser.headers, plain, step.address.url)


def render_tunnel(step: Attempt, proxy: Proxy) -> bytes:
    """The bytes that ask a proxy for a tunnel; its answer has no body, like that to HEAD.

    Args:
        step: What is to be sent through the tunnel.
        proxy: The proxy.
    """
    address = step.address
    host = f"[{address.host}]" if ":" in address.host else address.host
    lines = [f"CONNECT {host}:{address.port} HTTP/1.1", f"host: {host}:{address.port}"]
    if proxy.authorization:
        lines.append(f"proxy-authorization: {proxy.authorization}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def check_tunnel(step: Attempt, parser: ResponseParser) -> None:
    """Raise if the proxy did not make the tunnel.

    Args:
        step: What is to be sent through the tunnel.
        parser: The proxy's answer.
    """
    if parser.status != 200:
        raise proxy_refusal(step.address.url, parser.status)


def look_up(host: str, port: int, flags: int = 0) -> Sequence[AddrInfo]:
    """The ways to reach a host; may take seconds, unless the flags forbid to ask anybody.

    Args:
        host: Name or address.
        port: Port number.
        flags: Those of `socket.getaddrinfo`.

    Raises:
        socket.gaierror: If there is none.
    """
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as error:  # a label of the name is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, "no valid host name") from error


def set_options(sock: socket.socket) -> None:
    """Set a connected socket up: no delays, and signs of life."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A generation may be silent for minutes, and a dead peer says nothing.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
