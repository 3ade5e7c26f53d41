"""The asynchronous shell: one aiohttp session per event loop.

A session belongs to the loop it was opened on and ends with it. A suspended async generator that
the loop knows is the hook: `asyncio.run` closes such generators while the loop still runs, and
its `finally` closes the session. Loops that end in other ways leave the sockets to `abandon`.
"""

from __future__ import annotations

import asyncio
import atexit
import builtins
import io
import os
import select
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import lru_cache
from math import inf
from time import monotonic
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from ..errors import EasyLLMError
from .addresses import public_url
from .async_streams import AsyncEventStream, drop
from .blocking import CONNECT_TIMEOUT, IDLE_SECONDS
from .bodies import plain_body
from .flow import Attempt
from .messages import Response
from .proxies import Proxy, proxy_for
from .tls import Verify, context_for
from .translation import Phase, error_from_exception, out_of_time

__all__ = ["LoopSession", "Sessions"]

READ_SIZE = 256 * 1024
LARGE_BODY = 1024 * 1024

OPENING = 64
"""Connections to one server that are opened at once.

The number of open ones has no bound but the process's own, so that streams never starve another
request; yet a burst takes over connections that become free while it queues. 1,000 requests at
once on a fast server: 0.25 s, against 0.5 s when each opens its own and 0.2 s with a bound of 256
in all, which on a server that needs 50 ms costs a tenth more.
"""

# Sessions that are open; strong references, for a session that is collected complains aloud.
_live: set[LoopSession] = set()
_graveyard: list[LoopSession] = []
_connected: ContextVar[list[bool] | None] = ContextVar("connected", default=None)


class _Connector(aiohttp.TCPConnector):
    """Checks idle connections before they are used, and notes when one is there.

    A loop that was busy elsewhere has not yet seen that the server closed a connection; asking
    the socket itself saves the request from being lost on it.
    """

    def __init__(self) -> None:
        super().__init__(
            limit=_most_connections(),
            keepalive_timeout=IDLE_SECONDS,
            resolver=aiohttp.ThreadedResolver(),
        )
        # A protocol forgets its transport when it closes, but the socket may live on.
        self.transports: WeakKeyDictionary[ResponseHandler, asyncio.Transport] = WeakKeyDictionary()
        self._gates: dict[ConnectionKey, asyncio.Semaphore] = {}

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> Connection:
        gate = self._gates.setdefault(req.connection_key, asyncio.Semaphore(OPENING))
        while True:
            async with gate:
                connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or protocol not in self.transports:
                break
            # What came behind the last answer would be taken for the next one.
            if not (protocol.should_close or _readable(connection)):
                break
            connection.close()
        if protocol is not None and protocol.transport is not None:
            self.transports[protocol] = protocol.transport
        if (connected := _connected.get()) is not None:
            connected.append(True)
        return connection

    def __del__(self, _warnings: object = None) -> None:
        """Say nothing: `LoopSession` closes the sockets of loops that are gone."""


class LoopSession:
    """The aiohttp session of one event loop.

    Args:
        on_end: Called when the session is closed.

    Attributes:
        loop: The loop it belongs to.
        client: The aiohttp session.
        responses: Answers that are being streamed.
    """

    def __init__(self, on_end: Callable[[LoopSession], None]) -> None:
        self.loop = asyncio.get_running_loop()
        self.pid = os.getpid()
        self.responses: set[aiohttp.ClientResponse] = set()
        self._on_end = on_end
        self._connector = _Connector()
        self.client = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=READ_SIZE,
            trust_env=False,
        )
        self._keeper = self._keep()

    async def start(self) -> None:
        """Register with the loop, so that its end closes the session."""
        for session in tuple(_live):
            if session.pid != self.pid or session.loop.is_closed():
                session.retire()
        _live.add(self)
        await anext(self._keeper)

    async def close(self) -> None:
        """Close all connections; to be awaited on the session's own loop."""
        if self in _live:
            try:
                await self._shut()
            finally:
                _finish(self._keeper.aclose())

    def check(self) -> None:
        """Raise if the session was closed meanwhile."""
        if self.client.closed:
            raise aiohttp.ClientConnectionError("the transport was closed")

    def retire(self) -> None:
        """Close from any thread, whatever has become of the loop."""
        if self.pid != os.getpid():
            # The sockets and the loop are the parent's: only forget them.
            _live.discard(self)
            _graveyard.append(self)
        elif self.loop.is_closed():
            self._abandon()
        else:
            with suppress(RuntimeError):  # the loop may end at this moment
                self.loop.call_soon_threadsafe(self._start_closing)

    async def _keep(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            if self in _live:
                await self._shut()
                await asyncio.sleep(0)

    async def _shut(self) -> None:
        _live.discard(self)
        self._on_end(self)
        self._hang_up()
        await self.client.close()

    def _hang_up(self) -> None:
        """Begin to close everything: each socket is closed a turn or two of the loop later."""
        for response in tuple(self.responses):
            response.close()
        if self.loop.is_closed():
            return
        for protocol, transport in tuple(self._connector.transports.items()):
            protocol.close()
            # A polite end of TLS waits for the server, maybe longer than the loop runs.
            transport.abort()

    def _start_closing(self, turns: int = 4) -> None:
        """Close without a task, which a loop that stops at this moment would leave pending."""
        self._hang_up()
        # Some turns of the loop later the sockets are closed, and there is nothing to wait for.
        if turns:
            self.loop.call_soon(self._start_closing, turns - 1)
        else:
            _finish(self.close())

    def _abandon(self) -> None:
        """Close the sockets of a closed loop, on which nothing can be awaited."""
        transports = list(self._connector.transports.values())
        connections = [response.connection for response in self.responses]
        _finish(self._shut())
        for connection in connections:
            if connection is not None:
                connection.close()
        for transport in transports:
            _discard(transport)


class Sessions:
    """The sessions of one transport, one for each event loop that used it.

    Args:
        verify: Which TLS certificates to accept.
    """

    def __init__(self, verify: Verify) -> None:
        self._verify = verify
        self._sessions: dict[asyncio.AbstractEventLoop, LoopSession] = {}
        self._proxies: dict[tuple[str, str, int], Proxy | None] = {}

    async def attempt(self, step: Attempt) -> Response | AsyncEventStream:
        """Make one attempt on the running loop.

        Args:
            step: What to send, and until when.

        Raises:
            EasyLLMError: If there is no answer.
        """
        url = step.address.url
        connected: list[bool] = []
        token = _connected.set(connected)
        try:
            left = step.deadline - monotonic()
            async with asyncio.timeout(None if left == inf else left):
                return await self._converse(step)
        except EasyLLMError as error:
            error.url = error.url or public_url(url)
            raise
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as exc:
            phase: Phase = "answer" if connected else "connect"
            if isinstance(exc, builtins.TimeoutError):
                late = connected or monotonic() >= step.deadline
                bound = step.timeout if late else min(step.timeout, CONNECT_TIMEOUT)
                raise out_of_time(url, phase, bound) from exc
            raise error_from_exception(exc, url, phase) from exc
        finally:
            _connected.reset(token)

    async def aclose(self) -> None:
        """Close the running loop's session at once, and have the others closed."""
        self._proxies.clear()
        session = self._sessions.get(asyncio.get_running_loop())
        if session is not None:
            await session.close()
        self.close()

    def close(self) -> None:
        """Have all sessions closed, each on its own loop."""
        self._proxies.clear()
        for session in tuple(self._sessions.values()):
            self._sessions.pop(session.loop, None)
            session.retire()

    async def _session(self) -> LoopSession:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or session.pid != os.getpid():
            session = self._sessions[loop] = LoopSession(self._forget)
            await session.start()
            for other in tuple(self._sessions):
                if other.is_closed():
                    self._sessions.pop(other, None)
        return session

    def _forget(self, session: LoopSession) -> None:
        if self._sessions.get(session.loop) is session:
            del self._sessions[session.loop]

    async def _converse(self, step: Attempt) -> Response | AsyncEventStream:
        session = await self._session()
        address = step.address
        proxy, headers, proxy_headers = self._route(step)
        response = await session.client.request(
            step.method,
            _yarl(address.url),
            data=_payload(step.body),
            headers=headers,
            allow_redirects=False,
            ssl=context_for(self._verify) if address.scheme == "https" else True,
            proxy=proxy,
            proxy_headers=proxy_headers,
            timeout=_limits(min(step.timeout, CONNECT_TIMEOUT)),
        )
        # A reader that `close` meets would wait for ever: aiohttp forgets to wake it, so we do.
        session.responses.add(response)
        try:
            session.check()
            answer_headers = _headers(response)
            if step.streaming and 200 <= response.status < 300:
                return AsyncEventStream(session, response, answer_headers, step)
            body = await response.read()
            session.responses.discard(response)
        except BaseException:
            drop(session.responses, response)
            raise
        plain = plain_body(answer_headers, body)
        return Response(response.status, answer_headers, plain, address.url)

    def _route(self, step: Attempt) -> tuple[URL | None, dict[str, str], dict[str, str] | None]:
        address = step.address
        try:
            proxy = self._proxies[address.origin]
        except KeyError:
            proxy = self._proxies[address.origin] = proxy_for(address)
        headers = dict(step.headers)
        if proxy is None:
            return None, headers, None
        secret = {"proxy-authorization": proxy.authorization} if proxy.authorization else {}
        url = _yarl(proxy.address.url)
        # With https the proxy sees only CONNECT; with http the request itself is the proxy's.
        return (url, headers, secret) if address.scheme == "https" else (url, headers | secret, {})


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for spelled, value in response.headers.items():
        name = spelled.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    # aiohttp warns about large bodies given as bytes
    return io.BytesIO(body) if body is not None and len(body) > LARGE_BODY else body


@lru_cache(maxsize=64)
def _limits(connect: float) -> aiohttp.ClientTimeout:
    # The whole is bounded by the attempt's own deadline.
    return aiohttp.ClientTimeout(total=None, sock_connect=None if connect == inf else connect)


@lru_cache(maxsize=1024)
def _yarl(url: str) -> URL:
    return URL(url, encoded=True)


def _most_connections() -> int:
    """Connections that fit beside the process's other files; 0 where there is no bound."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return 0
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if limit == resource.RLIM_INFINITY else max(limit * 3 // 4, 16)


def _readable(connection: Connection) -> bool:
    transport = connection.transport
    sock = transport and transport.get_extra_info("socket")
    if not sock or not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


@atexit.register
def _close_all() -> None:
    """Close what is open at exit, while its loop may still be there to do it."""
    for session in tuple(_live):
        loop = session.loop
        if session.pid != os.getpid() or loop.is_closed():
            session.retire()
        elif loop.is_running():
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(session.close(), loop).result(1)
        else:
            loop.run_until_complete(session.close())


def _finish(coroutine: object) -> None:
    """Run a coroutine that has nothing to wait for."""
    with suppress(StopIteration):
        coroutine.send(None)  # type: ignore[attr-defined]


def _discard(transport: object) -> None:
    """Close a transport of a closed loop, whose own `close` would need the loop."""
    secure = getattr(transport, "_ssl_protocol", None)
    if secure is not None:
        transport._closed = True  # type: ignore[attr-defined]  # noqa: SLF001
        _discard(getattr(secure, "_transport", None))
    sock = getattr(transport, "_sock", None)
    if sock is not None:
        sock.close()
        transport._sock = None  # type: ignore[attr-defined]  # noqa: SLF001
