"""Streamed answers on an event loop: lists of events, as they arrive."""

from __future__ import annotations

import asyncio
import builtins
import weakref
from collections.abc import Mapping
from contextlib import suppress
from math import inf
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self

import aiohttp

from ..errors import EasyLLMError
from .addresses import public_url
from .bodies import BodyEvents
from .streams import GRACE
from .translation import error_from_exception, out_of_time

if TYPE_CHECKING:
    from .flow import Attempt
    from .loop_sessions import LoopSession

__all__ = ["AsyncEventStream", "drop"]


class AsyncEventStream:
    """A streamed answer. `async for` yields non-empty lists of events, one list per read.

    Each item is the data of one event; `ErrorEvent` marks those the server named "error", and
    `b"[DONE]"` is that event in every spelling. Use it with `async with`, or close it: a
    connection whose answer was not read to its end is closed, never used again.

    Attributes:
        status: HTTP status code, 2xx.
        headers: Headers with names in lower case.
        url: Address that answers, without credentials.
    """

    def __init__(
        self,
        session: LoopSession,
        response: aiohttp.ClientResponse,
        headers: Mapping[str, str],
        step: Attempt,
    ) -> None:
        self.status = response.status
        self.headers = headers
        self.url = step.address.url
        self._events = BodyEvents(headers)
        self._loop = session.loop
        self._response = response
        self._content = response.content
        self._timeout = step.timeout
        # The first event has what is left of the time for the answer.
        self._patience = step.deadline - monotonic()
        self._deadline = inf
        self._waiting = False
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._responses = session.responses

    @property
    def framed(self) -> bool:
        """Whether the server streams; otherwise its whole JSON answer comes as one item."""
        return self._events.framed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[bytes]:
        try:
            events = await self._next_events()
        except EasyLLMError as error:
            self._drop()
            error.url = error.url or public_url(self.url)
            raise
        except (aiohttp.ClientError, OSError, RuntimeError) as exc:
            self._drop()
            if isinstance(exc, builtins.TimeoutError):
                raise out_of_time(self.url, "pieces", self._timeout) from exc
            raise error_from_exception(exc, self.url, "pieces") from exc
        if not events:
            raise StopAsyncIteration
        self._patience = self._timeout
        return events

    async def aclose(self) -> None:
        """Give the connection back if the answer is finished, else close it at once."""
        # Behind [DONE] comes only the end of the framing: a moment saves a new connection.
        if self._events.done and not self._content.is_eof():
            with suppress(OSError, RuntimeError, aiohttp.ClientError):
                async with asyncio.timeout(GRACE):
                    await self._content.readany()
        self._drop()

    def __del__(self) -> None:
        if not self._ended and not self._loop.is_closed():
            # The collector may run in any thread; the connection belongs to the loop's.
            self._loop.call_soon_threadsafe(drop, self._responses, self._response)

    async def _next_events(self) -> list[bytes]:
        """The next events, none at the end of the answer."""
        self._deadline = monotonic() + self._patience
        while not self._ended:
            block = self._take_buffered() or await self._wait_for_data()
            if not block:
                self._drop()
                return self._events.end()
            if events := self._events.feed(block):
                return events
        return []

    def _take_buffered(self) -> bytes:
        """What has arrived already; also what came before a failure, which aiohttp would drop."""
        content = self._content
        failure = content.exception()
        if failure is None:
            return content.read_nowait()
        content.set_exception(None)  # type: ignore[arg-type]
        block = content.read_nowait()
        content.set_exception(failure)
        return block

    async def _wait_for_data(self) -> bytes:
        """Wait until there is data or, with none, the end; or no time left."""
        if self._timer is None and self._deadline != inf:
            self._arm()
        self._waiting = True
        try:
            return await self._content.readany()
        finally:
            self._waiting = False

    def _arm(self) -> None:
        # One timer serves many waits: when it fires too early it is set again.
        left = max(self._deadline - monotonic(), 0)
        self._timer = self._loop.call_at(self._loop.time() + left, _expire, weakref.ref(self))

    def expire(self) -> None:
        """End the wait if its time is over."""
        self._timer = None
        if not self._waiting:
            return
        if self._deadline > monotonic():
            self._arm()
        else:
            self._content.set_exception(builtins.TimeoutError())

    def _drop(self) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        drop(self._responses, self._response)


def _expire(reference: weakref.ref[AsyncEventStream]) -> None:
    stream = reference()
    if stream is not None:
        stream.expire()


def drop(responses: set[aiohttp.ClientResponse], response: aiohttp.ClientResponse) -> None:
    """End an answer; the connection of a finished one is in the pool already.

    Args:
        responses: The answers that are being read on the loop.
        response: The one that is not read any further.
    """
    responses.discard(response)
    connection = response.connection
    transport = connection and connection.transport
    response.close()
    if transport:
        # At once: a polite end of TLS would wait for the server.
        transport.abort()
