"""How a server is reached: its name, the proxy, TLS and the certificate."""

from __future__ import annotations

import builtins
import socket
import ssl
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, cast

from .._http.addresses import connect as connect_socket
from .._http.addresses import look_up
from .._http.models import public_url
from .._http.proxies import Proxy, proxy_for
from .._http.socket_errors import proxy_refusal, raise_translated
from .._http.tls import context_for
from ..errors import ConnectionError, EasyLLMError, TimeoutError
from .in_time import in_time
from .report import ConnectionFacts, TLSFacts

if TYPE_CHECKING:
    from .._http.models import URL

_LONGEST_HEAD = 16 * 1024


def examine_connection(address: URL, seconds: float) -> ConnectionFacts:
    """Connect once, as a request would, and return what there is on the way.

    Args:
        address: The server's address.
        seconds: How long all of it may take.

    Raises:
        EasyLLMError: If the server, or the proxy before it, cannot be reached.
    """
    proxy = proxy_for(address)
    connected = threading.Event()
    try:
        return in_time(lambda: _reach(address, proxy, seconds, connected), seconds)
    except EasyLLMError:
        raise
    except OSError as error:
        if connected.is_set() and isinstance(error, builtins.TimeoutError):
            raise _no_tls(address, proxy) from error
        if proxy is not None and not isinstance(error, ssl.SSLError):
            raise _proxy_unreachable(address, proxy, error) from error
        raise_translated(error, address.url, "connect", seconds)


def _reach(
    address: URL, proxy: Proxy | None, seconds: float, connected: threading.Event
) -> ConnectionFacts:
    deadline = monotonic() + seconds
    first = proxy.address if proxy else address
    found = look_up(first.host, first.port)
    with connect_socket(first.host, first.port, deadline) as sock:
        connected.set()
        sock.settimeout(seconds)
        tls = _tls(sock, address, proxy) if address.scheme == "https" else None
    return ConnectionFacts(
        host=address.authority,
        addresses=[*dict.fromkeys(str(info[4][0]) for info in found)],
        proxy=shown_proxy(proxy),
        tls=tls,
    )


def shown_proxy(proxy: Proxy | None) -> str | None:
    return None if proxy is None else public_url(proxy.address.url).rstrip("/")


def _no_tls(address: URL, proxy: Proxy | None) -> TimeoutError:
    if proxy:
        return TimeoutError(
            f"The proxy {shown_proxy(proxy)} accepts the connection, and TLS with "
            f"{address.authority} does not come about through it in time: the proxy hangs, or the "
            "server behind it. Check HTTPS_PROXY, or add the host to NO_PROXY to connect without "
            "it."
        )
    return TimeoutError(
        f"{address.authority} accepts the connection and does not answer TLS: check that the URL "
        "wants https, not http, and that the server does not hang."
    )


def _proxy_unreachable(address: URL, proxy: Proxy, error: OSError) -> Exception:
    shown = shown_proxy(proxy)
    variable = "HTTPS_PROXY" if address.scheme == "https" else "HTTP_PROXY"
    todo = (
        f"Start it, correct {variable} (or ALL_PROXY), or add {address.host} to NO_PROXY to "
        "connect without it."
    )
    if isinstance(error, builtins.TimeoutError):
        return TimeoutError(f"The proxy {shown} does not answer. {todo}")
    if isinstance(error, socket.gaierror):
        return ConnectionError(f"The name of the proxy {shown} cannot be resolved. {todo}")
    if isinstance(error, builtins.ConnectionRefusedError):
        return ConnectionError(f"The proxy {shown} refuses the connection. {todo}")
    return ConnectionError(f"The connection to the proxy {shown} failed ({error}). {todo}")


def _tls(sock: socket.socket, address: URL, proxy: Proxy | None) -> TLSFacts:
    if proxy is not None:
        _open_tunnel(sock, address, proxy)
    with context_for(verify=True).wrap_socket(sock, server_hostname=address.host) as secure:
        certificate = cast("Mapping[str, object]", secure.getpeercert() or {})
        version = secure.version() or "unknown"
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), tz=UTC)
    return TLSFacts(
        version=version,
        issuer=_name(certificate.get("issuer")),
        expires=expires.date().isoformat(),
        days_left=(expires - datetime.now(UTC)).days,
    )


def _open_tunnel(sock: socket.socket, address: URL, proxy: Proxy) -> None:
    host = f"[{address.host}]" if ":" in address.host else address.host
    lines = [f"CONNECT {host}:{address.port} HTTP/1.1", f"host: {host}:{address.port}"]
    if proxy.authorization:
        lines.append(f"proxy-authorization: {proxy.authorization}")
    sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _LONGEST_HEAD:
        more = sock.recv(1)  # not a byte of what is behind the head
        if not more:
            break
        head += more
    words = head.split(None, 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 502
    if not 200 <= status < 300:
        raise proxy_refusal(address.url, status)


def _name(issuer: object) -> str:
    """Return the organisation and the common name of who signed a certificate."""
    if not isinstance(issuer, tuple):
        return "unknown"
    parts = {str(key): str(value) for group in issuer for key, value in group}
    names = [parts.get("organizationName"), parts.get("commonName")]
    return ", ".join(name for name in names if name) or "unknown"
