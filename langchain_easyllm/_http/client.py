"""The transport: requests in, answers or event streams out, sync and async."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from .auth import Credentials
from .exchange import arun_flow, exchange, run_flow
from .headers import RequestHeaders
from .models import Request, Response, RetryPolicy
from .stream import AsyncClosing, Closing

if TYPE_CHECKING:
    from .async_pool import Sessions
    from .stream import AsyncEventStream, EventStream
    from .sync_pool import SyncPool
    from .tls import Verify

__all__ = ["HTTPTransport"]


class HTTPTransport(Closing, AsyncClosing):
    """Sends requests, with a token where it may go, and tries again where that may help.

    One object serves any number of threads and event loops, also one after the other. Nothing is
    opened before the first request, and after `close` or `aclose` it can be used again.

    Args:
        credentials: Which host gets which token.
        headers: Headers for every request; one of the transport's own names wins over it.
        verify: TLS certificates to accept: True for the usual authorities, False for any, a file
            or directory of authorities, or an `ssl.SSLContext`.

    Raises:
        ConfigurationError: If a header cannot be sent as it is.
    """

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        verify: Verify = True,
    ) -> None:
        self.credentials = credentials or Credentials()
        self._verify = verify
        self._plan = RequestHeaders(self.credentials, headers)
        self._shells = _Shells()
        self._opening = threading.Lock()
        weakref.finalize(self, self._shells.close)

    def send(self, request: Request, policy: RetryPolicy = RetryPolicy()) -> Response:  # noqa: B008
        """Send a request and read the whole answer.

        Args:
            request: What to send.
            policy: How long to wait and how often to try again.

        Raises:
            EasyLLMError: If there is no answer with a status below 300.
        """
        flow = exchange(request, policy, self._plan, streaming=False)
        return cast("Response", run_flow(flow, self._pool().attempt))

    async def asend(self, request: Request, policy: RetryPolicy = RetryPolicy()) -> Response:  # noqa: B008
        """Send a request and read the whole answer, on the running event loop.

        Args:
            request: What to send.
            policy: How long to wait and how often to try again.

        Raises:
            EasyLLMError: If there is no answer with a status below 300.
        """
        flow = exchange(request, policy, self._plan, streaming=False)
        return cast("Response", await arun_flow(flow, self._sessions().attempt))

    def open(self, request: Request, policy: RetryPolicy = RetryPolicy()) -> EventStream:  # noqa: B008
        """Send a request for an event stream and wait until its answer begins.

        Args:
            request: What to send.
            policy: How long to wait, for the first byte and then for each next one, and how
                often to try again until the answer begins.

        Raises:
            EasyLLMError: If there is no answer with a status below 300.
        """
        flow = exchange(request, policy, self._plan, streaming=True)
        return cast("EventStream", run_flow(flow, self._pool().attempt))

    async def aopen(
        self,
        request: Request,
        policy: RetryPolicy = RetryPolicy(),  # noqa: B008
    ) -> AsyncEventStream:
        """Send a request for an event stream, on the running event loop.

        Args:
            request: What to send.
            policy: How long to wait, for the first byte and then for each next one, and how
                often to try again until the answer begins.

        Raises:
            EasyLLMError: If there is no answer with a status below 300.
        """
        flow = exchange(request, policy, self._plan, streaming=True)
        return cast("AsyncEventStream", await arun_flow(flow, self._sessions().attempt))

    def close(self) -> None:
        """Close the idle connections of all threads and event loops.

        Answers under way are left to end by themselves, streams too; then their connections close.
        """
        self._shells.close()

    async def aclose(self) -> None:
        """Close the idle connections, those of the running loop before this returns.

        Answers under way are left to end by themselves, streams too; then their connections close.
        """
        if self._shells.sessions is not None:
            await self._shells.sessions.aclose()
        self.close()

    def _pool(self) -> SyncPool:
        pool = self._shells.pool
        if pool is None:
            from .sync_pool import SyncPool  # noqa: PLC0415 - sockets and TLS load at first use

            with self._opening:  # a second pool would be lost with its idle connections
                pool = self._shells.pool = self._shells.pool or SyncPool(self._verify)
        return pool

    def _sessions(self) -> Sessions:
        sessions = self._shells.sessions
        if sessions is None:
            from .async_pool import Sessions  # noqa: PLC0415 - asyncio loads at first use

            with self._opening:
                sessions = self._shells.sessions = self._shells.sessions or Sessions(self._verify)
        return sessions


class _Shells:
    """What a transport has opened; outlives it by the moment it takes to close."""

    __slots__ = ("pool", "sessions")

    def __init__(self) -> None:
        self.pool: SyncPool | None = None
        self.sessions: Sessions | None = None

    def close(self) -> None:
        for shell in (self.pool, self.sessions):
            if shell is not None:
                shell.close()
