"""The values that go through the transport: a request, its answer, and how patient to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Policy", "Request", "Response"]


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as the wire wants it.

    Content type, `Accept`, user agent and authorization are added by the transport; a header
    given here wins over them.

    Args:
        method: HTTP method in capitals.
        url: Absolute http or https address.
        body: Bytes to send, or None for no body.
        headers: Headers of this request only.
    """

    method: str
    url: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """A whole HTTP answer.

    Args:
        status: HTTP status code.
        headers: Headers with names in lower case; repeated ones are joined by `", "`.
        body: The bytes of the body.
        url: Address that answered, after redirects, without credentials.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Policy:
    """How long to wait and how often to try again.

    Args:
        timeout: Seconds a whole call may take, retries included; for a stream, seconds until its
            first event, and then until each next one. None for no bound.
        max_retries: Further attempts after a failure that may pass; 0 for none.
        wait_for_model: Seconds that a cold start may take before it counts as a failure.
        on_retry: Called with the error and the seconds to wait before each new attempt.
    """

    timeout: float | None = 120.0
    max_retries: int = 2
    wait_for_model: float = 0.0
    on_retry: Callable[[Exception, float], None] | None = None
