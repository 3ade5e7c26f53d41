"""What one call may still spend: time, and further attempts."""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from ..errors import EasyLLMError, EndpointPausedError, ModelLoadingError

if TYPE_CHECKING:
    from .retries import Schedule

__all__ = ["CallBudget"]


FALLBACKS = 2
"""Requests in place of a refused one that a call may make which wants no retries."""


class CallBudget:
    """The time and the attempts of one call, however many requests it takes.

    Args:
        timeout: Seconds for the whole call; for a stream, until its first byte. None for no bound.
        max_retries: Further attempts, whatever made them necessary.
        wait_for_model: Seconds that a cold start may take before it counts as a failure.

    Attributes:
        started: Moment (`time.monotonic`) when the call began.
        deadline: Moment when its time is over; infinity for never.
        timeout: Seconds that were allowed; infinity for no bound.
    """

    __slots__ = (
        "_max_retries",
        "_retried",
        "_schedule",
        "_used",
        "_wait_for_model",
        "deadline",
        "started",
        "timeout",
    )

    def __init__(self, timeout: float | None, max_retries: int, wait_for_model: float) -> None:
        self.started = monotonic()
        self.timeout = inf if timeout is None else timeout
        self.deadline = self.started + self.timeout
        self._max_retries = max_retries
        self._wait_for_model = wait_for_model
        self._schedule: Schedule | None = None
        self._used = 0
        self._retried = False

    def hold(self) -> None:
        """Allow for a proxy that holds a request itself until a replica is up."""
        held = self.started + self.timeout + self._wait_for_model
        self.deadline = max(self.deadline, held)

    def resume(self) -> None:
        """Begin the time anew, as far as a cold start has taken it."""
        waited_until = min(monotonic(), self.started + self._wait_for_model)
        self.deadline = max(self.deadline, waited_until + self.timeout)

    def pause_after(self, failure: EasyLLMError, asked: float | None) -> float:
        """Seconds until the next attempt; raises the failure if there is none."""
        from .retries import Schedule  # noqa: PLC0415 - a success never pays for tenacity

        if self._wait_for_model > 0 and _is_cold_start(failure):
            return self._pause_of_cold_start(failure, asked)
        if self._used >= self._max_retries:
            raise failure
        if self._schedule is None:
            self._schedule = Schedule(self._max_retries, lambda: self.deadline - monotonic())
        pause = self._schedule.pause_after(failure, asked)
        self._used += 1
        self._retried = True
        return pause

    def fall_back(self, refusal: EasyLLMError) -> None:
        """Count a request that is sent in place of a refused one; raises the refusal if none may.

        A server's ways are found out also by a call that wants no retries.
        """
        most = self._max_retries if self._retried else max(self._max_retries, FALLBACKS)
        if self._used >= most or monotonic() >= self.deadline:
            raise refusal
        self._used += 1

    def _pause_of_cold_start(self, failure: EasyLLMError, asked: float | None) -> float:
        from .retries import cold_start_pause  # noqa: PLC0415 - as above

        now = monotonic()
        left = self.started + self._wait_for_model - now
        if left <= 0 or (asked is not None and asked > left):
            raise failure
        if asked is None:
            asked = cold_start_pause(self.started, failure.retry_after)
        pause = min(asked, left)
        self.deadline = max(self.deadline, now + pause + self.timeout)
        return pause


def _is_cold_start(failure: EasyLLMError) -> bool:
    return isinstance(failure, ModelLoadingError) and not isinstance(failure, EndpointPausedError)
