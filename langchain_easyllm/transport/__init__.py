"""Sockets, tokens, retries, timeouts and event streams; knows no wire and no LangChain.

One sans-IO core, two thin shells:

    client          Transport: what the rest of the package uses
    flow            one request through redirects, retries and cold starts, as a generator
    blocking, aio   the shells: bare sockets for sync, asyncio protocols for async
                    (loop_pool: who gets which connection; connections; dialing)
    background      an event loop for callers that block and want many answers at once
    shared          what both do alike
    http1, sse      parsers; bodies and streams put them together
    credentials     the token and the hosts that may see it; headers adds it to requests
    failures, translation   from refusals and exceptions to errors
"""

from __future__ import annotations

from .addresses import on_hugging_face
from .client import Transport
from .credentials import Credentials, environment_token
from .failures import error_from_event, error_from_response, with_advice
from .headers import without_secrets
from .messages import Policy, Request, Response
from .sse import ErrorEvent, SSEDecoder
from .streams import AsyncEventStream, EventStream

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
    "with_advice",
    "without_secrets",
]
