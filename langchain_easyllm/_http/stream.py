"""Streamed responses, sync and async: lists of events, as they arrive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Generic, NoReturn, Self, TypeVar

from ..errors import EasyLLMError
from .body import BodyEvents
from .socket_errors import raise_translated

if TYPE_CHECKING:
    from .async_connection import AsyncConnection
    from .exchange import Attempt
    from .http1 import ResponseParser
    from .sync_connection import SyncConnection


class Closing(ABC):
    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClosing(ABC):
    __slots__ = ()

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of what is held."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


GRACE = 0.05
"""Seconds that the end of the framing may come behind `[DONE]`, for the connection to be kept."""


C = TypeVar("C", "SyncConnection", "AsyncConnection")


class _StreamState(Generic[C]):
    """The state of a streamed response: what has arrived of it, and what is left to read."""

    __slots__ = ("_attempt", "_chunk", "_connection", "_deadline", "_ended", "_events",
                 "_idle_limit", "_parser", "headers", "status", "url")  # fmt: skip

    def __init__(
        self, connection: C, parser: ResponseParser, chunk: bytes, attempt: Attempt
    ) -> None:
        self._connection: C | None = connection
        self.status = parser.status
        self.headers: Mapping[str, str] = parser.headers
        self.url = attempt.address.url
        self._events = BodyEvents(parser.headers, attempt.limits)
        self._parser = parser
        self._chunk = chunk
        self._attempt = attempt
        # The first byte has what is left of the time for the response.
        self._deadline = attempt.deadline
        self._idle_limit = attempt.deadline - monotonic()
        self._ended = False

    @property
    def framed(self) -> bool:
        """Whether the server streams; otherwise its whole JSON answer comes as one item."""
        return self._events.framed

    def _take(self) -> list[bytes] | None:
        """The events that are here: None if more has to be read, an empty list at the end."""
        if self._ended:
            return []
        if self._chunk:
            chunk, self._chunk = self._chunk, b""
            self._idle_limit = self._attempt.timeout
            self._deadline = monotonic() + self._idle_limit
            self._release_if_complete()
            if events := self._events.feed(chunk):
                return events
        elif self._events.pending and (events := self._events.feed(b"")):
            return events
        if self._events.pending or not self._parser.complete:
            return None
        self._release_if_complete()
        self._ended = True
        return self._events.end()

    def _fail(self, exc: BaseException) -> NoReturn:
        self._drop()
        raise_translated(exc, self.url, "stream", self._attempt.timeout)

    def _release_if_complete(self) -> None:
        if self._connection is not None and self._parser.complete:
            connection, self._connection = self._connection, None
            connection.finish(self._parser, self._attempt)

    def _drop(self) -> None:
        self._ended = True
        self._chunk = b""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class EventStream(_StreamState["SyncConnection"], Closing):
    """A streamed response. Iterating yields non-empty lists of events, one list per read.

    Each item is the data of one event; `ErrorEvent` marks those the server named "error", and
    `b"[DONE]"` is that event in every spelling. Use it as a context manager, or close it: a
    connection whose response was not read to its end is closed, never used again.
    """

    __slots__ = ()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[bytes]:
        self._deadline = monotonic() + self._idle_limit
        try:
            while (events := self._take()) is None:
                self._read(self._deadline)
        except BaseException as exc:  # noqa: BLE001 - raised again
            self._fail(exc)
        if not events:
            raise StopIteration
        return events

    def close(self) -> None:
        """Give the connection back if the response is finished, else close it at once."""
        connection = self._connection
        # Behind [DONE] comes only the end of the framing: a moment saves a new connection.
        if connection is not None and self._events.done and connection.is_readable(GRACE):
            with suppress(OSError, EasyLLMError):
                self._read(monotonic() + 1)
                self._release_if_complete()
        self._drop()

    def _read(self, deadline: float) -> None:
        if self._events.pending:
            return
        assert self._connection is not None  # noqa: S101 - there is one until the response is complete
        if block := self._connection.receive(deadline):
            self._chunk = self._parser.feed(block)
        else:
            self._parser.feed_eof()


class AsyncEventStream(_StreamState["AsyncConnection"], AsyncClosing):
    """An `EventStream` for `async for` and `async with`."""

    __slots__ = ()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[bytes]:
        self._deadline = monotonic() + self._idle_limit
        try:
            while (events := self._take()) is None:
                await self._read(self._deadline)
        except BaseException as exc:  # noqa: BLE001 - raised again
            self._fail(exc)
        if not events:
            raise StopAsyncIteration
        return events

    async def aclose(self) -> None:
        try:
            # Behind [DONE] comes only the end of the framing: a moment saves a new connection.
            if self._connection is not None and self._events.done and not self._parser.complete:
                with suppress(OSError, EasyLLMError):
                    await self._read(monotonic() + GRACE)
            self._release_if_complete()
        finally:
            self._drop()

    def __del__(self) -> None:
        if self._connection is not None:
            self._connection.close_soon()

    def _take(self) -> list[bytes] | None:
        if self._connection is not None and not self._chunk and not self._events.pending:
            self._chunk = self._connection.take()
        return super()._take()

    async def _read(self, deadline: float) -> None:
        if self._events.pending:  # inflating takes time: others on the loop have theirs meanwhile
            from asyncio import sleep  # noqa: PLC0415 - loaded by then

            await sleep(0)
        elif self._connection is not None:
            await self._connection.wait(deadline)
