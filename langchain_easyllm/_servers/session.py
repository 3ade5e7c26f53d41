"""One server as the objects of this process share it: sockets, credentials, what is known of it."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar, cast

from .._http.auth import Credentials, environment_token
from .._http.client import HTTPTransport
from .._http.models import Request, Response, RetryPolicy
from ..errors import EasyLLMError
from .detection import UNKNOWN, detect_server
from .profile import Dialect, GenerationApi, ServerInfo
from .urls import ServerURL, is_dedicated_endpoint

if TYPE_CHECKING:
    from .._local.settings import LocalSettings
    from .._local.transport import LocalTransport

__all__ = [
    "Flow",
    "ServerSession",
    "SessionSettings",
    "arun",
    "connect",
    "connect_local",
    "forget_connections",
    "run",
]


A = TypeVar("A")
S = TypeVar("S")
T = TypeVar("T")

LOCAL_BATCH = 32
"""Texts that a local embedding model takes at once: sentence-transformers' own default."""

PROBE_TIMEOUT = 5.0
"""Seconds that finding out which server it is may take."""

ASK_AGAIN = 60.0
"""Seconds after which a server that could not be found out is asked again."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What makes two objects talk to the same server in the same way.

    Attributes:
        address: The server's root.
        api_key: A key given by hand, or None for the environment's or the stored login's.
        headers: Headers of every request.
        verify: Whether, and against what, TLS certificates are checked.
    """

    address: ServerURL
    api_key: str | None
    headers: tuple[tuple[str, str], ...]
    verify: bool | str | ssl.SSLContext

    @property
    def key(self) -> tuple[object, ...]:
        """What the process-wide registry knows this server by."""
        found = self.api_key or environment_token()
        verify = id(self.verify) if isinstance(self.verify, ssl.SSLContext) else self.verify
        place = self.address.root, self.address.query, self.address.router
        return (*place, self.api_key, found, self.headers, verify)


class ServerSession:
    """A server's sockets and what was learned about it. Thread-safe.

    Attributes:
        transport: Sends requests.
        server: Which server it is, or None while nobody asked.
        refused: Ways to ask for a shaped answer that were refused, by model and schema: what one
            schema is refused for, another may not be.
        tasks: Protocols that a model turned out to be served by ("Supported task: ...").
        thinkers: Models that were seen thinking.
        toolless: Models for which the server said that it has no tools.
        root_route: Whether `/generate` is missing and the root route answers instead.
        prompts: Chat templates that were loaded for its models.
        lacking: Protocols and formats of embeddings that it turned out not to have.
    """

    def __init__(
        self,
        address: ServerURL,
        transport: HTTPTransport | LocalTransport,
        server: ServerInfo | None = None,
    ) -> None:
        self.address = address
        self.transport = transport
        self.server = server
        self.refused: dict[tuple[str, int], set[str]] = {}
        self.tasks: dict[str | None, GenerationApi] = {}
        self.thinkers: set[str] = set()
        self.toolless: set[str] = set()
        self.root_route = is_dedicated_endpoint(address.root)
        self.prompts: dict[str, object] = {}
        self.lacking: set[str] = set()
        self._users: weakref.WeakSet[object] = weakref.WeakSet()
        self._asked = 0.0
        self._lock = threading.Lock()
        self._async_locks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            weakref.WeakKeyDictionary()
        )

    def join(self, user: object) -> None:
        """Note one more user of this connection."""
        self._users.add(user)

    def close(self, user: object) -> None:
        """Close the sockets, unless somebody else uses them."""
        self._users.discard(user)
        if not self._users:
            self.transport.close()

    async def aclose(self, user: object) -> None:
        """Close the sockets, unless somebody else uses them."""
        self._users.discard(user)
        if not self._users:
            await self.transport.aclose()

    def ask_server(self, policy: RetryPolicy) -> ServerInfo:
        """Return which server it is; ask it at most once."""
        quick = _quick(policy)
        with self._lock:
            known = self._known()
            if known is None:
                known = run(self._look(), lambda request: self.transport.send(request, quick))
            return known

    async def aask_server(self, policy: RetryPolicy) -> ServerInfo:
        """Return which server it is; ask it at most once."""
        quick = _quick(policy)
        async with self._async_locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            known = self._known()
            if known is None:
                send = self.transport.asend
                known = await arun(self._look(), lambda request: send(request, quick))
            return known

    def was_known(self, moment: float) -> bool:
        """Whether the server was found out before a moment (`time.monotonic`), and not since."""
        return self.server is not None and self._asked < moment

    def forget(self) -> None:
        """Forget which server it is: another one may listen at the address by now."""
        self.server = None
        self.refused.clear()
        self.tasks.clear()
        self.toolless.clear()
        self.lacking.clear()
        self.root_route = is_dedicated_endpoint(self.address.root)

    def _look(self) -> Flow[ServerInfo]:
        look = detect_server()
        try:
            route = next(look)
            while True:
                try:
                    response = yield Request("GET", self.address.url(route))
                except EasyLLMError as error:
                    # An answer that says no is an answer; a server out of reach is none.
                    words = (error.body or "").encode()
                    reply = (error.status_code, words) if error.status_code else None
                else:
                    reply = (response.status, response.body)
                route = look.send(reply)
        except StopIteration as found:
            server = cast("ServerInfo", found.value)
            self._asked, self.server = time.monotonic(), server
            return server

    def _known(self) -> ServerInfo | None:
        server = self.server
        if server is UNKNOWN and time.monotonic() - self._asked > ASK_AGAIN:
            return None
        return server


Flow = Generator[Request, Response, T]
"""Requests to send in turn; receives each answer, or the error that came instead."""


def run(flow: Generator[S, A, T], send: Callable[[S], A]) -> T:
    """Do a flow's steps (requests, say) one after the other and return its result."""
    try:
        step = next(flow)
        while True:
            try:
                answer = send(step)
            except EasyLLMError as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
                del answer  # it may be large, and the next step long
    except StopIteration as end:
        return cast("T", end.value)


async def arun(flow: Generator[S, A, T], send: Callable[[S], Awaitable[A]]) -> T:
    """Do a flow's steps (requests, say) one after the other and return its result."""
    try:
        step = next(flow)
        while True:
            try:
                answer = await send(step)
            except EasyLLMError as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
                del answer  # it may be large, and the next step long
    except StopIteration as end:
        return cast("T", end.value)


def _quick(policy: RetryPolicy) -> RetryPolicy:
    limit = PROBE_TIMEOUT if policy.timeout is None else min(PROBE_TIMEOUT, policy.timeout)
    return replace(policy, timeout=limit, max_retries=0)


_connections: weakref.WeakValueDictionary[tuple[object, ...], ServerSession] = (
    weakref.WeakValueDictionary()
)
_registry_lock = threading.Lock()
# The last few stay open for a while without any object, for objects that are made anew each time.
_recent: deque[ServerSession] = deque(maxlen=4)


def connect(settings: SessionSettings) -> ServerSession:
    """Return this process's connection to a server; objects with equal settings share it.

    A model made anew for every request, as `configurable_fields` makes them, so finds open sockets
    and a known server.
    """
    key = settings.key
    with _registry_lock:
        connection = _connections.get(key)
        if connection is None:
            connection = _connections[key] = ServerSession(settings.address, _transport(settings))
        if connection not in _recent:
            _recent.append(connection)
        return connection


def _transport(settings: SessionSettings) -> HTTPTransport:
    credentials = Credentials(settings.api_key, base_url=settings.address.root)
    return HTTPTransport(credentials, headers=dict(settings.headers), verify=settings.verify)


def connect_local(settings: LocalSettings, *, embeddings: bool = False) -> ServerSession:
    """Return this process's connection to a model in it; it is a server that is known."""
    from .._local.registry import open_embeddings, open_model  # noqa: PLC0415 - if local

    key = (Dialect.LOCAL, embeddings, settings.key)
    with _registry_lock:
        connection = _connections.get(key)
        if connection is None:
            tei = "embedding" if embeddings else None
            server = ServerInfo(Dialect.LOCAL, model=settings.model, max_batch=LOCAL_BATCH, tei=tei)
            opened = open_embeddings(settings) if embeddings else open_model(settings)
            connection = ServerSession(ServerURL("local:"), opened, server)
            _connections[key] = connection
        return connection


def forget_connections() -> None:
    """Share none of the connections so far with objects to come; those in use stay as they are."""
    with _registry_lock:
        _connections.clear()
        _recent.clear()
