"""Several servers with the same model, as one: a transport and a session in front of theirs.

A call is a flow like any other: it yields what to do (check the replicas, wait for a turn, send to
one of them) and receives the results, so that sync and async share it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar, cast

from .._http.client import ThreadedTransport
from .._http.cold_starts import ColdStartPolls
from .._http.exchange import arun_flow, run_flow
from .._http.models import Request, Response, RetryPolicy, is_dedicated, parse_url
from .._http.request_limit import Turn
from .._http.retries import is_loading
from .._http.stream import AsyncClosing, Closing
from ..errors import (
    ConfigurationError,
    ConnectionError,
    EasyLLMError,
    ModelLoadingError,
    RateLimitError,
    ServerError,
    TimeoutError,
)
from .capabilities import ServerCapabilities
from .detection import UNKNOWN
from .profile import ServerInfo
from .replica_check import CheckFlow, Detections, ReplicaCheck, asked_pause
from .replica_choice import Choice, Replica, ReplicaChoice, prompt_beginning
from .session import NO_HEADERS, SESSIONS, ServerSession, SessionSettings, connect
from .urls import ServerURL

if TYPE_CHECKING:
    from .._http.client import AsyncResponseStream, ResponseStream, Transport
    from .._http.future_wait import FutureWait

S = TypeVar("S", "ResponseStream", "AsyncResponseStream")
E = TypeVar("E")

PREFIX = "prefix"
"""The `balance` by which the same beginning of a prompt goes to the same server."""

_OF_ONE_SERVER = ServerError, ModelLoadingError, ConnectionError, TimeoutError
"""Failures in whose place another replica may answer."""


class ReplicaTransport(Closing, AsyncClosing):
    """A `Transport` that sends each request to one of several servers, and on if that fails."""

    def __init__(self, choice: ReplicaChoice, check: ReplicaCheck, *, by_prompt: bool) -> None:
        self.choice = choice
        self.check = check
        self._by_prompt = by_prompt
        self._transports = {one: one.session.transport for one in choice.replicas}
        self._first = choice.replicas[0].session.url

    def send(self, request: Request, policy: RetryPolicy | None = None) -> Response:
        flow = self._flow(request, policy, streaming=False, blocking=True)
        return cast("Response", run_flow(flow, _run))

    async def asend(self, request: Request, policy: RetryPolicy | None = None) -> Response:
        flow = self._flow(request, policy, streaming=False, blocking=False)
        return cast("Response", await arun_flow(flow, _arun))

    def open(self, request: Request, policy: RetryPolicy | None = None) -> ResponseStream:
        flow = self._flow(request, policy, streaming=True, blocking=True)
        return cast("ResponseStream", run_flow(flow, _run))

    async def aopen(
        self, request: Request, policy: RetryPolicy | None = None
    ) -> AsyncResponseStream:
        flow = self._flow(request, policy, streaming=True, blocking=False)
        return cast("AsyncResponseStream", await arun_flow(flow, _arun))

    def threaded(self) -> Self:
        """Return a transport whose `asend` serves callers that block."""
        other = copy(self)
        other._transports = {  # noqa: SLF001 - of its own class
            one: transport.threaded() if isinstance(transport, ThreadedTransport) else transport
            for one, transport in self._transports.items()
        }
        return other

    def request_for(self, replica: Replica, request: Request) -> Request:
        """Return a request, which was made for the first replica, for another."""
        first, url = self._first, replica.session.url
        return request if url is first else replace(request, url=moved(request.url, first, url))

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()

    def _flow(
        self, request: Request, policy: RetryPolicy | None, *, streaming: bool, blocking: bool
    ) -> _Flow:
        policy = (policy or RetryPolicy(request.timeout, max_retries=0)).begin()
        if self.check.detected == -inf:
            yield from self.check.ensure(policy, request.headers, blocking=blocking)
        prompt = prompt_beginning(request.body) if self._by_prompt else None
        return (yield from _ReplicaCall(self, request, policy, prompt, streaming=streaming).run())

    def transport_of(self, replica: Replica) -> Transport:
        return self._transports[replica]


def moved(url: str, first: ServerURL, other: ServerURL) -> str:
    """Return a route's address on another server than the one that it was made for."""
    route = url.removeprefix(first.root)
    if first.query:
        route = route.removesuffix(f"?{first.query}")
    joint = "&" if "?" in route else "?"
    return f"{other.root}{route}{joint}{other.query}" if other.query else other.root + route


class _ReplicaCall:
    """One call, from replica to replica until one answers."""

    def __init__(
        self,
        transport: ReplicaTransport,
        request: Request,
        policy: RetryPolicy,
        prompt: bytes | None,
        *,
        streaming: bool,
    ) -> None:
        self._transport = transport
        self._choice = transport.choice
        self._request = request
        self._policy = policy
        self._budget = policy.call_budget()
        self._prompt = prompt
        self._streaming = streaming
        self._waits = policy.wait_for_model > 0
        # Whether one that sends nothing leaves time to ask another.
        self._leaves_time = streaming or policy.answers_soon
        self._polls = ColdStartPolls(transport.choice.start)
        self._turns: dict[Replica, Turn] = {}
        # Whether it may be sent to a benched replica: not where one that works has failed it.
        self._insists = True
        # What failed since the last pause, and how long to leave alone those that are busy.
        self._failed: dict[Replica, EasyLLMError] = {}
        self._busy: dict[Replica, tuple[float, EasyLLMError]] = {}

    def run(self) -> _Flow:
        is_one_of_many = self._policy.batch_retries is not None
        try:
            if is_one_of_many and self._waits and self._choice.start.is_under_way():
                yield from self._wait_for_start(0.0)
            result = yield from self._result()
            self._polls.leave(answered=True)
            return result
        finally:
            self._polls.leave(answered=False)

    def _result(self) -> _Flow:
        while True:
            choice = self._choice.choose(
                self._prompt,
                self._excluded,
                insists=self._insists,
                waits=self._waits,
            )
            if choice is None:
                yield from self._pause()
                continue
            self._insists = self._insists and choice.returning and not choice.last_resort
            visit = _ReplicaVisit(self._choice, choice, self._turn(choice.replica))
            result = None
            try:
                result = yield from self._visit(visit)
            except EasyLLMError as error:
                self._go_on(visit, error)
            finally:
                if result is None or not self._streaming:
                    visit.end()
            if result is not None:
                return result

    def _visit(self, visit: _ReplicaVisit) -> Generator[Any, Any, Any]:
        """Send the request to a replica; returns None if that has failed while this one waited."""
        replica, policy = visit.choice.replica, self._policy
        began = monotonic()
        yield from visit.turn.take()
        self._budget.deadline += monotonic() - began
        if replica.is_benched() and not visit.choice.returning:
            return None
        visit.sent = monotonic()
        if not replica.checked:
            yield from self._transport.check.verify(replica, policy, self._request.headers)
            visit.sent = monotonic()
        waits = visit.choice.last_resort
        if waits and is_dedicated(parse_url(replica.root).host):
            self._budget.hold()
        deadline = self._budget.deadline
        if self._leaves_time:
            deadline = self._choice.own_deadline(replica, self._excluded, deadline)
        budget = self._budget.single(deadline)
        before = budget.deadline
        own = RetryPolicy(policy.timeout, 0, policy.wait_for_model if waits else 0.0, None, budget)
        request = self._transport.request_for(replica, self._request)
        step = _SendToReplica(
            self._transport.transport_of(replica), request, own, visit, self._streaming
        )
        visit.turn.begin()
        try:
            result = yield step
        finally:
            if before < inf:
                self._budget.deadline += budget.deadline - before  # what was waited for a rate
        visit.note_answer()
        return result

    @property
    def _excluded(self) -> set[Replica]:
        return {*self._failed, *self._busy}

    def _turn(self, replica: Replica) -> Turn:
        turn = self._turns.get(replica)
        if turn is None:
            retries, limit = self._policy.batch_retries, replica.limit
            if retries is None:
                turn = _UnqueuedTurn(limit, self._budget, 0)
            else:
                turn = Turn(limit, self._budget, retries)
            self._turns[replica] = turn
        return turn

    def _go_on(self, visit: _ReplicaVisit, error: EasyLLMError) -> None:
        """Note that a replica has failed the request; raises an error that is the answer of all."""
        replica = visit.choice.replica
        if isinstance(error, RateLimitError):
            self._choice.note_answer(replica)
            self._refused(visit, error)
        elif visit.note_failure(error, self._policy) or _is_other(replica, error):
            self._failed[replica] = error
        else:
            raise error
        if monotonic() >= self._budget.deadline:
            raise error

    def _refused(self, visit: _ReplicaVisit, error: EasyLLMError) -> None:
        replica = visit.choice.replica
        try:
            pause = visit.turn.pause_after(error, asked_pause(error))
        except EasyLLMError:
            self._failed[replica] = error
        else:
            self._budget.deadline -= pause  # which may not be needed
            self._busy[replica] = pause, error
        if self._policy.on_retry is not None:
            self._policy.on_retry(error, 0.0)

    def _pause(self) -> Generator[FutureWait | float, None, None]:
        """Wait until replicas are asked again that failed; raises the failure if none is."""
        pause = self._next_pause()
        self._insists = True
        if self._budget.is_starting and self._policy.batch_retries is not None:
            yield from self._wait_for_start(pause)
        else:
            self._polls.leave(answered=True)
            yield pause

    def _wait_for_start(self, seconds: float) -> Generator[FutureWait | float, None, None]:
        yield from self._polls.pause(seconds, self._budget.start_left)
        self._budget.resume()

    def _next_pause(self) -> float:
        self._budget.is_starting = False
        if self._busy:
            pause, error = min(self._busy.values(), key=lambda pair: pair[0])
            self._busy.clear()
            self._budget.deadline += pause
            return pause
        error = min(self._failed.values(), key=self._rank)
        of_batch = self._policy.batch_retries is not None
        if of_batch and all(isinstance(one, RateLimitError) for one in self._failed.values()):
            raise error  # each has refused it often enough
        pause = self._budget.pause_after(error, asked_pause(error))
        self._failed.clear()
        if self._policy.on_retry is not None:
            self._policy.on_retry(error, pause)
        return pause

    def _rank(self, error: EasyLLMError) -> tuple[int, float]:
        """Which failure of several stands for all: the one that is the likeliest to pass soon."""
        asked = asked_pause(error) or 0.0
        if is_loading(error):
            return 0, asked
        return (2 if error.status_code is None else 1), asked


class _UnqueuedTurn(Turn):
    """The turn of a call by itself: it counts, and does not wait."""

    __slots__ = ()

    def take(self) -> Generator[FutureWait, None, None]:
        self._limit.enter()
        self.held, self.sent, self.answered = True, False, False
        return
        yield

    def pause_after(self, refusal: EasyLLMError, retry_after: float | None) -> float:  # noqa: ARG002
        self._limit.refuse(self._began)
        raise refusal


class _ReplicaVisit:
    """One request at one replica, until it, or its stream, has ended."""

    def __init__(self, choices: ReplicaChoice, choice: Choice, turn: Turn) -> None:
        self.choice = choice
        self.turn = turn
        self.sent = inf
        self._choices = choices
        self._over = False

    def note_answer(self) -> None:
        self.turn.answered = True
        self._choices.note_answer(self.choice.replica)
        self.sent = monotonic()  # what fails from now on is another failure

    def note_failure(self, error: EasyLLMError, policy: RetryPolicy | None = None) -> bool:
        """Bench the replica for an error, unless this is the answer of all; return whether."""
        if not isinstance(error, _OF_ONE_SERVER) or error.status_code == 407:
            if error.status_code is not None:
                self.note_answer()
            return False
        if policy is not None and policy.on_retry is not None:
            policy.on_retry(error, 0.0)
        replica, loading = self.choice.replica, is_loading(error)
        self._choices.note_failure(replica, self.sent, loading=loading)
        return True

    def end(self) -> None:
        if not self._over:
            self._over = True
            self.turn.leave()
            self._choices.leave(self.choice)


def _is_other(replica: Replica, error: EasyLLMError) -> bool:
    """Whether a replica was found to have another model than the others, and others may have it."""
    return isinstance(error, ConfigurationError) and replica.is_benched()


@dataclass(slots=True)
class _SendToReplica:
    """Send a request to one replica: a stream is open once its first piece is here."""

    transport: Transport
    request: Request
    policy: RetryPolicy
    visit: _ReplicaVisit
    streaming: bool

    def run(self) -> Response | ReplicaStream:
        if not self.streaming:
            return self.transport.send(self.request, self.policy)
        stream = self.transport.open(self.request, self.policy)
        try:
            events = iter(stream)
            return ReplicaStream(stream, events, next(events, None), self.visit)
        except BaseException:
            stream.close()
            raise

    async def arun(self) -> Response | AsyncReplicaStream:
        if not self.streaming:
            return await self.transport.asend(self.request, self.policy)
        stream = await self.transport.aopen(self.request, self.policy)
        try:
            events = aiter(stream)
            return AsyncReplicaStream(stream, events, await anext(events, None), self.visit)
        except BaseException:
            await stream.aclose()
            raise


_Flow: TypeAlias = Generator["_SendToReplica | Detections | FutureWait | float", Any, object]


def _run(step: _SendToReplica | Detections) -> object:
    return step.run()


async def _arun(step: _SendToReplica | Detections) -> object:
    return await step.arun()


class _ReplicaStream(Generic[S, E]):
    """A streamed response of which the first events are here."""

    __slots__ = ("_events", "_first", "_stream", "_visit", "headers", "url")

    def __init__(
        self, stream: S, events: E, first: list[bytes] | None, visit: _ReplicaVisit
    ) -> None:
        self._stream: S = stream
        self._events: E = events
        self._first = first
        self._visit = visit
        self.url = stream.url
        self.headers = stream.headers

    def __del__(self) -> None:
        self._visit.end()


class ReplicaStream(_ReplicaStream["ResponseStream", Iterator[list[bytes]]], Closing):
    """A stream from a replica."""

    __slots__ = ()

    def __iter__(self) -> Iterator[list[bytes]]:
        first, self._first = self._first, None
        try:
            if first is not None:
                yield first
            yield from self._events
        except EasyLLMError as error:
            self._visit.note_failure(error)
            raise

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._visit.end()


class AsyncReplicaStream(
    _ReplicaStream["AsyncResponseStream", AsyncIterator[list[bytes]]], AsyncClosing
):
    """A `ReplicaStream` for `async for` and `async with`."""

    __slots__ = ()

    async def __aiter__(self) -> AsyncIterator[list[bytes]]:
        first, self._first = self._first, None
        try:
            if first is not None:
                yield first
            async for events in self._events:
                yield events
        except EasyLLMError as error:
            self._visit.note_failure(error)
            raise

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._visit.end()


class ReplicaSession(ServerSession):
    """The session with several servers: each has its own, and they count as one."""

    transport: ReplicaTransport

    def __init__(self, sessions: Sequence[ServerSession], settings: SessionSettings) -> None:
        choice = ReplicaChoice([Replica(session) for session in sessions])
        check = ReplicaCheck(choice, settings.model)
        by_prompt = settings.balance == PREFIX
        transport = ReplicaTransport(choice, check, by_prompt=by_prompt)
        super().__init__(settings.url, transport)
        self._sessions = sessions

    def join(self, user: object) -> None:
        super().join(user)
        for session in self._sessions:
            session.join(self)

    def close(self, user: object) -> None:
        """Close the sockets, unless another object uses them."""
        if self._is_last(user):
            for session in self._sessions:
                session.close(self)

    async def aclose(self, user: object) -> None:
        if self._is_last(user):
            for session in self._sessions:
                await session.aclose(self)

    def detect(
        self, policy: RetryPolicy, since: float = -inf, headers: Mapping[str, str] = NO_HEADERS
    ) -> ServerInfo:
        if known := self._since(since):
            return known
        return run_flow(self._check(policy, since, headers, blocking=True), _run)

    async def adetect(
        self, policy: RetryPolicy, since: float = -inf, headers: Mapping[str, str] = NO_HEADERS
    ) -> ServerInfo:
        if known := self._since(since):
            return known
        return await arun_flow(self._check(policy, since, headers, blocking=False), _arun)

    def note_use(self, protocol: str, model: str | None) -> None:
        for session in self._sessions:
            session.note_use(protocol, model)

    def recheck(self) -> None:
        self.transport.check.forget()

    def _since(self, moment: float) -> ServerInfo | None:
        """Return what the servers are if it is known, and was found out after a moment."""
        check, server = self.transport.check, self.server
        if server is None or server is not check.server or not server.known:
            return None
        return None if check.detected < moment or check.detected == -inf else server

    def _check(
        self, policy: RetryPolicy, since: float, headers: Mapping[str, str], *, blocking: bool
    ) -> CheckFlow[ServerInfo]:
        check = self.transport.check
        found = yield from check.ensure(policy.begin(), headers, since, blocking=blocking)
        with self._lock:
            if self.server not in (None, UNKNOWN, found):
                self.capabilities = ServerCapabilities(root_route=self.url.is_dedicated)
                self.templates = {}
            self.server = found
        return found


def connect_replicas(settings: SessionSettings) -> ServerSession:
    """Return this process's session with several servers; objects with equal settings share it."""
    common = replace(settings, replicas=(), balance="", model=None)
    sessions = [
        connect(replace(common, url=url, api_key=key), keep=False) for url, key in settings.replicas
    ]
    return SESSIONS.share(settings.key, lambda: ReplicaSession(sessions, settings), keep=True)
