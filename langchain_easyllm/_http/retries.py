"""When to try again, and what a call may still spend: time, and further attempts."""

from __future__ import annotations

from math import inf
from random import random
from time import monotonic
from typing import Protocol

from ..errors import (
    ConnectionError,
    EasyLLMError,
    EndpointPausedError,
    ModelLoadingError,
    RateLimitError,
)
from ..errors import TimeoutError as OutOfTime

RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""

FALLBACKS = 2
"""How many refused requests a call without retries may replace by another."""


class Backoff:
    """Pauses between attempts: exponential with full jitter, unless the server names a time."""

    __slots__ = ("_max_retries", "retries")

    def __init__(self, max_retries: int) -> None:
        self._max_retries = max_retries
        self.retries = 0

    def pause_after(self, failure: EasyLLMError, retry_after: float | None, left: float) -> float:
        """Seconds until the next attempt, fewer than are left; raises the failure if none may."""
        pause = retry_after
        if pause is None:  # at most 0.5, 1, 2, 4 and then 8 seconds
            pause = 0.5 * 2 ** min(self.retries, 4) * random()  # noqa: S311 - no secret
        if self.retries >= self._max_retries or not _may_pass(failure) or pause >= left:
            raise failure
        self.retries += 1
        return pause


class Turns(Protocol):
    """Decides, for a call that is one of many, what a refusal for too many requests means."""

    def pause_after(self, refusal: EasyLLMError, retry_after: float | None) -> float:
        """Seconds until the next attempt; raises the refusal if there is none."""


class CallBudget:
    """The time and the attempts of one call, however many requests it takes.

    Attributes:
        started: When it began (`time.monotonic`).
        timeout: Its seconds, without those that a cold start takes.
        deadline: When they are over.
        turn: What decides on refusals in its place, if it is one of many.
        requests: How many were sent.
        is_starting: Whether the last pause is for a model that is loading.
    """

    __slots__ = ("_backoff", "_max_retries", "_used", "_wait_for_model",
                 "deadline", "is_starting", "requests", "started", "timeout", "turn")  # fmt: skip

    def __init__(self, timeout: float | None, max_retries: int, wait_for_model: float) -> None:
        self.started = monotonic()
        self.timeout = inf if timeout is None else timeout
        self.deadline = self.started + self.timeout
        self._max_retries = max_retries
        self._wait_for_model = wait_for_model
        self._backoff: Backoff | None = None
        self._used = 0
        self.turn: Turns | None = None
        self.requests = 0  # how many were sent
        self.is_starting = False

    @property
    def start_left(self) -> float:
        """Seconds for which the call may still wait for a model that is loading."""
        return self.started + self._wait_for_model - monotonic()

    def single(self, deadline: float = inf) -> CallBudget:
        """Return a budget of the same time for one attempt, or of the time until a moment."""
        own = CallBudget(None, 0, 0.0)
        own.started, own.timeout, own.deadline = self.started, self.timeout, self.deadline
        if deadline < self.deadline:
            own.started, own.deadline = deadline - self.timeout, deadline
        return own

    def hold(self) -> None:
        """Allow for a proxy that holds a request itself until a replica is up."""
        held = self.started + self.timeout + self._wait_for_model
        self.deadline = max(self.deadline, held)

    def resume(self) -> None:
        """Begin the time anew, as far as a cold start has taken it."""
        waited_until = min(monotonic(), self.started + self._wait_for_model)
        self.deadline = max(self.deadline, waited_until + self.timeout)

    def pause_after(self, failure: EasyLLMError, retry_after: float | None) -> float:
        """Seconds until the next attempt; raises the failure if there is none."""
        self.is_starting = self.waits_for_model(failure)
        if self.is_starting:
            return self._pause_of_cold_start(failure, retry_after)
        if self.turn is not None and isinstance(failure, RateLimitError):
            return self.turn.pause_after(failure, retry_after)
        if self._used >= self._max_retries:
            raise failure
        self._backoff = self._backoff or Backoff(self._max_retries)
        pause = self._backoff.pause_after(failure, retry_after, self.deadline - monotonic())
        self._used += 1
        return pause

    def waits_for_model(self, failure: EasyLLMError) -> bool:
        """Whether a failure is a cold start that the call waits for."""
        return self._wait_for_model > 0 and is_loading(failure)

    def fall_back(self, refusal: EasyLLMError) -> None:
        """Count a request that is sent in place of a refused one; raises the refusal if none may.

        What a server can do is found out also by a call that wants no retries.
        """
        self.replace(refusal)
        limit = self._max_retries
        if self._backoff is None or not self._backoff.retries:
            limit = max(limit, FALLBACKS)
        if self._used >= limit:
            raise refusal
        self._used += 1

    def replace(self, refusal: EasyLLMError) -> None:
        """Let another request take the place of a refused one; raises the refusal if it is late.

        It does not count: whoever sends it sees to it that there are not many.
        """
        if monotonic() >= self.deadline:
            raise refusal

    def _pause_of_cold_start(self, failure: EasyLLMError, retry_after: float | None) -> float:
        now = monotonic()
        left = self.start_left
        pause = retry_after
        if left <= 0 or (pause is not None and pause > left):
            raise failure
        if pause is None:
            # A tenth of the wait so far: prompt at first, and a start of minutes is not polled to
            # death. What the server expects to need is often far off, so only a bound.
            pause = min(max((now - self.started) / 10, 0.1), 5.0)
            if failure.retry_after is not None:
                pause = min(max(failure.retry_after, 0.05), pause)
        pause = min(pause, left)
        self.deadline = max(self.deadline, now + pause + self.timeout)
        return pause


def is_loading(failure: EasyLLMError) -> bool:
    """Whether a model is loading, which is worth waiting for: a paused endpoint never starts."""
    return isinstance(failure, ModelLoadingError) and not isinstance(failure, EndpointPausedError)


def _may_pass(failure: EasyLLMError) -> bool:
    if not failure.is_retryable:
        return False
    if failure.status_code is None:
        return isinstance(failure, ConnectionError | OutOfTime)
    return failure.status_code in RETRIED_STATUSES
