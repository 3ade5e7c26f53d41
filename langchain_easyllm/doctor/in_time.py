"""Calls that keep to a time, whatever the system or another library allows itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .._http.event_loop import in_thread

T = TypeVar("T")


def in_time(call: Callable[[], T], seconds: float) -> T:
    """Call in a thread, which is left to itself if it takes too long.

    Raises:
        TimeoutError: Python's own, if it takes longer.
    """
    return in_thread(call).result(max(seconds, 0.1))
