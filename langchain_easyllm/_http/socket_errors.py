"""Where exceptions of sockets and TLS become errors of this package."""

from __future__ import annotations

import builtins
from typing import Literal, NoReturn

from ..errors import ConnectionError, EasyLLMError, IncompleteStreamError, TimeoutError
from .auth import redact
from .connection_limit import FULL
from .models import URL, parse_url, public_url
from .proxy_variables import proxy_variable

Phase = Literal["connect", "answer", "stream"]
"""What is being waited for: the connection, the response, more of it."""

_TOO_LATE = {
    "connect": "No connection to {host} within {seconds} s. Check base_url, the network and the "
    "proxy settings, or raise timeout.",
    "answer": "No answer from {host} within {seconds} s. Raise timeout, or wait_for_model if the "
    "server has to start first.",
    "stream": "{host} sent nothing more of its answer for {seconds} s. Raise timeout if it may "
    "be silent for longer.",
}


def raise_translated(exc: BaseException, url: str, phase: Phase, seconds: float) -> NoReturn:
    """Raise what came out of an attempt or a stream, as an `EasyLLMError` if it is the network's.

    `seconds` is how long the phase was allowed to take. A time-out with a number is the system's: a
    peer that does not acknowledge anything is gone.
    """
    if isinstance(exc, EasyLLMError):
        exc.url = exc.url or public_url(url)
    elif isinstance(exc, builtins.TimeoutError) and exc.errno is None:
        text = _TOO_LATE[phase].format(host=host_of(url), seconds=f"{seconds:.4g}")
        raise network_error(TimeoutError, url, text) from None  # which says no more
    elif isinstance(exc, OSError):
        raise _from_os_error(exc, url, phase) from _cause(exc)
    raise exc


def incomplete(url: str) -> EasyLLMError:
    """The error for a response that was cut inside its framing."""
    text = f"The answer of {host_of(url)} was cut off before its end. Ask again."
    return network_error(IncompleteStreamError, url, text)


def connection_lost(url: str) -> EasyLLMError:
    """The error for a connection that the server closed before it answered."""
    text = (
        f"{host_of(url)} closed the connection without an answer. Its log may say why; try again."
    )
    return network_error(ConnectionError, url, text)


def proxy_refusal(url: str, status: int) -> EasyLLMError:
    """The error for a proxy that makes no connection: 407 says it does not know who asks."""
    variable = proxy_variable(parse_url(url).scheme)
    text = (
        f"The proxy for {host_of(url)} refused to connect to it ({status}). Check {variable}, or "
        "add the host to NO_PROXY."
    )
    if status == 407:
        text = (
            f"The proxy for {host_of(url)}, not the server, wants credentials (407), or others "
            f"than it got. Give them in the proxy's URL, percent-encoded: "
            f"{variable}=http://user:password@host:port, or add the host to NO_PROXY."
        )
    error = network_error(ConnectionError, url, text, permanent=status < 500)
    error.status_code = status
    return error


def raise_unreachable_proxy(exc: BaseException, address: URL, proxy: URL, seconds: float) -> None:
    """Raise the error for a proxy to which there is no connection, if that is what happened."""
    if not isinstance(exc, OSError) or exc.errno in FULL:
        return
    import socket  # noqa: PLC0415 - only failures get here

    name = proxy.authority
    permanent = False
    if isinstance(exc, builtins.TimeoutError) and exc.errno is None:
        problem = f"does not take a connection within {seconds:.4g} s"
    elif isinstance(exc, builtins.ConnectionRefusedError):
        problem = "refuses the connection"
    elif isinstance(exc, socket.gaierror):
        problem = "has a host name that cannot be resolved"
        permanent = exc.errno == socket.EAI_NONAME
    else:
        problem = f"cannot be reached ({reason_of(exc)})"
    text = (
        f"The proxy {name} {problem}. {proxy_variable(address.scheme)} names it for "
        f"{address.authority}: correct it, or add the host to NO_PROXY."
    )
    kind = TimeoutError if isinstance(exc, builtins.TimeoutError) else ConnectionError
    raise network_error(kind, address.url, text, permanent=permanent) from _cause(exc)


def _cause(exc: OSError) -> OSError | None:
    """Return what a traceback shows of an error's reason: nothing if that says no more."""
    import socket  # noqa: PLC0415 - only failures get here

    plain = isinstance(exc, builtins.ConnectionRefusedError | socket.gaierror)
    return None if plain or isinstance(exc, builtins.TimeoutError) else exc


def _from_os_error(exc: OSError, url: str, phase: Phase) -> EasyLLMError:
    import socket  # noqa: PLC0415 - only failures get here
    import ssl  # noqa: PLC0415

    host = host_of(url)
    permanent = False
    if isinstance(exc, ssl.SSLCertVerificationError):
        text = (
            f"The certificate of {host} cannot be verified ({exc.verify_message}). If it is your "
            "own, give its authority's file as verify or in SSL_CERT_FILE."
        )
        permanent = True
    elif isinstance(exc, ssl.SSLError) and "CERTIFICATE" in (exc.reason or ""):
        # The server's words on ours, said behind the handshake in TLS 1.3.
        text = (
            f"{host} does not accept the client's certificate, or wants one ({reason_of(exc)}). "
            "Give verify an ssl.SSLContext that has loaded it (load_cert_chain)."
        )
        permanent = True
    elif isinstance(exc, ssl.SSLError) and phase == "stream":
        return incomplete(url)
    elif isinstance(exc, ssl.SSLError) and phase == "answer":
        text = f"{host} broke TLS off before it answered ({reason_of(exc)}). Its log may say why."
    elif isinstance(exc, ssl.SSLError):
        text = f"No TLS with {host} ({reason_of(exc)}). Check that base_url wants https, not http."
    elif isinstance(exc, socket.gaierror):
        text = f"The host name {host} cannot be resolved. Check base_url and the network."
        permanent = exc.errno == socket.EAI_NONAME
    elif isinstance(exc, builtins.ConnectionRefusedError):
        text = f"{host} refuses the connection. Check that a server is running at base_url."
    elif exc.errno in FULL:
        text = "Too many open files. Lower max_concurrency, or raise the limit (ulimit -n)."
    elif phase == "stream":
        return incomplete(url)
    else:
        text = f"The connection to {host} failed: {reason_of(exc)}."
    return network_error(ConnectionError, url, text, permanent=permanent)


def network_error(
    kind: type[EasyLLMError], url: str, text: str, *, permanent: bool = False
) -> EasyLLMError:
    """An error of the network that holds no secret that is known here."""
    error = kind(redact(text), url=redact(public_url(url)))
    if permanent:
        error.is_retryable = False
    return error


def host_of(url: str) -> str:
    """Host and port, for a message."""
    return parse_url(url).authority


def reason_of(exc: BaseException) -> str:
    """The exception's own message, or at least its name."""
    text = getattr(exc, "strerror", None) or getattr(exc, "message", None) or str(exc)
    return " ".join(str(text).split()).rstrip(".")[:300] or type(exc).__name__
