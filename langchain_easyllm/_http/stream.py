"""Streamed answers, sync and async: lists of events, as they arrive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeAlias, TypeVar

from ..errors import EasyLLMError
from .body import BodyEvents
from .socket_errors import translated

if TYPE_CHECKING:
    from .async_connection import AsyncConnection
    from .exchange import Attempt
    from .http1 import ResponseParser
    from .sync_pool import SyncConnection

__all__ = ["GRACE", "AsyncClosing", "AsyncEventStream", "Closing", "EventStream"]


class Closing(ABC):
    """A context manager that closes itself."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClosing(ABC):
    """An asynchronous context manager that closes itself."""

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


class _Link(Protocol):
    """What both kinds of connection can do."""

    def close(self) -> None:
        """Close it at once."""

    def finish(self, parser: ResponseParser, step: Attempt) -> None:
        """Keep it for another request if the answer allows it, else close it."""


_L = TypeVar("_L", bound=_Link)
_Blocking: TypeAlias = "SyncConnection"
_Async: TypeAlias = "AsyncConnection"


class _Stream(Generic[_L]):
    """The state of a streamed answer: what has arrived of it, and what is left to read."""

    __slots__ = (
        "_connection",
        "_deadline",
        "_ended",
        "_events",
        "_parser",
        "_patience",
        "_piece",
        "_step",
        "headers",
        "status",
        "url",
    )  # fmt: skip

    def __init__(self, connection: _L, parser: ResponseParser, piece: bytes, step: Attempt) -> None:
        self._connection: _L | None = connection
        self.status = parser.status
        self.headers: Mapping[str, str] = parser.headers
        self.url = step.address.url
        self._events = BodyEvents(parser.headers)
        self._parser = parser
        self._piece = piece
        self._step = step
        # The first byte has what is left of the time for the answer.
        self._deadline = step.deadline
        self._patience = step.deadline - monotonic()
        self._ended = False

    @property
    def framed(self) -> bool:
        """Whether the server streams; otherwise its whole JSON answer comes as one item."""
        return self._events.framed

    def _take(self) -> list[bytes] | None:
        """The events that are here: None if more has to be read, an empty list at the end."""
        if self._ended:
            return []
        if self._piece:
            piece, self._piece = self._piece, b""
            self._patience = self._step.timeout
            self._deadline = monotonic() + self._patience
            self._release_if_complete()
            if events := self._events.feed(piece):
                return events
        if not self._parser.complete:
            return None
        self._release_if_complete()
        self._ended = True
        return self._events.end()

    def _failed(self, exc: BaseException) -> BaseException:
        self._drop()
        return translated(exc, self.url, "pieces", self._step.timeout)

    def _release_if_complete(self) -> None:
        if self._connection is not None and self._parser.complete:
            connection, self._connection = self._connection, None
            connection.finish(self._parser, self._step)

    def _drop(self) -> None:
        self._ended = True
        self._piece = b""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class EventStream(_Stream[_Blocking], Closing):
    """A streamed answer. Iterating yields non-empty lists of events, one list per read.

    Each item is the data of one event; `ErrorEvent` marks those the server named "error", and
    `b"[DONE]"` is that event in every spelling. Use it as a context manager, or close it: a
    connection whose answer was not read to its end is closed, never used again.

    Attributes:
        status: HTTP status code, 2xx.
        headers: Headers with names in lower case.
        url: Address that answers, without credentials.
    """

    __slots__ = ()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[bytes]:
        self._deadline = monotonic() + self._patience
        try:
            while (events := self._take()) is None:
                self._read(self._deadline)
        except BaseException as exc:
            error = self._failed(exc)
            if error is exc:
                raise
            raise error from exc
        if not events:
            raise StopIteration
        return events

    def close(self) -> None:
        """Give the connection back if the answer is finished, else close it at once."""
        connection = self._connection
        # Behind [DONE] comes only the end of the framing: a moment saves a new connection.
        if connection is not None and self._events.done and connection.is_readable(GRACE):
            with suppress(OSError, EasyLLMError):
                self._read(monotonic() + 1)
                self._release_if_complete()
        self._drop()

    def _read(self, deadline: float) -> None:
        assert self._connection is not None  # noqa: S101 - there is one until the answer is complete
        if block := self._connection.receive(deadline):
            self._piece = self._parser.feed(block)
        else:
            self._parser.feed_eof()


class AsyncEventStream(_Stream[_Async], AsyncClosing):
    """A streamed answer. `async for` yields non-empty lists of events, one list per read.

    Each item is the data of one event; `ErrorEvent` marks those the server named "error", and
    `b"[DONE]"` is that event in every spelling. Use it with `async with`, or close it: a
    connection whose answer was not read to its end is closed, never used again.

    Attributes:
        status: HTTP status code, 2xx.
        headers: Headers with names in lower case.
        url: Address that answers, without credentials.
    """

    __slots__ = ()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[bytes]:
        self._deadline = monotonic() + self._patience
        try:
            while (events := self._take()) is None:
                await self._read(self._deadline)
        except BaseException as exc:
            error = self._failed(exc)
            if error is exc:
                raise
            raise error from exc
        if not events:
            raise StopAsyncIteration
        return events

    async def aclose(self) -> None:
        """Give the connection back if the answer is finished, else close it at once."""
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
        if self._connection is not None and not self._piece:
            self._piece = self._connection.take()
        return super()._take()

    async def _read(self, deadline: float) -> None:
        if self._connection is not None:
            await self._connection.wait(deadline)
