"""How an httpx client sends an attempt, and what its exceptions mean. httpx is not imported here.

The client's own are the connection, proxies, TLS, HTTP/2, cookies, event hooks and `auth`; the
bounds on time, the content coding and the meaning of a response are ours.
"""

from __future__ import annotations

import asyncio
import builtins
import re
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from math import inf
from typing import Any, cast

from ..errors import ConfigurationError, ConnectionError, EasyLLMError, ProtocolError, TimeoutError
from .auth import redact
from .client_adapters import Block, Incoming, single_block, time_left, without_default_host
from .client_protocols import ASYNC, SYNC
from .connect import CONNECT_TIMEOUT, time_allowed
from .exchange import Attempt
from .models import parse_url
from .proxies import proxy_for
from .proxy_variables import proxy_variable
from .socket_errors import (
    Phase,
    connection_lost,
    host_of,
    incomplete,
    network_error,
    raise_translated,
    reason_of,
)
from .stream import GRACE

_LOST = re.compile(r"disconnect|clos|terminat|reset|cancel", re.IGNORECASE)
_OTHER_LOOP = re.compile(r"loop is closed|different (?:event )?loop", re.IGNORECASE)

# httpx is not there to be imported, so its objects have no types here.
Httpx = Any


class _Adapter:
    """What both kinds of client share: the request, and the exceptions."""

    _field: str

    def __init__(self, client: Httpx, module: str) -> None:
        self._client = client
        self._module: Httpx = sys.modules[module]

    def _request(self, attempt: Attempt) -> Httpx:
        url, headers = attempt.address.url, without_default_host(attempt)
        left = time_left(attempt)
        connect = CONNECT_TIMEOUT if left is None else min(CONNECT_TIMEOUT, left)
        if not attempt.own_origin:
            # What the client adds by itself is for the host that the caller named.
            timeout = {"connect": connect, "read": left, "write": left, "pool": left}
            return self._module.Request(
                attempt.method,
                url,
                headers=headers,
                content=attempt.body,
                extensions={"timeout": timeout},
            )
        own = str(self._client.headers.get("user-agent", ""))
        ours = headers.get("user-agent", "").startswith("langchain-easyllm/")
        if ours and own and not own.startswith("python-httpx"):
            headers["user-agent"] = own  # the caller has named it
        timeouts = (connect, left, left, left)
        return self._client.build_request(
            attempt.method, url, headers=headers, content=attempt.body, timeout=timeouts
        )

    def _options(self, attempt: Attempt) -> dict[str, object]:
        options: dict[str, object] = {"stream": True, "follow_redirects": False}
        return options | {"auth": None} if not attempt.own_origin else options

    def _head(self, response: Httpx, attempt: Attempt) -> tuple[int, dict[str, str], bytes | None]:
        """Status, headers, and the body if an event hook or a mock has read it already."""
        headers: dict[str, str] = {name.lower(): text for name, text in response.headers.items()}
        if not (response.is_stream_consumed or response.is_closed):
            # Now each silence is limited, not the time until the response.
            limits = response.request.extensions.get("timeout")
            if isinstance(limits, dict):
                limits["read"] = None if attempt.timeout == inf else attempt.timeout
            return response.status_code, headers, None
        headers.pop("content-encoding", None)  # it is decoded
        try:
            body: bytes = response.content
        except self._module.ResponseNotRead:
            body = b""
        return response.status_code, headers, body

    def raise_known(self, exc: BaseException, attempt: Attempt, *, begun: bool) -> None:
        """Raise the error that an exception of httpx means; return if it is none."""
        kinds, url = self._module, attempt.address.url
        if isinstance(exc, kinds.PoolTimeout):
            raise network_error(
                TimeoutError,
                url,
                f"No connection of {self._field} became free within {attempt.timeout:.4g} s. Raise "
                "the client's limits (max_connections), or lower max_concurrency.",
            ) from exc
        if isinstance(exc, kinds.TimeoutException):
            waiting: Phase = "connect" if isinstance(exc, kinds.ConnectTimeout) else "answer"
            if begun and attempt.streaming:
                waiting = "stream"
            late = builtins.TimeoutError()
            late.__cause__ = exc
            raise_translated(late, url, waiting, time_allowed(attempt, waiting))
        if isinstance(exc, kinds.ProxyError):
            raise self._of_proxy(exc, url) from exc
        if isinstance(exc, kinds.NetworkError):
            self._raise_network(exc, url, begun=begun)
        if isinstance(exc, kinds.UnsupportedProtocol | kinds.InvalidURL):
            text = f"{self._field} cannot send to {attempt.address.authority}: {reason_of(exc)}."
            raise ConfigurationError(redact(text)) from exc
        if isinstance(exc, kinds.RemoteProtocolError):
            if _LOST.search(str(exc)):
                raise (incomplete(url) if begun else connection_lost(url)) from exc
            text = f"{attempt.address.authority} does not answer in HTTP ({reason_of(exc)})."
            raise network_error(ProtocolError, url, text) from exc
        if isinstance(exc, kinds.HTTPError):
            text = f"The connection to {attempt.address.authority} failed: {reason_of(exc)}."
            raise network_error(ConnectionError, url, text) from exc
        if isinstance(exc, RuntimeError):
            self._raise_unusable(exc)

    def _of_proxy(self, exc: BaseException, url: str) -> EasyLLMError:
        text = f"The proxy of {self._field} refused to connect to {host_of(url)}: {reason_of(exc)}."
        status = re.match(r"\d{3}\b", str(exc))
        permanent = status is not None and int(status[0]) < 500
        return network_error(ConnectionError, url, text, permanent=permanent)

    def _raise_network(self, exc: BaseException, url: str, *, begun: bool) -> None:
        cause = _os_error(exc)
        if isinstance(exc, self._module.ConnectError):
            if cause is not None:
                self._raise_unconnected(cause, url)
            return
        raise (incomplete(url) if begun else connection_lost(url)) from exc

    def _raise_unconnected(self, cause: OSError, url: str) -> None:
        try:
            raise_translated(cause, url, "connect", 0)
        except ConnectionError as error:
            # Through which proxy a client sends only itself knows.
            if self._client.trust_env and (proxy := proxy_for(parse_url(url))):
                variable = proxy_variable(parse_url(url).scheme)
                error.message += (
                    f" If {self._field} takes the proxy of {variable} ({proxy.address.authority}), "
                    "that may be what cannot be reached."
                )
                error.args = (error.message,)
            raise

    def _raise_unusable(self, exc: RuntimeError) -> None:
        if "has been closed" in str(exc):
            raise ConfigurationError(
                f"{self._field} has been closed: give a client that is open for as long as it "
                "is used."
            ) from exc
        if _OTHER_LOOP.search(str(exc)):
            raise ConfigurationError(
                f"{self._field} was used on another event loop before, and its connections belong "
                "to that one: use one client, and one object of this package, for each loop."
            ) from exc


class HttpxAdapter(_Adapter):
    """Begins responses with an `httpx.Client`."""

    _field = SYNC

    def open(self, attempt: Attempt) -> Incoming[Iterator[Block]]:
        request = self._request(attempt)
        try:
            response = self._client.send(request, **self._options(attempt))
        except self._module.HTTPStatusError as raised:  # by an event hook; the status is ours
            response = raised.response
        status, headers, body = self._head(response, attempt)
        blocks: Iterator[bytes] = response.iter_raw() if body is None else iter((body,))

        def close(complete: bool) -> None:
            if complete and not response.is_closed:
                _read_on(response, blocks)
            else:
                response.close()

        return Incoming(status, headers, blocks, close)


class AsyncHttpxAdapter(_Adapter):
    """Begins responses with an `httpx.AsyncClient`."""

    _field = ASYNC

    async def aopen(self, attempt: Attempt) -> Incoming[AsyncIterator[Block]]:
        request = self._request(attempt)
        try:
            response = await self._client.send(request, **self._options(attempt))
        except self._module.HTTPStatusError as raised:  # by an event hook; the status is ours
            response = raised.response
        status, headers, body = self._head(response, attempt)
        blocks: Httpx = response.aiter_raw() if body is None else single_block(body)

        async def close(complete: bool) -> None:
            try:
                if complete and not response.is_closed:
                    with suppress(Exception):
                        async with asyncio.timeout(GRACE):
                            async for _ in blocks:
                                pass
            finally:
                await blocks.aclose()
                await response.aclose()

        return Incoming(status, headers, blocks, close)


def _read_on(response: Httpx, blocks: Iterator[bytes]) -> None:
    """Read the end of the framing behind the last event, so that the connection can be kept.

    httpx knows no wait shorter than the one that the stream began with. So another thread waits,
    and the connection is shut down if the end does not come.
    """
    if response.http_version != "HTTP/1.1":  # the connection is kept in any case
        response.close()
        return

    def read() -> None:
        with suppress(Exception):
            for _ in blocks:
                pass
        with suppress(Exception):
            response.close()

    network = response.extensions.get("network_stream")
    if network is None:  # nothing that could be waited for
        read()
        return
    thread = threading.Thread(target=read, name="easyllm-http-client", daemon=True)
    thread.start()
    thread.join(GRACE)
    sock = network.get_extra_info("socket")
    if thread.is_alive() and sock is not None:
        with suppress(OSError):
            cast("socket.socket", sock).shutdown(socket.SHUT_RDWR)


def _os_error(exc: BaseException | None) -> OSError | None:
    """The operating system's own error that an exception came from."""
    found = None
    while exc is not None:
        if isinstance(exc, BaseExceptionGroup):
            exc = exc.exceptions[0]
        elif isinstance(exc, OSError):
            found, exc = exc, exc.__cause__  # its context may be what the caller is handling
        else:
            exc = exc.__cause__ or exc.__context__
    return found
