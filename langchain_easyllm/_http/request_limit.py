"""One limit per server and process on the requests of batches: refusals lower it, answers raise it.

A server has so many slots, and nobody knows how many. The limit begins at infinity and is lowered
by each refusal (429), to half at most of what was in flight together; answers raise it by one a
round, as in TCP's congestion avoidance (RFC 5681), more slowly soon after a refusal. Whoever is
over it waits for a turn, in the order of arrival. Calls by themselves neither wait nor count.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from ..errors import EasyLLMError
from .event_loop import loop_of_thread
from .future_wait import FutureWait
from .retries import Backoff, CallBudget

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

MOST_REFUSALS = 32
"""After so many, a call is refused for what it asks, whoever else is answered."""

CAUTION = 8.0
"""How many times more answers raise the limit by one soon after a refusal: a server with one slot
would else refuse every second request."""

_FADING = 0.99
"""What each answer leaves of that."""

STUCK = 600.0
"""Seconds without any answer after which a call without a `timeout` takes its turn: those that have
turns may be waiting for it."""

_LOOK_AGAIN = 5.0
"""Seconds after which who waits looks whether event loops were closed with turns in their tasks."""


class RequestLimit:
    """How many requests of batches a server takes at a time. Thread-safe.

    Attributes:
        limit: The requests that may be in flight; infinity until one was refused.
        turns: How many have a turn.
        in_flight: Those of them that were sent.
        answered: How many have been answered.
        refused: How many have been refused.
        loops: The event loops of the turns that tasks have, or wait for.
    """

    def __init__(self) -> None:
        self.limit = inf
        self.turns = 0
        self.in_flight = 0
        self.answered = 0
        self.refused = 0
        self.loops: dict[Turn, AbstractEventLoop] = {}
        self._lowered = -inf  # when one was refused that was sent after those before
        self._least = 1.0  # how far the others that were in flight then may lower it
        self._caution = 1.0
        self._refused_since = inf  # the first refusal since the last answer
        self._given_up = False  # whether a call has found that nobody is answered
        self._waiting: deque[Future[None]] = deque()
        # A generator that holds a turn may be closed by the garbage collector, in any step here.
        self.lock = threading.RLock()

    def join(self, *, first: bool) -> Future[None] | None:
        """Take a turn, or return what is done when it has come; `first`, before all who wait."""
        with self.lock:
            if self.turns + 1 <= self.limit and (first or not self._waiting):
                self.turns += 1
                return None
            waiter: Future[None] = Future()
            (self._waiting.appendleft if first else self._waiting.append)(waiter)
            return waiter

    def enter(self) -> None:
        """Count a request that does not wait for a turn."""
        with self.lock:
            self.turns += 1

    def has_room(self) -> bool:
        """Whether a turn would come at once."""
        return self.turns + 1 <= self.limit and not self._waiting

    def give_up(self, waiter: Future[None]) -> None:
        """Wait no longer; a turn that has come meanwhile is given back."""
        with self.lock:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                return
        self.leave()

    def insist(self, waiter: Future[None]) -> None:
        """Take a turn that did not come, beyond the limit."""
        with self.lock:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                self.turns += 1

    def begin(self) -> None:
        """Count the request of a turn as sent."""
        with self.lock:
            self.in_flight += 1

    def leave(self, *, sent: bool = False, answered: bool = False) -> None:
        """Give a turn back, and let others have theirs."""
        with self.lock:
            if answered:
                self.answered += 1
                self._refused_since, self._given_up = inf, False
                if self.in_flight + 1 >= self.limit:  # a limit that nobody reaches says nothing
                    self.limit += 1 / (self.limit * self._caution)
                self._caution = max(self._caution * _FADING, 1.0)
            self.in_flight -= sent
            self.turns -= 1
            granted = []
            while self._waiting and self.turns + 1 <= self.limit:
                granted.append(self._waiting.popleft())
                self.turns += 1
        for waiter in granted:
            waiter.set_result(None)

    def reclaim(self) -> None:
        """Take the turns of closed event loops, whose tasks never go on."""
        for turn, loop in list(self.loops.items()):
            if loop.is_closed():
                turn.leave()

    def refuse(self, sent: float) -> None:
        """Lower the limit for a request that was refused, and is still counted."""
        with self.lock:
            self.refused += 1
            now = monotonic()
            if sent > self._lowered:
                self._lowered = now
                self.limit = min(self.limit, float(self.in_flight))
                self._least = max(self.limit / 2, 1.0)
            self.limit = max(self.limit - 1, self._least)
            self._caution = CAUTION
            self._refused_since = min(self._refused_since, now)

    def answers_nobody(self, seconds: float) -> bool:
        """Whether it has refused all for so long, or a call has found that out."""
        return self._given_up or monotonic() - self._refused_since > seconds

    def note_given_up(self) -> None:
        self._given_up = self._refused_since < inf


class Turn:
    """The turns of one call, one for each attempt.

    Attributes:
        held: Whether it has one now.
        sent: Whether the attempt was sent.
        answered: Whether it was answered.
    """

    __slots__ = ("_backoff", "_began", "_budget", "_limit", "_max_retries", "_pauses", "_seen",
                 "_waiter", "answered", "held", "sent")  # fmt: skip

    def __init__(self, limit: RequestLimit, budget: CallBudget, max_retries: int) -> None:
        self.held = self.sent = self.answered = False
        self._limit = limit
        self._budget = budget
        self._max_retries = max_retries
        self._began = 0.0
        self._waiter: Future[None] | None = None  # what is done when a turn has come
        self._seen = limit.answered  # how many were answered by its last refusal
        self._pauses = Backoff(MOST_REFUSALS)  # between refusals while others are answered
        self._backoff: Backoff | None = None  # between refusals while nobody is

    def take(self) -> Generator[FutureWait, None, None]:
        """Wait for a turn."""
        limit = self._limit
        if (loop := loop_of_thread()) is not None:
            limit.loops[self] = loop
        self._waiter = waiter = limit.join(first=self._pauses.retries > 0)
        if waiter is not None:
            try:
                yield from self._wait_for(waiter)
            except BaseException:
                self.leave()
                raise
            self._waiter = None
        self.held, self.sent, self.answered = True, False, False

    def _wait_for(self, waiter: Future[None]) -> Generator[FutureWait, None, None]:
        limit, timeout = self._limit, self._budget.timeout
        timeout = STUCK if timeout == inf else timeout
        began, answered = monotonic(), limit.answered
        while not waiter.done():
            yield FutureWait(waiter, min(timeout, _LOOK_AGAIN))
            limit.reclaim()
            if limit.answered != answered:
                began, answered = monotonic(), limit.answered
            elif monotonic() - began >= timeout:
                # Those that have turns may be waiting for this very thread.
                limit.insist(waiter)
                break

    def is_too_many(self) -> bool:
        """Whether more have turns than the server takes by now."""
        return self._limit.turns > self._limit.limit

    def begin(self) -> None:
        """Note that the attempt is sent now."""
        self._limit.begin()
        self.sent = True
        self._began = monotonic()

    def leave(self) -> None:
        """Give the turn back, or wait for none any more."""
        limit = self._limit
        with limit.lock:  # the turn of a closed loop may be taken from it meanwhile
            limit.loops.pop(self, None)
            waiter, self._waiter = self._waiter, None
            if waiter is not None:
                limit.give_up(waiter)
            elif self.held:
                self.held = False
                limit.leave(sent=self.sent, answered=self.answered)

    def pause_after(self, refusal: EasyLLMError, retry_after: float | None) -> float:
        """Seconds until a refused request is sent again; raises the refusal if it is not.

        As long as others are answered, or may be, a refusal means waiting for a turn. Only one
        with no other request in flight shows that the server is not merely busy with us.
        """
        limit, timeout = self._limit, self._budget.timeout
        limit.refuse(self._began)
        if limit.answers_nobody(timeout):
            raise refusal
        if limit.in_flight > 1 or limit.answered > self._seen:
            self._backoff = None
            backoff = self._pauses
        else:
            backoff = self._backoff = self._backoff or Backoff(self._max_retries)
        self._seen = limit.answered
        try:
            # How long we pause by ourselves is not the call's time; how long the server wants is.
            left = inf if retry_after is None else timeout
            pause = backoff.pause_after(refusal, retry_after, left)
        except EasyLLMError:
            if backoff is self._backoff:
                limit.note_given_up()
            raise
        self._budget.deadline += pause
        return pause


_limits: dict[tuple[str, str, int], RequestLimit] = {}


def request_limit(origin: tuple[str, str, int]) -> RequestLimit:
    """The limit of this process to a server, by scheme, host and port."""
    limit = _limits.get(origin)
    return _limits.setdefault(origin, RequestLimit()) if limit is None else limit


def traffic() -> tuple[int, int]:
    """Return how many requests of batches are in flight, and how many have been refused so far."""
    limits = [*_limits.values()]
    return sum(limit.in_flight for limit in limits), sum(limit.refused for limit in limits)


if hasattr(os, "register_at_fork"):
    # A child process has none of the requests that its parent has in flight.
    os.register_at_fork(after_in_child=_limits.clear)
