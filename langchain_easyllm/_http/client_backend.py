"""The backends over a client of the caller's own: what `SyncPool` and `AsyncBackend` are for ours.

An adapter knows how its kind of client begins a response; everything else is the same for all.
"""

from __future__ import annotations

import asyncio
import builtins
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Generic, NoReturn, Self, TypeVar, cast

from ..errors import EasyLLMError
from .body import BodyEvents
from .client_adapters import (
    AsyncClientAdapter,
    AsyncProtocolAdapter,
    Block,
    ClientAdapter,
    Incoming,
    ProtocolAdapter,
    Translates,
    checked_bytes,
    time_left,
)
from .client_protocols import ASYNC, SYNC, AsyncHTTPClient, HTTPClient, httpx_module
from .connect import time_allowed
from .content import BoundedBody
from .exchange import Attempt
from .models import Response
from .socket_errors import Phase, incomplete, raise_translated
from .stream import AsyncClosing, Closing

B = TypeVar("B", Iterator[Block], AsyncIterator[Block])
R = TypeVar("R")

LEEWAY = 0.05
"""Seconds that a client has to say itself what took too long, before it is interrupted."""


class ClientBackend:
    """Sends attempts with a synchronous client, which stays the caller's to close."""

    def __init__(self, client: object) -> None:
        self._adapter: ClientAdapter
        if module := httpx_module(client, SYNC):
            from .httpx_client import HttpxAdapter  # noqa: PLC0415 - only where one is given

            self._adapter = HttpxAdapter(client, module)
        else:
            self._adapter = ProtocolAdapter(cast("HTTPClient", client))

    def send(self, attempt: Attempt) -> Response | ClientStream:
        incoming = None
        try:
            time_left(attempt)
            incoming = self._adapter.open(attempt)
            if _streams(attempt, incoming):
                return ClientStream(incoming, attempt, self._adapter)
            whole = _WholeResponse(incoming, attempt)
            for block in incoming.blocks:
                whole.feed(block)
                if whole.full:
                    break
                time_left(attempt)
            incoming.close(not whole.full)
            return whole.response()
        except BaseException as exc:  # noqa: BLE001 - raised again
            if incoming is not None:
                with suppress(Exception):
                    incoming.close(False)
            _fail(exc, attempt, self._adapter, "answer", begun=incoming is not None)

    def close(self) -> None:
        """Nothing here is ours."""


class AsyncClientBackend:
    """Sends attempts with an asynchronous client, which stays the caller's to close."""

    def __init__(self, client: object) -> None:
        self._adapter: AsyncClientAdapter
        if module := httpx_module(client, ASYNC):
            from .httpx_client import AsyncHttpxAdapter  # noqa: PLC0415 - only where one is given

            self._adapter = AsyncHttpxAdapter(client, module)
        else:
            self._adapter = AsyncProtocolAdapter(cast("AsyncHTTPClient", client))

    async def send(self, attempt: Attempt) -> Response | AsyncClientStream:
        incoming = None
        try:
            left = time_left(attempt)
            async with asyncio.timeout(None if left is None else left + LEEWAY):
                incoming = await self._adapter.aopen(attempt)
                if _streams(attempt, incoming):
                    return AsyncClientStream(incoming, attempt, self._adapter)
                whole = _WholeResponse(incoming, attempt)
                async for block in incoming.blocks:
                    whole.feed(block)
                    if whole.full:
                        break
            await _closed(incoming, complete=not whole.full)
            return whole.response()
        except BaseException as exc:  # noqa: BLE001 - raised again
            if incoming is not None:
                with suppress(Exception):
                    await _closed(incoming, complete=False)
            _fail(exc, attempt, self._adapter, "answer", begun=incoming is not None)

    def close(self) -> None:
        """Nothing here is ours."""

    async def aclose(self) -> None:
        """Nothing here is ours."""


class ThreadedBackend:
    """Serves an event loop with a blocking client: each attempt has a thread of its own.

    Threads are daemons: an interpreter at its exit must not wait for a server. How many there are
    is bounded by who asks, and one costs a twentieth of such a client's request.
    """

    def __init__(self, backend: ClientBackend) -> None:
        self._backend = backend

    async def send(self, attempt: Attempt) -> Response | ClientStream:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Response | ClientStream] = loop.create_future()

        def deliver(put: Callable[[R], None], result: R) -> None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(lambda: None if done.done() else put(result))

        def run() -> None:
            try:
                result = self._backend.send(attempt)
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                deliver(done.set_exception, error)
            else:
                deliver(done.set_result, result)

        # Tracing finds the span of the call in its context.
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(run,), name="easyllm-http-client", daemon=True
        ).start()
        return await done

    def close(self) -> None:
        """Nothing here is ours."""

    async def aclose(self) -> None:
        """Nothing here is ours."""


class LoopBackend:
    """Serves a thread, for which an event loop waits, with that loop's client."""

    def __init__(self, backend: AsyncClientBackend, loop: asyncio.AbstractEventLoop) -> None:
        self._backend = backend
        self._loop = loop

    def send(self, attempt: Attempt) -> Response:
        sending = asyncio.run_coroutine_threadsafe(self._backend.send(attempt), self._loop)
        return cast("Response", sending.result())  # such threads open no streams

    def close(self) -> None:
        """Nothing here is ours."""


class _ClientStreamState(Generic[B]):
    """What sync and async streams share: the events of a response, and how it ends."""

    __slots__ = ("_adapter", "_attempt", "_ended", "_events", "_incoming", "headers", "status",
                 "url")  # fmt: skip

    def __init__(self, incoming: Incoming[B], attempt: Attempt, adapter: Translates) -> None:
        self._incoming: Incoming[B] | None = incoming
        self._attempt = attempt
        self._adapter = adapter
        self._events = BodyEvents(incoming.headers, attempt.limits)
        self._ended = False
        self.status = incoming.status
        self.headers = incoming.headers
        self.url = attempt.address.url

    @property
    def framed(self) -> bool:
        """Whether the server streams; otherwise its whole JSON answer comes as one item."""
        return self._events.framed

    def _feed(self, block: Block | None) -> list[bytes]:
        """The events that a block completes; None is the end of the body."""
        if block is None:
            self._ended = True
            return self._events.end()
        if isinstance(block, list):
            return block
        events = self._events.feed(checked_bytes(block))
        while self._events.pending:
            events += self._events.feed(b"")
        return events

    def _take_incoming(self) -> Incoming[B] | None:
        incoming, self._incoming = self._incoming, None
        self._ended = True
        return incoming

    def _fail(self, exc: BaseException) -> NoReturn:
        _fail(exc, self._attempt, self._adapter, "stream", begun=True)


class ClientStream(_ClientStreamState[Iterator[Block]], Closing):
    """A streamed response of a synchronous client; see `EventStream`."""

    __slots__ = ()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[bytes]:
        try:
            while not self._ended:
                assert self._incoming is not None  # noqa: S101 - it has not ended
                if events := self._feed(next(self._incoming.blocks, None)):
                    return events
            self.close()
        except BaseException as exc:  # noqa: BLE001 - raised again
            with suppress(Exception):
                self.close()
            self._fail(exc)
        raise StopIteration

    def close(self) -> None:
        if (incoming := self._take_incoming()) is not None:
            incoming.close(self._events.done)

    def __del__(self) -> None:
        # Dropped undone: the client's connection would stay taken.
        with suppress(Exception):
            self.close()


class AsyncClientStream(_ClientStreamState[AsyncIterator[Block]], AsyncClosing):
    """A streamed response of an asynchronous client; see `AsyncEventStream`."""

    __slots__ = ("_idle_limit", "_loop")

    def __init__(
        self, incoming: Incoming[AsyncIterator[Block]], attempt: Attempt, adapter: Translates
    ) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(incoming, attempt, adapter)
        # The first byte has what is left of the time for the response.
        self._idle_limit = attempt.deadline - monotonic()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[bytes]:
        try:
            while not self._ended:
                assert self._incoming is not None  # noqa: S101 - it has not ended
                async with asyncio.timeout(None if self._idle_limit == inf else self._idle_limit):
                    block = await anext(self._incoming.blocks, None)
                self._idle_limit = self._attempt.timeout
                if events := self._feed(block):
                    return events
            await self.aclose()
        except BaseException as exc:  # noqa: BLE001 - raised again
            with suppress(Exception):
                await self.aclose()
            self._fail(exc)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if (incoming := self._take_incoming()) is not None:
            await _closed(incoming, complete=self._events.done)

    def __del__(self) -> None:
        if self._incoming is not None:
            with suppress(RuntimeError):  # the loop has ended, and the connection with it
                self._loop.call_soon_threadsafe(_abandon, self._loop, self._incoming)


class _WholeResponse(Generic[B]):
    """Gathers the blocks of a response that is not streamed."""

    def __init__(self, incoming: Incoming[B], attempt: Attempt) -> None:
        self._incoming: Incoming[B] = incoming
        self._url = attempt.address.url
        success = 200 <= incoming.status < 300
        self._body = BoundedBody(incoming.headers, attempt.limits, success=success)
        self._blocks: list[bytes] = []

    @property
    def full(self) -> bool:
        """Whether nothing more of it is wanted."""
        return self._body.full

    def feed(self, block: Block) -> None:
        if isinstance(block, list):
            self._blocks += block
        else:
            self._blocks.append(self._body.feed(checked_bytes(block)))

    def response(self) -> Response:
        self._body.close()
        body = b"".join(self._blocks)
        return Response(self._incoming.status, self._incoming.headers, body, self._url)


def _streams(attempt: Attempt, incoming: Incoming[B]) -> bool:
    return attempt.streaming and 200 <= incoming.status < 300


def _fail(
    exc: BaseException, attempt: Attempt, adapter: Translates, phase: Phase, *, begun: bool
) -> NoReturn:
    """Raise what came out of a client, as an `EasyLLMError` if it is the network's."""
    if isinstance(exc, StopIteration):
        # As Python does for a generator: it would end our flows, and no future can hold it.
        raise RuntimeError(f"{SYNC} raised StopIteration.") from exc  # noqa: TRY004
    if isinstance(exc, Exception) and not isinstance(exc, EasyLLMError | builtins.TimeoutError):
        adapter.raise_known(exc, attempt, begun=begun)
        if begun and isinstance(exc, OSError):
            raise incomplete(attempt.address.url) from exc
    raise_translated(exc, attempt.address.url, phase, time_allowed(attempt, phase))


async def _closed(incoming: Incoming[AsyncIterator[Block]], *, complete: bool) -> None:
    awaitable = incoming.close(complete)
    if awaitable is not None:
        await awaitable


# A task that nobody refers to may be collected before it is done.
_closing: set[asyncio.Task[None]] = set()


def _abandon(loop: asyncio.AbstractEventLoop, incoming: Incoming[AsyncIterator[Block]]) -> None:
    """Close a response that was dropped, on its loop."""

    async def close() -> None:
        with suppress(Exception):
            await _closed(incoming, complete=False)

    task = loop.create_task(close())
    _closing.add(task)
    task.add_done_callback(_closing.discard)
