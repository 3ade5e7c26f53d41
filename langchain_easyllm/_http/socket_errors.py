"""The one seam where exceptions of sockets and TLS become ours."""

from __future__ import annotations

import builtins
import errno
from typing import Literal

from ..errors import ConnectionError, EasyLLMError, IncompleteStreamError, TimeoutError
from .auth import redact
from .models import parse_url, public_url

__all__ = [
    "Phase",
    "connection_lost",
    "error_from_exception",
    "incomplete",
    "out_of_time",
    "proxy_refusal",
    "translated",
]


Phase = Literal["connect", "answer", "pieces"]

_TOO_LATE = {
    "connect": "No connection to {host} within {seconds} s. Check base_url, the network and the "
    "proxy settings, or raise timeout.",
    "answer": "No answer from {host} within {seconds} s. Raise timeout, or wait_for_model if the "
    "server has to start first.",
    "pieces": "{host} sent nothing more of its answer for {seconds} s. Raise timeout if it may "
    "be silent for longer.",
}


def translated(exc: BaseException, url: str, phase: Phase, seconds: float) -> BaseException:
    """Translate what came out of an attempt or a stream.

    Args:
        exc: What was raised.
        url: Address that was asked.
        phase: What was being waited for.
        seconds: How long that was allowed to take.

    Returns:
        The error to raise from `exc`; `exc` itself if it is ours, or not one of the network.
    """
    if isinstance(exc, EasyLLMError):
        exc.url = exc.url or public_url(url)
        return exc
    if isinstance(exc, builtins.TimeoutError):
        return out_of_time(url, phase, seconds)
    return error_from_exception(exc, url, phase) if isinstance(exc, OSError) else exc


def error_from_exception(exc: OSError, url: str, phase: Phase = "answer") -> EasyLLMError:
    """Translate what sockets or TLS raised.

    Args:
        exc: The exception.
        url: Address that was asked.
        phase: What was being waited for; between pieces a failure makes the answer incomplete.

    Returns:
        The error to raise from `exc`.
    """
    import socket  # noqa: PLC0415 - only failures get here
    import ssl  # noqa: PLC0415

    host = _host(url)
    if isinstance(exc, ssl.SSLCertVerificationError):
        text = (
            f"The certificate of {host} cannot be verified ({exc.verify_message}). If it is your "
            "own, give its authority's file as verify or in SSL_CERT_FILE."
        )
        return _certain(_error(ConnectionError, url, text))
    if isinstance(exc, ssl.SSLError):
        text = f"No TLS with {host} ({_said(exc)}). Check that base_url wants https, not http."
        return _error(ConnectionError, url, text)
    if isinstance(exc, socket.gaierror):
        text = f"The host name {host} cannot be resolved. Check base_url and the network."
        error = _error(ConnectionError, url, text)
        return _certain(error) if exc.errno == socket.EAI_NONAME else error
    if isinstance(exc, builtins.ConnectionRefusedError):
        text = f"{host} refuses the connection. Check that a server is running at base_url."
        return _error(ConnectionError, url, text)
    if exc.errno in {errno.EMFILE, errno.ENFILE}:
        text = "Too many open files. Lower max_concurrency, or raise the limit (ulimit -n)."
        return _error(ConnectionError, url, text)
    if phase == "pieces":
        return incomplete(url)
    return _error(ConnectionError, url, f"The connection to {host} failed: {_said(exc)}.")


def out_of_time(url: str, phase: Phase, seconds: float) -> TimeoutError:
    """The error for a wait that took too long.

    Args:
        url: Address that was asked.
        phase: What was being waited for.
        seconds: How long the wait was allowed to take.
    """
    text = _TOO_LATE[phase].format(host=_host(url), seconds=f"{seconds:.4g}")
    return TimeoutError(redact(text), url=redact(public_url(url)))


def incomplete(url: str) -> IncompleteStreamError:
    """The error for an answer that was cut inside its framing.

    Args:
        url: Address that was asked.
    """
    text = f"The answer of {_host(url)} was cut off before its end. Ask again."
    return IncompleteStreamError(redact(text), url=redact(public_url(url)))


def connection_lost(url: str, phase: Phase = "answer") -> EasyLLMError:
    """The error for a connection that the server closed.

    Args:
        url: Address that was asked.
        phase: What was being waited for; between pieces it makes the stream incomplete.
    """
    if phase == "pieces":
        return incomplete(url)
    text = f"{_host(url)} closed the connection without an answer. Its log may say why; try again."
    return _error(ConnectionError, url, text)


def proxy_refusal(url: str, status: int) -> EasyLLMError:
    """The error for a proxy that does not connect us.

    Args:
        url: Address that was asked through the proxy.
        status: The proxy's answer.
    """
    text = (
        f"The proxy for {_host(url)} refused to connect to it ({status}). Check HTTPS_PROXY and "
        "the credentials in it, or add the host to NO_PROXY."
    )
    error = _error(ConnectionError, url, text)
    return error if status >= 500 else _certain(error)


def _error(kind: type[EasyLLMError], url: str, text: str) -> EasyLLMError:
    return kind(redact(text), url=redact(public_url(url)))


def _certain(error: EasyLLMError) -> EasyLLMError:
    error.is_retryable = False
    return error


def _host(url: str) -> str:
    return parse_url(url).authority


def _said(exc: BaseException) -> str:
    """The exception's own words, or at least its name."""
    words = getattr(exc, "strerror", None) or getattr(exc, "message", None) or str(exc)
    return " ".join(str(words).split()).rstrip(".")[:300] or type(exc).__name__
