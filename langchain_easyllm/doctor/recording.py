"""Keeps what is sent to the server, and what it answers, while the package's classes are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import orjson

from .._http.client import ThreadedTransport, Transport
from ..errors import EasyLLMError

if TYPE_CHECKING:
    from .._http.client import AsyncResponseStream, ResponseStream
    from .._http.models import Request, Response, RetryPolicy


@dataclass(slots=True)
class Exchange:
    """One request and its answer; of a stream, only whether it began."""

    request: Request
    response: Response | None = None
    error: EasyLLMError | None = None

    @property
    def path(self) -> str:
        """The path of the request."""
        return urlsplit(self.request.url).path

    @property
    def status(self) -> int | None:
        """The status of the answer; None if there is none, or it was streamed."""
        if self.response is not None:
            return self.response.status
        return self.error.status_code if self.error is not None else None

    @property
    def sent(self) -> Mapping[str, object]:
        """The body of the request; empty if it is no JSON object."""
        return json_object(self.request.body or b"")

    @property
    def answered(self) -> object:
        """The body of the answer, parsed; None if it is not JSON."""
        return parsed(self.response.body) if self.response is not None else None


def json_object(body: bytes) -> Mapping[str, object]:
    value = parsed(body)
    return value if isinstance(value, Mapping) else {}


def parsed(body: bytes) -> object:
    try:
        return cast("object", orjson.loads(body))
    except orjson.JSONDecodeError:
        return None


class RecordingTransport:
    """A `Transport` in front of another one, which keeps the exchanges."""

    def __init__(self, inner: Transport, exchanges: list[Exchange], retries: list[float]) -> None:
        self.inner = inner
        self.exchanges = exchanges
        self.retries = retries  # the pause before each further attempt

    def send(self, request: Request, policy: RetryPolicy) -> Response:
        exchange = self._begin(request)
        try:
            exchange.response = self.inner.send(request, self._counted(policy))
        except EasyLLMError as error:
            exchange.error = error
            raise
        return exchange.response

    async def asend(self, request: Request, policy: RetryPolicy) -> Response:
        exchange = self._begin(request)
        try:
            exchange.response = await self.inner.asend(request, self._counted(policy))
        except EasyLLMError as error:
            exchange.error = error
            raise
        return exchange.response

    def open(self, request: Request, policy: RetryPolicy) -> ResponseStream:
        exchange = self._begin(request)
        try:
            return self.inner.open(request, self._counted(policy))
        except EasyLLMError as error:
            exchange.error = error
            raise

    async def aopen(self, request: Request, policy: RetryPolicy) -> AsyncResponseStream:
        exchange = self._begin(request)
        try:
            return await self.inner.aopen(request, self._counted(policy))
        except EasyLLMError as error:
            exchange.error = error
            raise

    def threaded(self) -> Transport:
        """Return a transport whose `asend` serves callers that block."""
        if isinstance(self.inner, ThreadedTransport):
            return RecordingTransport(self.inner.threaded(), self.exchanges, self.retries)
        return self

    def close(self) -> None:
        self.inner.close()

    async def aclose(self) -> None:
        await self.inner.aclose()

    def _counted(self, policy: RetryPolicy) -> RetryPolicy:
        return replace(policy, on_retry=lambda _, seconds: self.retries.append(seconds))

    def _begin(self, request: Request) -> Exchange:
        exchange = Exchange(request)
        self.exchanges.append(exchange)  # at once: threads add theirs meanwhile
        return exchange
