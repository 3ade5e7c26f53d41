"""What both shells do alike: how long and how many, what is sent, where to connect."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from time import monotonic
from typing import Any

from .bodies import plain_body
from .flow import Attempt
from .http1 import AnswerParser
from .messages import Response
from .proxies import Proxy
from .translation import Phase, proxy_refusal

__all__ = [
    "CONNECT_TIMEOUT",
    "IDLE_SECONDS",
    "MAX_IDLE",
    "Place",
    "check_tunnel",
    "look_up",
    "patience",
    "render",
    "render_tunnel",
    "response",
    "set_options",
]

CONNECT_TIMEOUT = 10.0
"""Seconds for the name, the connection, a proxy's tunnel and TLS together."""

IDLE_SECONDS = 15.0
"""Age after which an idle connection is not used again; servers close theirs about then."""

MAX_IDLE = 256
"""Idle connections kept per server."""

Place = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
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


def response(step: Attempt, parser: AnswerParser, body: bytes) -> Response:
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


def check_tunnel(step: Attempt, parser: AnswerParser) -> None:
    """Raise if the proxy did not make the tunnel.

    Args:
        step: What is to be sent through the tunnel.
        parser: The proxy's answer.
    """
    if parser.status != 200:
        raise proxy_refusal(step.address.url, parser.status)


def look_up(host: str, port: int, flags: int = 0) -> Sequence[Place]:
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
