"""One server as the objects of this process share it: sockets, credentials, what is known of it."""

from __future__ import annotations

import asyncio
import builtins
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, TypeAlias, cast

from .._http.auth import Credentials, environment_token
from .._http.client import HTTPTransport
from .._http.exchange import arun_flow, run_flow
from .._http.models import Request, Response, RetryPolicy, public_url
from ..errors import EasyLLMError, TimeoutError
from .detection import UNKNOWN, detect_server
from .profile import Dialect, GenerationApi, ServerInfo
from .urls import ServerURL, is_dedicated_endpoint

if TYPE_CHECKING:
    from .._local.settings import LocalSettings
    from .._local.transport import LocalTransport

__all__ = [
    "ServerSession",
    "SessionSettings",
    "connect",
    "connect_local",
    "forget_connections",
]


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
    api_key: str | None = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
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
        self._asked = -inf if server is None else inf
        self._limit = inf
        self._doubted = -inf
        self._looking: _Look | None = None
        self._lock = threading.RLock()  # a look may be cancelled by the garbage collector, anywhere

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

    def ask_server(self, policy: RetryPolicy, since: float = -inf) -> ServerInfo:
        """Return which server it is; ask it at most once after a moment (`time.monotonic`).

        Raises:
            TimeoutError: If the call's time is over while another call asks.
        """
        known = self._known(policy, since)
        if known is None:
            with closing(self._find_out(policy, since, blocking=True)) as flow:
                return run_flow(flow, self._do)
        return known

    async def aask_server(self, policy: RetryPolicy, since: float = -inf) -> ServerInfo:
        """Return which server it is; see `ask_server`."""
        known = self._known(policy, since)
        if known is None:
            with closing(self._find_out(policy, since, blocking=False)) as flow:
                return await arun_flow(flow, self._ado)
        return known

    def forget(self) -> None:
        """Have the next call find out whether another server listens at the address by now."""
        self._doubted = time.monotonic()

    def _do(self, step: _Step) -> Response | None:
        if isinstance(step, _Wait):
            with suppress(builtins.TimeoutError):
                step.look.done.result(step.seconds)
            return None
        return self.transport.send(*step)

    async def _ado(self, step: _Step) -> Response | None:
        if isinstance(step, _Wait):
            with suppress(builtins.TimeoutError):
                await asyncio.wait_for(asyncio.wrap_future(step.look.done), step.seconds)
            return None
        return await self.transport.asend(*step)

    def _find_out(self, policy: RetryPolicy, since: float, *, blocking: bool) -> _LookFlow:
        """Look at the server, or wait for whoever does so already, for the call's own time."""
        policy = policy.begin()
        budget = policy.call_budget()
        deadline = budget.deadline + policy.wait_for_model
        while True:
            limit = _limit(policy)
            with self._lock:
                other = self._looking
                known = self._known(policy, since, meanwhile=other is not None)
                if known is None and (other is None or other.is_over(blocking=blocking)):
                    own = self._looking = _Look(limit + policy.wait_for_model)
                    other = None
            if known is not None:
                break
            if other is None:
                known = yield from self._look(
                    own, RetryPolicy(limit, 0, policy.wait_for_model).begin()
                )
                break
            yield _Wait(other, max(min(deadline, other.until) - time.monotonic(), 0.0))
            if time.monotonic() >= deadline and not other.done.done():
                raise _waited_in_vain(self.address, deadline - budget.started)
        budget.resume()
        return known

    def _look(self, own: _Look, quick: RetryPolicy) -> _LookFlow:
        look = detect_server()
        unsure = False
        try:
            route = next(look)
            while True:
                try:
                    response = yield Request("GET", self.address.url(route)), quick
                except EasyLLMError as error:
                    # An answer that says no is an answer; a server out of reach is none.
                    words = (error.body or "").encode()
                    reply = (error.status_code, words) if error.status_code else None
                    unsure = unsure or reply is None or error.is_retryable
                else:
                    assert response is not None  # noqa: S101 - the drivers answer a request
                    reply = (response.status, response.body)
                route = look.send(reply)
        except StopIteration as found:
            return self._learn(
                cast("ServerInfo", found.value), quick.call_budget().timeout if unsure else inf
            )
        finally:
            # Also where the look was cancelled: somebody else then takes it over.
            with self._lock:
                if self._looking is own:
                    self._looking = None
            own.done.set_result(None)

    def _learn(self, found: ServerInfo, limit: float) -> ServerInfo:
        """Note what a look has found, in so many seconds; infinity if the server answered."""
        with self._lock:
            known = self.server
            if known is None or found is not UNKNOWN or limit == inf:
                if known not in (None, found):
                    self._forget_learned()
                self.server = known = found
            self._asked, self._limit = time.monotonic(), limit
            return known

    def _forget_learned(self) -> None:
        self.refused.clear()
        self.tasks.clear()
        self.thinkers.clear()
        self.toolless.clear()
        self.lacking.clear()
        self.root_route = is_dedicated_endpoint(self.address.root)

    def _known(
        self, policy: RetryPolicy, since: float, *, meanwhile: bool = False
    ) -> ServerInfo | None:
        """Return the server if that is known and new enough.

        Args:
            policy: How long the caller would look.
            since: Moment after which the server must have been asked.
            meanwhile: Whether somebody looks anew just now, until when what was known holds.
        """
        server = self.server
        if server is None or self._asked < since:
            return None
        if meanwhile and server.known:
            return server
        if self._asked < self._doubted:
            return None
        # What a caller in a hurry could not find out, others still may.
        if server is UNKNOWN and (
            time.monotonic() - self._asked > ASK_AGAIN or _limit(policy) > 2 * self._limit
        ):
            return None
        return server


class _Look:
    """A look at a server that is under way."""

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self.done: Future[None] = Future()
        self.done.set_running_or_notify_cancel()  # who waits no longer does not cancel it
        self._thread = threading.get_ident()

    def is_over(self, *, blocking: bool) -> bool:
        """Whether there is nothing to wait for.

        A caller that blocks the event loop which is looking would wait for itself.
        """
        own = blocking and self._thread == threading.get_ident()
        return own or self.done.done() or self.until < time.monotonic()


@dataclass(frozen=True, slots=True)
class _Wait:
    look: _Look
    seconds: float


_Step: TypeAlias = tuple[Request, RetryPolicy] | _Wait
_LookFlow: TypeAlias = Generator[_Step, Response | None, ServerInfo]


def _limit(policy: RetryPolicy) -> float:
    """Seconds for a look: at most half of what a call has left, which still has to be made."""
    left = policy.call_budget().deadline - time.monotonic()
    return min(PROBE_TIMEOUT, max(left / 2, 0.0))


def _waited_in_vain(address: ServerURL, seconds: float) -> TimeoutError:
    url = public_url(address.root)
    return TimeoutError(
        f"Another call is still finding out which server answers at {url}: waited {seconds:.4g} s "
        "for it. Raise timeout, or name api and model, so that nothing need be found out.",
        url=url,
    )


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
