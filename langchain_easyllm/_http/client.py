"""The client: requests in, responses or event streams out, sync and async."""

from __future__ import annotations

import threading
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping
from contextvars import ContextVar
from copy import copy
from typing import TYPE_CHECKING, Protocol, Self, cast, runtime_checkable

from .attempt_hooks import AttemptHooks
from .auth import Credentials
from .client_protocols import ASYNC, SYNC, missing_client
from .exchange import Flow, arun_flow, exchange, run_flow
from .headers import RequestHeaders
from .models import DEFAULT_LIMITS, Request, Response, ResponseLimits, RetryPolicy
from .stream import AsyncClosing, Closing

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from .async_pool import AsyncBackend
    from .client_backend import (
        AsyncClientBackend,
        ClientBackend,
        LoopBackend,
        ThreadedBackend,
    )
    from .pacing import Pacer
    from .stream import AsyncEventStream, EventStream
    from .sync_pool import SyncPool
    from .tls import Verify
    from .user_functions import UserFunction

    SyncBackend = SyncPool | ClientBackend | LoopBackend
    AnyAsyncBackend = AsyncBackend | AsyncClientBackend | ThreadedBackend


calling_loop: ContextVar[AbstractEventLoop | None] = ContextVar("calling_loop", default=None)
"""The event loop that waits for what this thread does, if one does."""


class ResponseStream(Protocol):
    """A streamed response: yields non-empty lists of events, each the data of one event."""

    url: str
    headers: Mapping[str, str]

    def __iter__(self) -> Iterator[list[bytes]]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """End the response, read to its end or not."""


class AsyncResponseStream(Protocol):
    """The same for `async with` and `async for`."""

    url: str
    headers: Mapping[str, str]

    def __aiter__(self) -> AsyncIterator[list[bytes]]: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def aclose(self) -> None:
        """End the response, read to its end or not."""


class Transport(Protocol):
    """Carries requests to a server: all that the rest of the package knows of a client.

    `send` and `asend` read the whole response; `open` and `aopen` return when a stream begins.
    Each makes the attempts that the policy allows, returns a success (a status below 300) and
    raises an `EasyLLMError` for all else. One transport serves any number of threads and event
    loops, and can be used again after `close` or `aclose`.
    """

    def send(self, request: Request, policy: RetryPolicy) -> Response: ...

    async def asend(self, request: Request, policy: RetryPolicy) -> Response: ...

    def open(self, request: Request, policy: RetryPolicy) -> ResponseStream: ...

    async def aopen(self, request: Request, policy: RetryPolicy) -> AsyncResponseStream: ...

    def close(self) -> None:
        """Close what is idle; responses under way, streams too, are left to end by themselves."""

    async def aclose(self) -> None:
        """The same; what belongs to the running loop is closed before this returns."""


@runtime_checkable
class ThreadedTransport(Transport, Protocol):
    """A transport that also has one for an event loop of the background."""

    def threaded(self) -> Transport:
        """Return a transport whose `asend` serves callers that block."""


class HTTPTransport(Closing, AsyncClosing):
    """A `Transport` over own connections, or another client's; a token goes only where it may.

    Nothing is opened before the first request. With a client that was given, synchronous or
    asynchronous, nothing is sent by own connections, and the client is not closed. Without a
    policy a request is one attempt within its own `timeout`.
    """

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        bill_to: str | None = None,
        verify: Verify = True,
        request_hook: UserFunction | None = None,
        http_client: object = None,
        http_async_client: object = None,
        limits: ResponseLimits = DEFAULT_LIMITS,
        requests_per_second: float | None = None,
    ) -> None:
        self.credentials = credentials or Credentials()
        self._verify = verify
        self._http_client = http_client
        self._http_async_client = http_async_client
        self._limits = limits
        self._per_second = requests_per_second
        self._headers = RequestHeaders(self.credentials, headers, bill_to)
        self._hooks = AttemptHooks(self.credentials, request_hook)
        self._backends = _Backends()
        self._lock = threading.Lock()
        weakref.finalize(self, self._backends.close)

    def send(self, request: Request, policy: RetryPolicy | None = None) -> Response:
        flow, _ = self._flow(request, policy, streaming=False)
        send = self._hooks.sender(self._sync_pool().send)
        return cast("Response", run_flow(flow, send))

    async def asend(self, request: Request, policy: RetryPolicy | None = None) -> Response:
        flow, _ = self._flow(request, policy, streaming=False)
        send = self._hooks.asender(self._async_backend().send)
        return cast("Response", await arun_flow(flow, send))

    def open(self, request: Request, policy: RetryPolicy | None = None) -> ResponseStream:
        flow, pacer = self._flow(request, policy, streaming=True)
        send = self._hooks.sender(self._sync_pool().send)
        stream = cast("EventStream", run_flow(flow, send))
        return stream if pacer is None else pacer.hold(stream)

    async def aopen(
        self, request: Request, policy: RetryPolicy | None = None
    ) -> AsyncResponseStream:
        flow, pacer = self._flow(request, policy, streaming=True)
        send = self._hooks.asender(self._async_backend().send)
        stream = cast("AsyncEventStream", await arun_flow(flow, send))
        return stream if pacer is None else pacer.ahold(stream)

    def threaded(self) -> Self:
        """Return a transport whose `asend` serves callers that block, on a loop in the background.

        Where only blocking calls have a client, it is that client's, in threads.
        """
        if self._http_client is None:
            self._sync_pool()  # which blocking calls have, or lack
            return self
        from .client_backend import ThreadedBackend  # noqa: PLC0415 - as below

        backends = _Backends()
        backends.asynchronous = ThreadedBackend(cast("ClientBackend", self._sync_pool()))
        other = copy(self)
        other._backends = backends  # noqa: SLF001 - of its own class
        return other

    def _flow(
        self, request: Request, policy: RetryPolicy | None, *, streaming: bool
    ) -> tuple[Flow, Pacer | None]:
        policy = policy or _once(request)
        if policy.batch_retries is None and self._per_second is None:
            flow = exchange(request, policy, self._headers, self._limits, streaming=streaming)
            return flow, None
        from .pacing import Pacer  # noqa: PLC0415 - only where many calls have to share

        policy = policy.begin()
        pacer = Pacer(request.url, policy, self._per_second)
        flow = exchange(request, policy, self._headers, self._limits, streaming=streaming)
        return pacer.paced(flow), pacer

    def close(self) -> None:
        self._backends.close()

    async def aclose(self) -> None:
        if self._backends.asynchronous is not None:
            await self._backends.asynchronous.aclose()
        self.close()

    def _sync_pool(self) -> SyncBackend:
        backend = self._backends.sync
        if backend is None:
            if self._http_client is None and self._http_async_client is not None:
                return self._on_calling_loop()
            with self._lock:  # a second pool would be lost with its idle connections
                backend = self._backends.sync = self._backends.sync or self._new_sync()
        return backend

    def _new_sync(self) -> SyncBackend:
        if self._http_client is not None:
            from .client_backend import ClientBackend  # noqa: PLC0415 - only where one is given

            return ClientBackend(self._http_client)
        from .sync_pool import SyncPool  # noqa: PLC0415 - sockets and TLS load at first use

        return SyncPool(self._verify)

    def _on_calling_loop(self) -> SyncBackend:
        """The asynchronous client, for a thread that works for a call of an event loop."""
        loop = calling_loop.get()
        if loop is None:
            raise missing_client(SYNC)
        from .client_backend import LoopBackend  # noqa: PLC0415 - as above

        return LoopBackend(cast("AsyncClientBackend", self._async_backend()), loop)

    def _async_backend(self) -> AnyAsyncBackend:
        backend = self._backends.asynchronous
        if backend is None:
            with self._lock:
                backend = self._backends.asynchronous or self._new_async()
                self._backends.asynchronous = backend
        return backend

    def _new_async(self) -> AnyAsyncBackend:
        if self._http_async_client is not None:
            from .client_backend import AsyncClientBackend  # noqa: PLC0415 - as above

            return AsyncClientBackend(self._http_async_client)
        if self._http_client is not None:
            raise missing_client(ASYNC)
        from .async_pool import AsyncBackend  # noqa: PLC0415 - asyncio loads at first use

        return AsyncBackend(self._verify)


def _once(request: Request) -> RetryPolicy:
    return RetryPolicy(request.timeout, max_retries=0)


class _Backends:
    """What a transport has opened; outlives it by the moment it takes to close."""

    __slots__ = ("asynchronous", "sync")

    def __init__(self) -> None:
        self.sync: SyncBackend | None = None
        self.asynchronous: AnyAsyncBackend | None = None

    def close(self) -> None:
        for backend in (self.sync, self.asynchronous):
            if backend is not None:
                backend.close()
