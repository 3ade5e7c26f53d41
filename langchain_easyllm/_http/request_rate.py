"""So many requests a second: one schedule per server and process."""

from __future__ import annotations

import os
import threading
from time import monotonic


class RequestRate:
    """When the next request to a server may be sent. Thread-safe."""

    def __init__(self) -> None:
        self._next = 0.0
        self._lock = threading.Lock()

    def reserve(self, per_second: float) -> float:
        """Take the next moment for a request; returns the seconds until then."""
        with self._lock:
            now = monotonic()
            moment = max(self._next, now)
            self._next = moment + 1 / per_second
        return moment - now


_rates: dict[tuple[str, str, int], RequestRate] = {}


def request_rate(origin: tuple[str, str, int]) -> RequestRate:
    """The schedule of this process for a server, by scheme, host and port."""
    rate = _rates.get(origin)
    return _rates.setdefault(origin, RequestRate()) if rate is None else rate


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_rates.clear)
