"""Streamed answers: lists of events, as they arrive."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..errors import EasyLLMError
from .addresses import public_url
from .bodies import BodyEvents
from .translation import error_from_exception, out_of_time

if TYPE_CHECKING:
    from .blocking import Connection, Pool
    from .flow import Attempt
    from .http1 import AnswerParser

__all__ = ["GRACE", "EventStream"]


GRACE = 0.05
"""Seconds that the end of the framing may come behind `[DONE]`, for the connection to be kept."""


class EventStream:
    """A streamed answer. Iterating yields non-empty lists of events, one list per read.

    Each item is the data of one event; `ErrorEvent` marks those the server named "error", and
    `b"[DONE]"` is that event in every spelling. Use it as a context manager, or close it: a
    connection whose answer was not read to its end is closed, never used again.

    Attributes:
        status: HTTP status code, 2xx.
        headers: Headers with names in lower case.
        url: Address that answers, without credentials.
    """

    __slots__ = (
        "_connection",
        "_ended",
        "_events",
        "_parser",
        "_patience",
        "_piece",
        "_pool",
        "_step",
        "headers",
        "status",
        "url",
    )  # fmt: skip

    def __init__(
        self, pool: Pool, connection: Connection, parser: AnswerParser, piece: bytes, step: Attempt
    ) -> None:
        self.status = parser.status
        self.headers: Mapping[str, str] = parser.headers
        self.url = step.address.url
        self._events = BodyEvents(parser.headers)
        self._pool = pool
        self._connection: Connection | None = connection
        self._parser = parser
        self._piece = piece
        self._step = step
        # The first event has what is left of the time for the answer.
        self._patience = step.deadline - monotonic()
        self._ended = False

    @property
    def framed(self) -> bool:
        """Whether the server streams; otherwise its whole JSON answer comes as one item."""
        return self._events.framed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[bytes]:
        try:
            events = self._next_events()
        except BaseException as exc:
            self._drop()
            if isinstance(exc, EasyLLMError):
                exc.url = exc.url or public_url(self.url)
                raise
            if isinstance(exc, builtins.TimeoutError):
                raise out_of_time(self.url, "pieces", self._step.timeout) from exc
            if isinstance(exc, OSError):
                raise error_from_exception(exc, self.url, "pieces") from exc
            raise
        if not events:
            raise StopIteration
        self._patience = self._step.timeout
        return events

    def close(self) -> None:
        """Give the connection back if the answer is finished, else close it at once."""
        connection = self._connection
        # Behind [DONE] comes only the end of the framing: a moment saves a new connection.
        if connection is not None and self._events.done and connection.is_readable(GRACE):
            try:
                self._parser.feed(connection.receive(monotonic() + 1))
            except (OSError, EasyLLMError):
                self._drop()
            else:
                self._release_if_complete()
        self._drop()

    def _next_events(self) -> list[bytes]:
        """The next events, none at the end of the answer."""
        deadline = monotonic() + self._patience
        while not self._ended:
            if self._piece:
                piece, self._piece = self._piece, b""
                self._release_if_complete()
                if events := self._events.feed(piece):
                    return events
            if self._connection is not None and not self._parser.complete:
                self._read(self._connection, deadline)
                continue
            self._release_if_complete()
            self._ended = True
            return self._events.end()
        return []

    def _read(self, connection: Connection, deadline: float) -> None:
        if block := connection.receive(deadline):
            self._piece = self._parser.feed(block)
        else:
            self._parser.feed_eof()

    def _release_if_complete(self) -> None:
        if self._connection is not None and self._parser.complete:
            connection, self._connection = self._connection, None
            if self._parser.reusable:
                self._pool.give_back(connection, self._step.address)
            else:
                connection.close()

    def _drop(self) -> None:
        self._ended = True
        self._piece = b""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
