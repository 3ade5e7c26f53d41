"""What another HTTP client has to offer to send the requests in place of our own connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from inspect import isclass, iscoroutinefunction
from typing import Protocol

from ..errors import ConfigurationError
from .models import Request, Response


class StreamedResponse(Protocol):
    """A response whose status and headers are here, and whose body is still to come.

    Iterating yields the body in blocks of bytes as they arrive, with its content coding. A list of
    bytes is taken for events that are decoded already.

    Attributes:
        status: The HTTP status code.
        headers: The headers by name, repeated ones joined by `", "`.
    """

    @property
    def status(self) -> int:
        """The HTTP status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by name, repeated ones joined by `", "`."""

    def __iter__(self) -> Iterator[bytes | list[bytes]]: ...

    def close(self) -> None:
        """End the response, read to its end or not. It may be called more than once."""


class AsyncStreamedResponse(Protocol):
    """A `StreamedResponse` for `async for`.

    Attributes:
        status: The HTTP status code.
        headers: The headers by name, repeated ones joined by `", "`.
    """

    @property
    def status(self) -> int:
        """The HTTP status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by name, repeated ones joined by `", "`."""

    def __aiter__(self) -> AsyncIterator[bytes | list[bytes]]: ...

    async def aclose(self) -> None:
        """End the response, read to its end or not. It may be called more than once."""


class HTTPClient(Protocol):
    """A client for `http_client`: each call is one attempt, without retries and redirects.

    A response of any status may be returned, or an `EasyLLMError` with its `status_code` raised.
    Other failures are an `OSError` or `TimeoutError`, which are translated. Threads use the client
    concurrently.
    """

    def send(self, request: Request) -> Response:
        """Send a request and read its whole response.

        Args:
            request: The request.

        Returns:
            The response.
        """

    def open(self, request: Request) -> StreamedResponse | Response:
        """Send a request and return when its response begins.

        Args:
            request: The request.

        Returns:
            The response, whose body is still to come; or a whole one.
        """

    def close(self) -> None:
        """Close the client. This package never does: whoever made it closes it."""


class AsyncHTTPClient(Protocol):
    """A client for `http_async_client`; one object may be an `HTTPClient` too."""

    async def asend(self, request: Request) -> Response:
        """Send a request and read its whole response; see `HTTPClient.send`."""

    async def aopen(self, request: Request) -> AsyncStreamedResponse | Response:
        """Send a request and return when its response begins; see `HTTPClient.open`."""

    async def aclose(self) -> None:
        """Close the client. This package never does: whoever made it closes it."""


SYNC, ASYNC = "http_client", "http_async_client"
"""The fields for clients."""

_METHODS = {SYNC: ("send", "open"), ASYNC: ("asend", "aopen")}
_HTTPX = {SYNC: "Client", ASYNC: "AsyncClient"}
_OTHER = {SYNC: ASYNC, ASYNC: SYNC}


def httpx_module(client: object, field: str) -> str | None:
    """Return the module, httpx or httpx2, if the client is the one of it that the field wants."""
    for base in type(client).__mro__:
        module = base.__module__.partition(".")[0]
        if module in {"httpx", "httpx2"} and base.__name__ == _HTTPX[field]:
            return module
    return None


def check_client(client: object, field: str) -> None:
    """Raise a `ConfigurationError` unless an object can be what a field wants."""
    if httpx_module(client, field):
        return
    other = _OTHER[field]
    wanted = (
        f"give an httpx.{_HTTPX[field]}, or an object with the methods "
        f"{' and '.join(_METHODS[field])} of langchain_easyllm.http"
    )
    if isclass(client):
        raise ConfigurationError(f"{field} is the class {client.__name__}: {wanted}.")
    name = type(client).__name__
    missing = _missing(client, field)
    if httpx_module(client, other) or (missing and not _missing(client, other)):
        raise ConfigurationError(f"{field} is of type {name}, which belongs in {other}: {wanted}.")
    if missing:
        raise ConfigurationError(
            f"{field} is of type {name}, which has no method {' and no '.join(missing)}: {wanted}."
        )
    if field == SYNC and any(_is_async(getattr(client, method)) for method in _METHODS[field]):
        raise ConfigurationError(
            f"{field} is of type {name}, whose methods are asynchronous: {wanted}, and give an "
            f"asynchronous client as {other}."
        )


def missing_client(field: str) -> ConfigurationError:
    """The error for a call that needs the client that was not given beside the other one."""
    kind = "a synchronous" if field == SYNC else "an asynchronous"
    return ConfigurationError(
        f"This is {kind} call, and only {_OTHER[field]} was given: give {field} too, "
        f"an httpx.{_HTTPX[field]} for example."
    )


def _is_async(method: object) -> bool:
    return iscoroutinefunction(method) or iscoroutinefunction(getattr(method, "__call__", None))  # noqa: B004 - for objects whose call is a coroutine


def _missing(client: object, field: str) -> list[str]:
    return [name for name in _METHODS[field] if not callable(getattr(client, name, None))]
