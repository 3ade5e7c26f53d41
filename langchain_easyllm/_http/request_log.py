"""The log of requests: one line for each at level DEBUG, without secrets, prompts or answers."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from ..errors import EasyLLMError
from .auth import redact
from .headers import request_id_in
from .models import public_url
from .sse import DONE
from .stream import AsyncClosing, Closing

if TYPE_CHECKING:
    from .exchange import Attempt
    from .stream import AsyncEventStream, EventStream

logger = logging.getLogger("langchain_easyllm.transport")

MAX_ID = 200
"""Characters of a request's id that are logged."""

S = TypeVar("S", "EventStream", "AsyncEventStream")


def is_logged() -> bool:
    return logger.isEnabledFor(logging.DEBUG)


class RequestLog:
    """Writes the line of a request once, when it has ended."""

    __slots__ = ("_attempt", "_started", "_written", "headers", "received", "status")

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._started = monotonic()
        self._written = False
        self.status = 0  # until the server has answered
        self.headers: Mapping[str, str] = {}
        self.received = 0  # bytes of the body, or of the data of a stream's events

    def end(self, how: str = "") -> None:
        if self._written:
            return
        self._written = True
        attempt = self._attempt
        outcome = " ".join(str(part) for part in (self.status, how) if part)
        logger.debug(
            "%s %s: %s, %.0f ms, %d bytes sent, %d bytes received, attempt %d%s",
            attempt.method,
            redact(public_url(attempt.address.url)),
            outcome,
            (monotonic() - self._started) * 1000,
            len(attempt.body or b""),
            self.received,
            attempt.number,
            _request_id(self.headers),
        )

    def end_with(self, error: BaseException) -> None:
        if isinstance(error, StopIteration | StopAsyncIteration):
            self.end("stream ended")
        elif isinstance(error, EasyLLMError):
            name = type(error).__name__
            self.end(f"stream cut by {name}" if self.status else name)
        else:
            self.end("stream cancelled" if self.status else "cancelled")


def _request_id(headers: Mapping[str, str]) -> str:
    found = request_id_in(headers)
    return f", request id {redact(found, MAX_ID)}" if found and found.isprintable() else ""


class _LoggedStream(Generic[S]):
    __slots__ = ("_done", "_log", "_stream", "headers", "status", "url")

    def __init__(self, stream: S, log: RequestLog) -> None:
        self._stream: S = stream
        self._log = log
        self._done = False
        self.url = stream.url
        self.status = log.status = stream.status
        self.headers = log.headers = stream.headers

    @property
    def framed(self) -> bool:
        """Whether the server streams; see `EventStream`."""
        return self._stream.framed

    def _count(self, events: list[bytes]) -> list[bytes]:
        self._log.received += sum(map(len, events))
        self._done = events[-1] == DONE
        return events

    def _closed(self) -> None:
        self._log.end("stream ended" if self._done else "stream closed")


class LoggedStream(_LoggedStream["EventStream"], Closing):
    """A stream whose end is logged."""

    __slots__ = ()

    def __iter__(self) -> Iterator[list[bytes]]:
        return self

    def __next__(self) -> list[bytes]:
        try:
            return self._count(next(self._stream))
        except BaseException as end:
            self._log.end_with(end)
            raise

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._closed()


class AsyncLoggedStream(_LoggedStream["AsyncEventStream"], AsyncClosing):
    """A `LoggedStream` for `async for` and `async with`."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[list[bytes]]:
        return self

    async def __anext__(self) -> list[bytes]:
        try:
            return self._count(await anext(self._stream))
        except BaseException as end:
            self._log.end_with(end)
            raise

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._closed()
