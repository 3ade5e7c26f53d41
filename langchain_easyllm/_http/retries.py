"""When to try again: tenacity's policy, driven by hand.

`Retrying.iter` does no I/O: it is told of a failure and answers with a time to sleep or raises.
That is what lets one generator serve sync and async. It is imported at the first failure only.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import cast

from tenacity import (
    DoSleep,
    RetryCallState,
    Retrying,
    retry_if_exception,
    wait_random_exponential,
)

from ..errors import ConnectionError, EasyLLMError
from ..errors import TimeoutError as OutOfTime
from .error_mapping import RETRIED_STATUSES

__all__ = ["Schedule", "cold_start_pause"]


_backoff = wait_random_exponential(multiplier=0.5, max=8)


class Schedule:
    """The pauses between the attempts of one call.

    Args:
        max_retries: Attempts after the first.
        time_left: Gives the seconds that are left for the call; infinity for no bound.
    """

    def __init__(self, max_retries: int, time_left: Callable[[], float]) -> None:
        self._max_retries = max_retries
        self._time_left = time_left
        self._asked: float | None = None
        self._retrying = Retrying(
            retry=retry_if_exception(_may_pass),
            wait=self._wait,
            stop=self._no_more,
            reraise=True,
        )
        self._state = RetryCallState(self._retrying, None, (), {})

    def pause_after(self, failure: EasyLLMError, asked: float | None) -> float:
        """Seconds to wait before the next attempt.

        Args:
            failure: What the last attempt ended with.
            asked: Seconds that the server asked to wait, if it did.

        Raises:
            EasyLLMError: The failure itself, if there is to be no next attempt.
        """
        self._asked = asked
        self._retrying.begin()  # its statistics are a thread's own, and this may be another one
        self._state.set_exception((type(failure), failure, failure.__traceback__))
        pause = cast("DoSleep", self._retrying.iter(self._state))
        self._state.prepare_for_next_attempt()
        return pause

    def _wait(self, state: RetryCallState) -> float:
        return _backoff(state) if self._asked is None else self._asked

    def _no_more(self, state: RetryCallState) -> bool:
        too_late = state.upcoming_sleep >= self._time_left()
        return too_late or state.attempt_number > self._max_retries


def cold_start_pause(started: float, hint: float | None) -> float:
    """Seconds until a starting model is asked again.

    Args:
        started: Moment (`time.monotonic`) of the first attempt.
        hint: Seconds that the server expects to need. Often far off, so only a bound.
    """
    # A tenth of the wait so far: prompt at first, and a start of minutes is not polled to death.
    pace = min(max((monotonic() - started) / 10, 0.1), 5.0)
    return pace if hint is None else min(max(hint, 0.05), pace)


def _may_pass(failure: BaseException) -> bool:
    if not isinstance(failure, EasyLLMError) or not failure.is_retryable:
        return False
    if failure.status_code is None:
        return isinstance(failure, ConnectionError | OutOfTime)
    return failure.status_code in RETRIED_STATUSES
