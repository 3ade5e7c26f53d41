"""One server as the objects of this process share it: sockets, credentials, what is known of it."""

from __future__ import annotations

import logging
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from .._http.auth import Credentials, Secret, environment_token, redact
from .._http.client import HTTPTransport, Transport
from .._http.exchange import arun_flow, run_flow
from .._http.future_wait import FutureWait
from .._http.models import (
    DEFAULT_LIMITS,
    Request,
    Response,
    ResponseLimits,
    RetryPolicy,
    public_url,
)
from .._http.proxy_variables import proxy_settings
from ..errors import (
    AuthenticationError,
    ConfigurationError,
    EasyLLMError,
    ModelLoadingError,
    TimeoutError,
)
from .capabilities import ServerCapabilities
from .detection import UNKNOWN, detect_server, reply_of
from .profile import ServerInfo
from .urls import ServerURL

if TYPE_CHECKING:
    from .._http.user_functions import UserFunction
    from ..prompts.base import ChatPrompt

DETECTION_TIMEOUT = 5.0
"""Seconds that a detection may take."""

DETECT_AGAIN = 60.0
"""Seconds after which a server that was not detected is detected once more."""

_MOST_NAMES = 8
"""Names in answers of one server, after which a new one says nothing more."""

NO_HEADERS: Mapping[str, str] = {}

logger = logging.getLogger("langchain_easyllm.servers")


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What objects have in common that share a session."""

    url: ServerURL
    # a key given by hand, or its function, or None for the environment's or the stored login's
    api_key: str | UserFunction | None = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)  # headers of every request
    verify: bool | str | ssl.SSLContext  # whether, and against what, TLS certificates are checked
    bill_to: str | None = None  # the Hub organisation that pays
    request_hook: UserFunction | None = None  # what adds headers to each attempt
    http_client: object = field(default=None, repr=False)  # in place of own connections
    http_async_client: object = field(default=None, repr=False)
    limits: ResponseLimits = DEFAULT_LIMITS
    requests_per_second: float | None = None
    key_left_behind: bool = False  # whether a pickle had no room for the key that there was
    # where several servers have the same model: each, `url` being the first, and its key
    replicas: tuple[tuple[ServerURL, str | UserFunction | None], ...] = field(
        default=(), repr=False
    )
    balance: str = ""  # how requests are distributed among them
    model: str | None = None  # the model that all of them must have

    @property
    def key(self) -> tuple[object, ...]:
        """What the process-wide registry knows this server by."""
        given = Secret(self.api_key) if isinstance(self.api_key, str) else self.api_key
        found = given or Secret(environment_token() or "")
        headers = tuple((name, Secret(value)) for name, value in self.headers)
        verify = id(self.verify) if isinstance(self.verify, ssl.SSLContext) else self.verify
        address = self.url.root, self.url.adds_v1, self.url.query, self.url.router
        server = headers, verify, self.bill_to, self.request_hook
        bounds = self.limits, self.requests_per_second, self.key_left_behind
        # A session keeps its clients alive, so no other object has their ids meanwhile.
        clients = id(self.http_client), id(self.http_async_client)
        several = tuple(
            (url.root, url.query, Secret(key) if isinstance(key, str) else key)
            for url, key in self.replicas
        )
        # Sockets go through the proxies that were named when a server's first object was made.
        proxies = tuple(Secret(value) if value else value for value in proxy_settings())
        rest = several, self.balance, self.model, proxies
        return (*address, given, found, *server, *bounds, *clients, *rest)


class ServerSession:
    """A server's sockets and what is known of it. Thread-safe."""

    def __init__(
        self,
        url: ServerURL,
        transport: Transport,
        server: ServerInfo | None = None,
    ) -> None:
        self.url = url
        self.transport = transport
        self.server = server  # which server it is, or None while nobody needed to know
        # why the last detection got no answer; None if it got one
        self.failure: EasyLLMError | None = None
        # by which name it answered last where the caller had named no model
        self.answered_model: str | None = None
        self.capabilities = ServerCapabilities(root_route=url.is_dedicated)
        self.templates: dict[str, Future[ChatPrompt]] = {}
        self._logged: set[str] = set()  # the protocols that the log has named
        self._users: weakref.WeakSet[object] = weakref.WeakSet()
        self._detected = -inf if server is None else inf
        self._limit = inf
        self._recheck_since = -inf
        self._detecting: DetectionUnderWay | None = None
        # A detection may be cancelled by the garbage collector, anywhere.
        self._lock = threading.RLock()

    def join(self, user: object) -> None:
        with self._lock:
            self._users.add(user)

    def close(self, user: object) -> None:
        """Close the sockets, unless another object uses them."""
        if self._is_last(user):
            self.transport.close()

    async def aclose(self, user: object) -> None:
        if self._is_last(user):
            await self.transport.aclose()

    def _is_last(self, user: object) -> bool:
        with self._lock:
            self._users.discard(user)
            return not self._users

    def detect(
        self, policy: RetryPolicy, since: float = -inf, headers: Mapping[str, str] = NO_HEADERS
    ) -> ServerInfo:
        """Return which server it is, as detected `since` a moment (`time.monotonic`).

        `headers` are the call's own: a gateway may let nobody in without them.
        """
        known = self._known(policy, since)
        if known is None:
            flow = self._detect_or_wait(policy, since, headers, blocking=True)
            return run_flow(flow, self._run)
        return known

    async def adetect(
        self, policy: RetryPolicy, since: float = -inf, headers: Mapping[str, str] = NO_HEADERS
    ) -> ServerInfo:
        known = self._known(policy, since)
        if known is None:
            flow = self._detect_or_wait(policy, since, headers, blocking=False)
            return await arun_flow(flow, self._arun)
        return known

    def recheck(self) -> None:
        """Have the next call find out whether another server listens at the address by now."""
        self._recheck_since = time.monotonic()

    def note_model(self, listed: str, answered: str | None) -> None:
        """Have the server asked again if it answers by a name that it does not list.

        By now it may have another model. Names that are only aliases cost a few requests once.
        """
        known = self.capabilities.answered_names
        if answered in (None, listed) or answered in known or len(known) >= _MOST_NAMES:
            return
        known.add(answered)
        self.recheck()

    def note_use(self, protocol: str, model: str | None) -> None:
        """Have the log say, once, what is spoken with which server."""
        if protocol in self._logged:
            return
        self._logged.add(protocol)
        server = self.server
        if server is None:
            found = "used without detection"
        else:
            found = str(server.profile) if server.known else "an unknown server"
        named = model or (server.model if server else None)
        shown = redact(public_url(self.url.root))
        logger.info("%s is %s, model %s, protocol %s", shown, found, named or "unknown", protocol)

    def _run(self, step: _DetectionRequest) -> Response:
        return self.transport.send(step.request, step.policy)

    async def _arun(self, step: _DetectionRequest) -> Response:
        return await self.transport.asend(step.request, step.policy)

    def _detect_or_wait(
        self, policy: RetryPolicy, since: float, headers: Mapping[str, str], *, blocking: bool
    ) -> _DetectionFlow:
        """Detect the server, or wait for a detection under way, for the call's own time."""
        policy = policy.begin()
        budget = policy.call_budget()
        deadline = budget.deadline + policy.wait_for_model
        while True:
            limit = _time_limit(policy)
            with self._lock:
                other = self._detecting
                known = self._known(policy, since, meanwhile=other is not None)
                if known is None and (other is None or other.is_over(blocking=blocking)):
                    own = self._detecting = DetectionUnderWay(limit + policy.wait_for_model)
                    other = None
            if known is not None:
                break
            if other is None:
                known = yield from self._detect(own, _within(limit, policy), headers)
                break
            seconds = max(min(deadline, other.until) - time.monotonic(), 0.0)
            yield FutureWait(other.done, seconds)
            if time.monotonic() >= deadline and not other.done.done():
                raise _waited_too_long(self.url, deadline - budget.started)
        budget.resume()
        return known

    def _detect(
        self, own: DetectionUnderWay, quick: RetryPolicy, headers: Mapping[str, str]
    ) -> _DetectionFlow:
        detection = detect_server(self.url)
        unsure = False
        failure: EasyLLMError | None = None
        try:
            route = next(detection)
            while True:
                try:
                    request = Request("GET", self.url.url(route), headers=headers)
                    response = yield _DetectionRequest(request, quick)
                except EasyLLMError as error:
                    not_sent = isinstance(error, AuthenticationError | ConfigurationError)
                    if not_sent and error.status_code is None:
                        raise  # the user's own function failed: that says nothing of the server
                    reply = reply_of(error)
                    unsure = unsure or reply is None or error.is_retryable
                    if reply is None or isinstance(error, ModelLoadingError):
                        failure = error
                else:
                    assert response is not None  # noqa: S101 - the drivers answer a request
                    reply = (response.status, response.body)
                route = detection.send(reply)
        except StopIteration as found:
            limit = quick.call_budget().timeout if unsure else inf
            return self._learn(cast("ServerInfo", found.value), limit, failure)
        finally:
            # Also where the detection was cancelled: another call then takes it over.
            with self._lock:
                if self._detecting is own:
                    self._detecting = None
            own.done.set_result(None)

    def _learn(self, found: ServerInfo, limit: float, failure: EasyLLMError | None) -> ServerInfo:
        """Note what was detected within so many seconds; infinity if the server answered."""
        with self._lock:
            known = self.server
            if known is None or found is not UNKNOWN or limit == inf:
                if known not in (None, found):
                    self.capabilities = ServerCapabilities(root_route=self.url.is_dedicated)
                    self.templates = {}  # one may have come from the server
                    self._logged.clear()
                self.server = known = found
            self.failure = failure if found is UNKNOWN else None
            self._detected, self._limit = time.monotonic(), limit
            return known

    def _known(
        self, policy: RetryPolicy, since: float, *, meanwhile: bool = False
    ) -> ServerInfo | None:
        """Return the server if it is known and new enough; `meanwhile`, another call detects."""
        server = self.server
        if server is None or self._detected < since:
            return None
        if meanwhile and server.known:
            return server
        if self._detected < self._recheck_since:
            return None
        # What a caller in a hurry could not find out, others still may.
        if server is UNKNOWN and (
            time.monotonic() - self._detected > DETECT_AGAIN
            or _time_limit(policy) > 2 * self._limit
        ):
            return None
        return server


class DetectionUnderWay:
    """A detection that a call makes, for so many seconds at most, and others wait for.

    Attributes:
        until: When it is to be over (`time.monotonic`).
        done: Done when it is over, however it ended.
    """

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self.done: Future[None] = Future()
        self.done.set_running_or_notify_cancel()  # who waits no longer does not cancel it
        self._thread = threading.get_ident()

    def is_over(self, *, blocking: bool) -> bool:
        """Whether there is nothing to wait for.

        A caller that blocks the event loop which detects would wait for itself.
        """
        own = blocking and self._thread == threading.get_ident()
        return own or self.done.done() or self.until < time.monotonic()


class _DetectionRequest(NamedTuple):
    request: Request
    policy: RetryPolicy


_DetectionFlow: TypeAlias = Generator["_DetectionRequest | FutureWait", Response | None, ServerInfo]


def _time_limit(policy: RetryPolicy) -> float:
    """Seconds for a detection: at most half of what a call has left, which still has to be made."""
    left = policy.call_budget().deadline - time.monotonic()
    return min(DETECTION_TIMEOUT, max(left / 2, 0.0))


def _within(seconds: float, policy: RetryPolicy) -> RetryPolicy:
    return RetryPolicy(seconds, 0, policy.wait_for_model).begin()


def quick_policy(policy: RetryPolicy) -> RetryPolicy:
    """Return the policy of a question about the server, which must not cost the call its time."""
    return _within(_time_limit(policy), policy)


def _waited_too_long(url: ServerURL, seconds: float) -> TimeoutError:
    shown = public_url(url.root)
    return TimeoutError(
        f"Another call is still finding out which server answers at {shown}: waited "
        f"{seconds:.4g} s for it. Raise timeout, or name api and model, so that nothing need be "
        "found out.",
        url=shown,
    )


class _Sessions:
    """The sessions of this process; objects that name the same server share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: weakref.WeakValueDictionary[tuple[object, ...], ServerSession] = (
            weakref.WeakValueDictionary()
        )
        # The last few stay without any object, for objects that are made anew each time.
        self._recent: deque[ServerSession] = deque(maxlen=4)

    def share(
        self, key: tuple[object, ...], open_session: Callable[[], ServerSession], *, keep: bool
    ) -> ServerSession:
        with self._lock:
            session = self._known.get(key)
            if session is None:
                session = self._known[key] = open_session()
            if keep and session not in self._recent:
                self._recent.append(session)
            return session

    def forget(self) -> None:
        """Give later objects new sessions; objects that hold one keep it."""
        with self._lock:
            self._known.clear()
            self._recent.clear()


SESSIONS = _Sessions()


def connect(settings: SessionSettings, *, keep: bool = True) -> ServerSession:
    """Return this process's session with a server; objects with equal settings share it.

    A model made anew for every request, as `configurable_fields` makes them, so finds open sockets
    and a known server.
    """

    def open_session() -> ServerSession:
        credentials = Credentials(
            settings.api_key, base_url=settings.url.root, left_behind=settings.key_left_behind
        )
        headers = dict(settings.headers)
        transport = HTTPTransport(
            credentials,
            headers=headers,
            bill_to=settings.bill_to,
            verify=settings.verify,
            limits=settings.limits,
            requests_per_second=settings.requests_per_second,
            request_hook=settings.request_hook,
            http_client=settings.http_client,
            http_async_client=settings.http_async_client,
        )
        return ServerSession(settings.url, transport)

    return SESSIONS.share(settings.key, open_session, keep=keep)
