"""Sockets, tokens, retries, timeouts and event streams; knows no wire and no LangChain.

One sans-IO core, two thin shells:

    client          Transport: what the rest of the package uses
    flow            one request through redirects, retries and cold starts, as a generator
    blocking, aio   the shells: bare sockets for sync, an aiohttp session per loop for async
                    (loop_sessions: their life; connector: their connections)
    http1, sse      parsers; bodies and streams put them together
    credentials     the token and the hosts that may see it; headers adds it to requests
    failures, translation   from refusals and exceptions to errors
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .addresses import on_hugging_face
from .client import Transport
from .credentials import Credentials, environment_token
from .failures import error_from_event, error_from_response
from .headers import without_secrets
from .messages import Policy, Request, Response
from .sse import ErrorEvent, SSEDecoder
from .streams import EventStream

if TYPE_CHECKING:
    from .async_streams import AsyncEventStream

__all__ = [
    "AsyncEventStream",
    "Credentials",
    "ErrorEvent",
    "EventStream",
    "Policy",
    "Request",
    "Response",
    "SSEDecoder",
    "Transport",
    "environment_token",
    "error_from_event",
    "error_from_response",
    "on_hugging_face",
    "without_secrets",
]


def __getattr__(name: str) -> object:
    if name == "AsyncEventStream":
        from .async_streams import AsyncEventStream  # noqa: PLC0415 - imports aiohttp

        return AsyncEventStream
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
