"""So many requests a second: one schedule per server and process."""

from __future__ import annotations

import os
import threading
from bisect import insort
from time import monotonic


class RequestRate:
    """When the next request to a server may be sent. Thread-safe."""

    def __init__(self) -> None:
        self._next = 0.0
        # Moments that were taken by who went away, and their ends; in order.
        self._free: list[tuple[float, float]] = []
        # A generator that has a moment may be closed by the garbage collector, in any step here.
        self._lock = threading.RLock()

    def reserve(self, per_second: float) -> float:
        """Take the next moment (of `time.monotonic`) for a request, and return it."""
        needed = 1 / per_second
        with self._lock:
            now = monotonic()
            self._free = [gap for gap in self._free if gap[0] > now]
            for gap in self._free:
                if gap[1] - gap[0] >= needed:
                    self._free.remove(gap)
                    return gap[0]
            moment = max(self._next, now)
            self._next = moment + needed
        return moment

    def give_back(self, moment: float, per_second: float) -> None:
        """Leave a moment to others, as nothing will be sent."""
        with self._lock:
            insort(self._free, (moment, moment + 1 / per_second))
            while self._free and self._free[-1][1] >= self._next:
                self._next = self._free.pop()[0]


_processes = 1


def divide_rates(processes: int) -> None:
    """Leave to this process one of equal shares of what `requests_per_second` allows."""
    global _processes  # noqa: PLW0603 - as the schedules, it is the process's own
    _processes = processes


def own_share(per_second: float) -> float:
    """Return this process's share of the requests that are allowed in a second."""
    return per_second / _processes


_rates: dict[tuple[str, str, int], RequestRate] = {}


def request_rate(origin: tuple[str, str, int]) -> RequestRate:
    """The schedule of this process for a server, by scheme, host and port."""
    rate = _rates.get(origin)
    return _rates.setdefault(origin, RequestRate()) if rate is None else rate


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_rates.clear)
