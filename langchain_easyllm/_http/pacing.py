"""When each attempt of a call may be sent: in its turn, and not more often than was asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ..errors import EasyLLMError
from .cold_starts import ColdStartPolls, cold_start, is_starting
from .exchange import Attempt, AttemptResult, Flow
from .future_wait import FutureWait
from .models import Response, RetryPolicy, parse_url
from .request_limit import Turn, request_limit
from .request_rate import own_share, request_rate
from .stream import AsyncClosing, Closing

if TYPE_CHECKING:
    from .client_backend import AsyncClientStream, ClientStream
    from .stream import AsyncEventStream, EventStream

S = TypeVar("S", "EventStream | ClientStream", "AsyncEventStream | AsyncClientStream")


class Pacer:
    """Lets the attempts of one call go when they may.

    The calls of a batch take turns, one of them polls a server that is starting, and `per_second`
    bounds how many attempts there are in a second. The time that is spent waiting is not the call's
    own.
    """

    __slots__ = ("_budget", "_origin", "_per_second", "_polls", "_turn")

    def __init__(self, url: str, policy: RetryPolicy, per_second: float | None) -> None:
        self._origin = parse_url(url).origin
        self._budget = policy.call_budget()
        self._per_second = per_second
        self._turn: Turn | None = None
        self._polls: ColdStartPolls | None = None  # once there is something to wait for
        if policy.batch_retries is not None:
            limit = request_limit(self._origin)
            self._turn = Turn(limit, self._budget, policy.batch_retries)

    def paced(self, flow: Flow) -> Flow:
        """Do the steps of a call; the turn of a stream that it returns is `hold`'s to end."""
        result: AttemptResult | None = None
        self._budget.turn = self._turn
        try:
            if self._turn is not None and is_starting(self._origin) and self._budget.start_left > 0:
                yield from self._wait_for_start(0.0)
            step = next(flow)
            while True:
                if not isinstance(step, Attempt):
                    yield from self._pause(cast("float", step))
                    step = flow.send(None)
                    continue
                outcome = yield from self._attempt(step)
                failed = isinstance(outcome, EasyLLMError)
                step = flow.throw(outcome) if failed else flow.send(outcome)
                if self._turn is not None:
                    self._turn.leave()
        except StopIteration as end:
            result = end.value
        finally:
            flow.close()
            self._budget.turn = None
            if self._polls is not None:
                self._polls.leave(answered=result is not None)
            if self._turn is not None and (result is None or isinstance(result, Response)):
                self._turn.leave()
        return cast("AttemptResult", result)

    def _pause(self, seconds: float) -> Generator[FutureWait | float, None, None]:
        if self._turn is not None and self._budget.is_starting:
            yield from self._wait_for_start(seconds)
            return
        if self._polls is not None:  # it failed for another reason: the model is loading no more
            self._polls.leave(answered=True)
        yield seconds

    def _wait_for_start(self, seconds: float) -> Generator[FutureWait | float, None, None]:
        self._polls = self._polls or ColdStartPolls(cold_start(self._origin))
        yield from self._polls.pause(seconds, self._budget.start_left)
        self._budget.resume()

    def _attempt(self, attempt: Attempt) -> Generator[Any, Any, Any]:
        """Send an attempt when it may be; returns its result, or the error that came instead."""
        began = monotonic()
        turn = self._turn
        if turn is None:
            yield from self._wait_for_moment()
        else:
            yield from turn.take()
            # The others may have been refused meanwhile.
            while (yield from self._wait_for_moment()) and turn.is_too_many():
                turn.leave()
                yield from turn.take()
            turn.begin()
        waited = monotonic() - began
        self._budget.deadline += waited
        try:
            result = yield replace(attempt, deadline=attempt.deadline + waited)
        except EasyLLMError as error:
            return error
        if turn is not None:
            turn.answered = result.status < 500 and result.status != 429
        return result

    def _wait_for_moment(self) -> Generator[float, None, bool]:
        """Wait until the next request may be sent; returns whether that took time."""
        per_second = self._per_second
        if per_second is None:
            return False
        per_second = own_share(per_second)
        rate = request_rate(self._origin)
        moment = rate.reserve(per_second)
        pause = max(moment - monotonic(), 0.0)
        try:
            yield pause
        except BaseException:
            rate.give_back(moment, per_second)
            raise
        return pause > 0

    def hold(self, stream: EventStream | ClientStream) -> PacedStream:
        """Keep the call's turn until a stream ends."""
        return PacedStream(stream, self._turn)

    def ahold(self, stream: AsyncEventStream | AsyncClientStream) -> AsyncPacedStream:
        """Keep the call's turn until a stream ends."""
        return AsyncPacedStream(stream, self._turn)


class _PacedStream(Generic[S]):
    __slots__ = ("_stream", "_turn", "headers", "url")

    def __init__(self, stream: S, turn: Turn | None) -> None:
        self._stream: S = stream
        self._turn: Turn | None = turn
        self.url = stream.url
        self.headers = stream.headers

    def _leave(self) -> None:
        if self._turn is not None:
            self._turn.leave()

    def __del__(self) -> None:
        self._leave()


class PacedStream(_PacedStream["EventStream | ClientStream"], Closing):
    """A stream that has a turn until it ends."""

    __slots__ = ()

    def __iter__(self) -> Iterator[list[bytes]]:
        return iter(self._stream)

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._leave()


class AsyncPacedStream(_PacedStream["AsyncEventStream | AsyncClientStream"], AsyncClosing):
    """A `PacedStream` for `async for` and `async with`."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[list[bytes]]:
        return aiter(self._stream)

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._leave()
