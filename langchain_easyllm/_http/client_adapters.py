"""How a client of the caller's own begins a response: what its kinds have in common.

This module has the adapters of objects with the methods of `client_protocols`; `httpx_client` has
those of httpx.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from math import inf
from time import monotonic
from typing import Generic, Protocol, TypeVar, cast

from ..errors import ConfigurationError
from .client_protocols import ASYNC, SYNC, AsyncHTTPClient, HTTPClient
from .exchange import Attempt
from .models import Request, SecretHeaders

Block = bytes | list[bytes]
"""Bytes of a body as they came, or events that are decoded already."""

B = TypeVar("B", Iterator[Block], AsyncIterator[Block])


@dataclass(slots=True)
class Incoming(Generic[B]):
    """A response that has begun.

    `close` takes whether the response is complete in its meaning: then its connection is worth
    reading on for. An asynchronous client's is awaited.
    """

    status: int
    headers: Mapping[str, str]  # names in lower case
    blocks: B
    close: Callable[[bool], Awaitable[None] | None]


class Translates(Protocol):
    def raise_known(self, exc: BaseException, attempt: Attempt, *, begun: bool) -> None:
        """Raise the error that an exception of the client's own means; return if it is none."""


class ClientAdapter(Translates, Protocol):
    def open(self, attempt: Attempt) -> Incoming[Iterator[Block]]: ...


class AsyncClientAdapter(Translates, Protocol):
    async def aopen(self, attempt: Attempt) -> Incoming[AsyncIterator[Block]]: ...


class ProtocolAdapter:
    """Begins responses with an object that has the methods of `HTTPClient`."""

    def __init__(self, client: HTTPClient) -> None:
        self._client = client

    def open(self, attempt: Attempt) -> Incoming[Iterator[Block]]:
        name = "open" if attempt.streaming else "send"
        answer = getattr(self._client, name)(_request(attempt))
        status, headers, body = _parts(answer, f"{SYNC}.{name}", "__iter__")
        if body is not None:
            return Incoming(status, headers, iter((body,)), lambda _: None)
        blocks = iter(cast("Iterator[Block]", answer))
        return Incoming(status, headers, blocks, lambda _: answer.close())

    def raise_known(self, exc: BaseException, attempt: Attempt, *, begun: bool) -> None:
        """Its errors are ours, or the operating system's."""


class AsyncProtocolAdapter:
    """Begins responses with an object that has the methods of `AsyncHTTPClient`."""

    def __init__(self, client: AsyncHTTPClient) -> None:
        self._client = client

    async def aopen(self, attempt: Attempt) -> Incoming[AsyncIterator[Block]]:
        name = "aopen" if attempt.streaming else "asend"
        where = f"{ASYNC}.{name}"
        awaitable = cast("object", getattr(self._client, name)(_request(attempt)))
        if not isawaitable(awaitable):
            raise ConfigurationError(f"{where} has to be asynchronous (async def).")
        answer = await awaitable
        status, headers, body = _parts(answer, where, "__aiter__")
        if body is not None:
            return Incoming(status, headers, single_block(body), _nothing)
        return Incoming(status, headers, aiter(answer), lambda _: answer.aclose())

    def raise_known(self, exc: BaseException, attempt: Attempt, *, begun: bool) -> None:
        """Its errors are ours, or the operating system's."""


def time_left(attempt: Attempt) -> float | None:
    """The seconds that an attempt has left, None without a limit; raises that there are none."""
    if attempt.deadline == inf:
        return None
    left = attempt.deadline - monotonic()
    if left <= 0:
        raise builtins.TimeoutError
    return left


def without_default_host(attempt: Attempt) -> SecretHeaders:
    """The headers, without a `host` that any client adds by itself."""
    headers = SecretHeaders(attempt.headers)
    if headers.get("host") == attempt.address.authority:
        del headers["host"]
    return headers


def _request(attempt: Attempt) -> Request:
    headers, timeout = without_default_host(attempt), time_left(attempt)
    return Request(attempt.method, attempt.address.url, attempt.body, headers, timeout)


def checked_bytes(block: object) -> bytes:
    if isinstance(block, bytes):
        return block
    if isinstance(block, bytearray | memoryview):
        return bytes(block)
    raise ConfigurationError(
        f"The HTTP client's response consists of {type(block).__name__}, not of bytes."
    )


def _parts(answer: object, where: str, iterates: str) -> tuple[int, dict[str, str], bytes | None]:
    """Status, headers and body of what a client returned; no body if it is still to come."""
    status, headers = getattr(answer, "status", None), getattr(answer, "headers", None)
    body = getattr(answer, "body", None)
    streamed = body is None and hasattr(answer, iterates)
    whole = isinstance(body, bytes | bytearray | memoryview)
    if not isinstance(status, int) or headers is None or not (streamed or whole):
        raise ConfigurationError(
            f"{where} returned {type(answer).__name__}, not a response with status, headers and "
            "bytes: return a langchain_easyllm.http.Response."
        )
    lower = {str(name).lower(): str(value) for name, value in dict(headers).items()}
    return status, lower, bytes(body) if whole else None  # type: ignore[arg-type]


async def single_block(body: bytes) -> AsyncIterator[Block]:
    yield body


async def _nothing(_: bool) -> None:
    pass
