"""Two thin clients on a transport, so that one test body serves sync and async."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextvars import copy_context
from types import TracebackType
from typing import Any, Self, TypeVar

from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.models import Request, Response, RetryPolicy

__all__ = ["AsyncClient", "Client", "SyncClient", "post"]

T = TypeVar("T")
ONCE = RetryPolicy(timeout=5, max_retries=0)


def post(url: str, body: bytes = b"{}", **headers: str) -> Request:
    """A POST request; underscores in the names of headers become hyphens."""
    return Request("POST", url, body, {name.replace("_", "-"): v for name, v in headers.items()})


class SyncClient:
    """Calls a transport from this thread."""

    def __init__(self, transport: HTTPTransport) -> None:
        self.transport = transport

    def send(self, request: Request, policy: RetryPolicy = ONCE) -> Response:
        return self.transport.send(request, policy)

    def read(self, request: Request, policy: RetryPolicy = ONCE, into: list[bytes] | None = None):
        """All events of a stream; those before a failure are in `into`."""
        events = [] if into is None else into
        with self.transport.open(request, policy) as stream:
            for several in stream:
                assert several
                events.extend(several)
        return events

    def first(self, request: Request, policy: RetryPolicy = ONCE) -> tuple[list[bytes], bool, int]:
        """The first events of a stream that is then closed, whether it is framed, its status."""
        with self.transport.open(request, policy) as stream:
            return next(stream), stream.framed, stream.status

    def idle(self, seconds: float) -> None:
        time.sleep(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: object, trace: TracebackType | None
    ) -> None:
        self.transport.close()


class AsyncClient:
    """Calls a transport from one event loop."""

    def __init__(self, transport: HTTPTransport) -> None:
        self.transport = transport
        self._runner = asyncio.Runner()

    def send(self, request: Request, policy: RetryPolicy = ONCE) -> Response:
        return self._run(self.transport.asend(request, policy))

    def read(self, request: Request, policy: RetryPolicy = ONCE, into: list[bytes] | None = None):
        events = [] if into is None else into

        async def read() -> list[bytes]:
            async with await self.transport.aopen(request, policy) as stream:
                async for several in stream:
                    assert several
                    events.extend(several)
            return events

        return self._run(read())

    def first(self, request: Request, policy: RetryPolicy = ONCE) -> tuple[list[bytes], bool, int]:
        async def first() -> tuple[list[bytes], bool, int]:
            async with await self.transport.aopen(request, policy) as stream:
                return await anext(stream), stream.framed, stream.status

        return self._run(first())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work, context=copy_context())

    def idle(self, seconds: float) -> None:
        """Let time pass in which the loop runs."""
        self._runner.run(asyncio.sleep(seconds))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: object, trace: TracebackType | None
    ) -> None:
        self._runner.run(self.transport.aclose())
        self._runner.close()


Client = SyncClient | AsyncClient
