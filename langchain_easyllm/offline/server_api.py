"""What a kind of server is: its routes, its errors, and what it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from .bodies import HTTPError, Json, Shape
from .engine import Engine


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer that is more than JSON.

    Attributes:
        body: The JSON, or a text.
        headers: Headers of its own.
    """

    body: object
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = object
"""JSON, a `Reply`, or an async generator of a stream's bytes; None for one without a body."""

Handler = Callable[[Engine, Json], Awaitable[Answer]]
"""A route: engine and parsed body to an answer."""


@dataclass(frozen=True, slots=True)
class Method:
    handler: Handler
    shape: Shape
    failure: Callable[[HTTPError], bytes]  # writes an error in a stream that has begun
    generates: bool = True  # False for routes about the server, which faults and limits spare


def routes(
    asked: Mapping[str, Handler],
    posted: Mapping[str, Handler],
    shape: Shape,
    failure: Callable[[HTTPError], bytes],
) -> dict[str, dict[str, Method]]:
    """Return the routes about a server, by GET, and those that have a body, by POST."""
    return {
        **{
            path: {"GET": Method(handler, shape, failure, generates=False)}
            for path, handler in asked.items()
        },
        **{path: {"POST": Method(handler, shape, failure)} for path, handler in posted.items()},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerApi:
    routes: Mapping[str, Mapping[str, Method]]  # by path and HTTP method
    shape: Shape  # writes errors of requests that reach no route
    # the error for a path, and for one without this HTTP method (its other methods are given)
    missing: Callable[[str, str, tuple[str, ...]], HTTPError]
    parse: Callable[[str, bytes], Json]  # reads a body, given its content type
    statuses: Mapping[int, int] = field(default_factory=dict)  # in place of TGI's
    headers: Mapping[str, str] = field(default_factory=dict)  # of every answer
    json_type: str = "application/json"
    stream_type: str = "text/event-stream"
    max_body: int | None = None  # bytes of a request
    refuses_crowds: bool = False  # whether there may be `limits.MAX_CONCURRENT` requests at once
