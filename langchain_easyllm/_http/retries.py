"""When to try again: exponential backoff with full jitter, unless the server names a time."""

from __future__ import annotations

from collections.abc import Callable
from random import random
from time import monotonic

from ..errors import ConnectionError, EasyLLMError
from ..errors import TimeoutError as OutOfTime
from .error_mapping import RETRIED_STATUSES

__all__ = ["Schedule", "cold_start_pause"]


class Schedule:
    """The pauses between the attempts of one call.

    Args:
        max_retries: Attempts after the first.
        time_left: Gives the seconds that are left for the call; infinity for no bound.
    """

    def __init__(self, max_retries: int, time_left: Callable[[], float]) -> None:
        self._max_retries = max_retries
        self._time_left = time_left
        self._retries = 0

    def pause_after(self, failure: EasyLLMError, asked: float | None) -> float:
        """Seconds to wait before the next attempt.

        Args:
            failure: What the last attempt ended with.
            asked: Seconds that the server asked to wait, if it did.

        Raises:
            EasyLLMError: The failure itself, if there is to be no next attempt.
        """
        # At most 0.5, 1, 2, 4 and then 8 seconds.
        pause = 0.5 * 2 ** min(self._retries, 4) * random() if asked is None else asked  # noqa: S311
        if self._retries >= self._max_retries or not _may_pass(failure):
            raise failure
        if pause >= self._time_left():
            raise failure
        self._retries += 1
        return pause


def cold_start_pause(started: float, hint: float | None) -> float:
    """Seconds until a starting model is asked again.

    Args:
        started: Moment (`time.monotonic`) of the first attempt.
        hint: Seconds that the server expects to need. Often far off, so only a bound.
    """
    # A tenth of the wait so far: prompt at first, and a start of minutes is not polled to death.
    pace = min(max((monotonic() - started) / 10, 0.1), 5.0)
    return pace if hint is None else min(max(hint, 0.05), pace)


def _may_pass(failure: EasyLLMError) -> bool:
    if not failure.is_retryable:
        return False
    if failure.status_code is None:
        return isinstance(failure, ConnectionError | OutOfTime)
    return failure.status_code in RETRIED_STATUSES
