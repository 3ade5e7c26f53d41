"""One call of many polls a server whose model is loading; the others wait for what it finds out."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from concurrent.futures import Future
from math import inf
from time import monotonic

from .future_wait import FutureWait

SOON = 1.0
"""Seconds within which a server says that its model is still loading: what takes longer is being
answered, and the others need not wait for its end."""


class ColdStart:
    """The starts of one server: whether somebody polls it now. Thread-safe."""

    def __init__(self) -> None:
        self.poll: _Poll | None = None
        # A generator that polls may be closed by the garbage collector, in any step here.
        self.lock = threading.RLock()

    def is_under_way(self) -> bool:
        poll = self.poll
        return poll is not None and not poll.is_overdue()


class _Poll:
    """The requests of the call that polls.

    Attributes:
        done: Done when the call polls no more.
        answered: Whether it was answered then.
        due: When the next request is to have been answered, if with a refusal.
    """

    __slots__ = ("answered", "done", "due")

    def __init__(self) -> None:
        self.done: Future[None] = Future()
        self.done.set_running_or_notify_cancel()  # who waits no longer does not cancel it
        self.answered = False
        self.due = inf

    def is_overdue(self) -> bool:
        return monotonic() > self.due


class ColdStartPolls:
    """What one call does while a model is loading: polls, or waits for the call that does."""

    __slots__ = ("_own", "_start")

    def __init__(self, start: ColdStart) -> None:
        self._start = start
        self._own: _Poll | None = None

    def pause(self, seconds: float, left: float) -> Generator[FutureWait | float, None, None]:
        """Wait until this call may send its request.

        It waits for so many seconds if it is the one that polls, else until that has been answered,
        for as long as it has left.
        """
        began = monotonic()
        while (other := self._join(seconds)) is not None:
            while not other.done.done() and (now := monotonic()) - began < left:
                if now > other.due:
                    return
                # Seldom after a while: each look leaves something behind until the poll is over.
                look = max(other.due - now, (now - began) / 10)
                yield FutureWait(other.done, min(look, began + left - now))
            if other.answered or monotonic() - began >= left:
                return
            seconds = 0.0  # that one has given up: this one is next, or another that waits
        yield seconds

    def leave(self, *, answered: bool) -> None:
        """Poll no more, as this call was answered, or is over."""
        own, self._own = self._own, None
        if own is None:
            return
        with self._start.lock:
            if self._start.poll is own:
                self._start.poll = None
        own.answered = answered
        own.done.set_result(None)

    def _join(self, seconds: float) -> _Poll | None:
        """Return the poll of another call; None if this one polls, after so many seconds."""
        start = self._start
        with start.lock:
            other = start.poll
            if other is not None and other is not self._own and not other.is_overdue():
                return other
            if self._own is None or other is not self._own:
                self.leave(answered=False)
                self._own = start.poll = _Poll()
            self._own.due = monotonic() + seconds + SOON
            return None


_starts: dict[tuple[str, str, int], ColdStart] = {}


def cold_start(origin: tuple[str, str, int]) -> ColdStart:
    """The starts of a server, by scheme, host and port, as this process knows them."""
    start = _starts.get(origin)
    return _starts.setdefault(origin, ColdStart()) if start is None else start


def is_starting(origin: tuple[str, str, int]) -> bool:
    """Whether a call polls a server, and has not been answered yet."""
    start = _starts.get(origin)
    return start is not None and start.is_under_way()


if hasattr(os, "register_at_fork"):
    # Nobody polls in a child process.
    os.register_at_fork(after_in_child=_starts.clear)
