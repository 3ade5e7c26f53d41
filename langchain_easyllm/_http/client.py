"""The client: requests in, responses or event streams out, sync and async."""

from __future__ import annotations

import threading
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, Self, cast

from .attempt_hooks import AttemptHooks
from .auth import Credentials
from .exchange import arun_flow, exchange, run_flow
from .headers import RequestHeaders
from .models import Request, Response, RetryPolicy
from .stream import AsyncClosing, Closing

if TYPE_CHECKING:
    from .async_pool import AsyncBackend
    from .stream import AsyncEventStream, EventStream
    from .sync_pool import SyncPool
    from .tls import Verify
    from .user_functions import UserFunction


class ResponseStream(Protocol):
    """A streamed response: yields non-empty lists of events, each the data of one event."""

    url: str

    def __iter__(self) -> Iterator[list[bytes]]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """End the response, read to its end or not."""


class AsyncResponseStream(Protocol):
    """The same for `async with` and `async for`."""

    url: str

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


class HTTPTransport(Closing, AsyncClosing):
    """A `Transport` over own connections; a token goes only where it may.

    Nothing is opened before the first request.
    """

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        bill_to: str | None = None,
        verify: Verify = True,
        request_hook: UserFunction | None = None,
    ) -> None:
        self.credentials = credentials or Credentials()
        self._verify = verify
        self._headers = RequestHeaders(self.credentials, headers, bill_to)
        self._hooks = AttemptHooks(self.credentials, request_hook)
        self._backends = _Backends()
        self._lock = threading.Lock()
        weakref.finalize(self, self._backends.close)

    def send(self, request: Request, policy: RetryPolicy = RetryPolicy()) -> Response:  # noqa: B008
        flow = exchange(request, policy, self._headers, streaming=False)
        send = self._hooks.sender(self._sync_pool().send)
        return cast("Response", run_flow(flow, send))

    async def asend(self, request: Request, policy: RetryPolicy = RetryPolicy()) -> Response:  # noqa: B008
        flow = exchange(request, policy, self._headers, streaming=False)
        send = self._hooks.asender(self._async_backend().send)
        return cast("Response", await arun_flow(flow, send))

    def open(self, request: Request, policy: RetryPolicy = RetryPolicy()) -> EventStream:  # noqa: B008
        flow = exchange(request, policy, self._headers, streaming=True)
        send = self._hooks.sender(self._sync_pool().send)
        return cast("EventStream", run_flow(flow, send))

    async def aopen(
        self,
        request: Request,
        policy: RetryPolicy = RetryPolicy(),  # noqa: B008
    ) -> AsyncEventStream:
        flow = exchange(request, policy, self._headers, streaming=True)
        send = self._hooks.asender(self._async_backend().send)
        return cast("AsyncEventStream", await arun_flow(flow, send))

    def close(self) -> None:
        self._backends.close()

    async def aclose(self) -> None:
        if self._backends.asynchronous is not None:
            await self._backends.asynchronous.aclose()
        self.close()

    def _sync_pool(self) -> SyncPool:
        backend = self._backends.sync
        if backend is None:
            from .sync_pool import SyncPool  # noqa: PLC0415 - sockets and TLS load at first use

            with self._lock:  # a second pool would be lost with its idle connections
                backend = self._backends.sync = self._backends.sync or SyncPool(self._verify)
        return backend

    def _async_backend(self) -> AsyncBackend:
        backend = self._backends.asynchronous
        if backend is None:
            from .async_pool import AsyncBackend  # noqa: PLC0415 - asyncio loads at first use

            with self._lock:
                backend = self._backends.asynchronous or AsyncBackend(self._verify)
                self._backends.asynchronous = backend
        return backend


class _Backends:
    """What a transport has opened; outlives it by the moment it takes to close."""

    __slots__ = ("asynchronous", "sync")

    def __init__(self) -> None:
        self.sync: SyncPool | None = None
        self.asynchronous: AsyncBackend | None = None

    def close(self) -> None:
        for backend in (self.sync, self.asynchronous):
            if backend is not None:
                backend.close()
