"""How many connections this process may have open, and who gets the next one where that is too few.

The system's bound on open files holds for the process: all transports, event loops and threads
share it. Who finds no room waits. A connection that becomes free then goes to the pool and server
with the fewest, so that nobody starves beside a busier one; between equals a connection is used
again rather than replaced.
"""

from __future__ import annotations

import errno
import os
import threading
from abc import ABC, abstractmethod
from collections import deque
from itertools import count
from math import inf
from time import monotonic

SPARE = 4
"""One file in so many is left to the rest of the process."""

FULL = frozenset({errno.EMFILE, errno.ENFILE, getattr(errno, "WSAEMFILE", errno.EMFILE)})
"""How the system says that there are too many open files."""

RETRY_FULL = 0.02
"""Seconds after which a connection is tried again that the system had no file for."""

FULL_SECONDS = 30.0
"""Seconds for which that goes on."""


def may_retry(error: OSError, until: float) -> bool:
    """Whether to try again what the system had no file for; an idle connection makes way."""
    if error.errno not in FULL or monotonic() + RETRY_FULL >= until:
        return False
    process_limit().make_room(least=1)
    return True


def max_connections() -> float:
    """Connections that fit beside the process's other files."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return inf
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return inf if limit == resource.RLIM_INFINITY else max(limit - limit // SPARE, 16)


class Share(ABC):
    """The connections of one pool to one server, as the limit counts them."""

    def __init__(self) -> None:
        self.limit = process_limit()
        # All of these belong to the limit.
        self.open = 0  # connections, and leaves to open one
        self.wanted = 0
        self.yielding = 0  # connections that are being closed for others
        self.since = 0
        self.dropped = False

    @abstractmethod
    def grant(self) -> bool:
        """Take the leave to open a connection, which was wanted; from any thread.

        False if nobody is left to take it.
        """

    @abstractmethod
    def close_idle(self) -> bool:
        """Close an idle connection, at once or soon; from any thread. False if there is none."""

    def free(self, *, yielded: bool = False) -> None:
        """Count one connection less; from any thread, and from finalizers."""
        self.limit.free(self, yielded=yielded)


class _StepMark(threading.local):
    """Marks that this thread has the lock, or is about to.

    Apart from the lock, which only its own `with` releases wherever Ctrl-C interrupts it.
    """

    is_within = False

    def __enter__(self) -> None:
        self.is_within = True

    def __exit__(self, *_: object) -> None:
        self.is_within = False


class ConnectionLimit:
    """The count of this process. Thread-safe, also where a finalizer interrupts it."""

    def __init__(self) -> None:
        self.wanted = 0  # read without the lock: whether anybody waits
        self._lock = threading.Lock()
        self._step = _StepMark()
        self._open = 0
        self._yielding = 0
        self._shares: dict[Share, None] = {}  # those with something open or wanted
        # A finalizer may run within any step, in the same thread: it only puts something here,
        # a connection and whether it was yielded, or None for all of a share's.
        self._freed: deque[tuple[Share, bool | None]] = deque()
        self._ungranted = False  # whether there may be room since leaves were last granted
        self._order = count()

    def is_within(self) -> bool:
        """Whether a step of this thread was interrupted, by a finalizer: then none may begin."""
        return self._step.is_within

    def take(self, share: Share) -> bool:
        """Count one connection more, if there is room."""
        with self._step, self._lock:
            self._count_freed()
            room = not share.dropped and self._open < max_connections()
            if room:
                self._add(share)
        self._settle()
        return room

    def want(self, share: Share, number: int = 1) -> None:
        """Have so many more connections granted as soon as there is room; make some."""
        with self._step, self._lock:
            if share.dropped:  # its event loop is at its end, and so is who waits
                return
            if not share.wanted:
                share.since = next(self._order)
            share.wanted += number
            self.wanted += number
            self._shares[share] = None
        self._settle(again=True)
        self.make_room()

    def unwant(self, share: Share, number: int = 1) -> int:
        """Take back wants; returns how many, for some may have been granted meanwhile."""
        with self._step, self._lock:
            number = min(number, share.wanted)
            share.wanted -= number
            self.wanted -= number
            self._forget_empty(share)
        self._settle()
        return number

    def free(self, share: Share, *, yielded: bool = False) -> None:
        self._freed.append((share, yielded))
        self._settle()

    def drop(self, share: Share) -> None:
        """Forget a share with all that it has and wants: its event loop is gone."""
        self._freed.append((share, None))
        self._settle()

    def must_yield(self, share: Share, *, needed: bool) -> bool:
        """Whether a connection that has become free is to be closed for another share.

        `needed` is whether its own share has somebody waiting for it. If the answer is yes, it is
        freed as `yielded`.
        """
        with self._step, self._lock:
            self._count_freed()
            answer = self.wanted > self._yielding and (not needed or self._is_rich(share))
            if answer:
                self._note_yield(share)
        self._settle()
        return answer

    def note_yield(self, share: Share, number: int = 1) -> None:
        """Note that a connection is about to be freed as `yielded`; -1 takes that back."""
        with self._step, self._lock:
            self._note_yield(share, number)
        self._settle()

    def make_room(self, *, least: int = 0) -> None:
        """Close as many idle connections as are wanted, of whoever has the most, if there are."""
        while True:
            with self._step, self._lock:
                self._count_freed()
                missing = max(self.wanted, least) - self._yielding
                shares = sorted(self._shares, key=lambda share: -share.open)
            self._settle()
            if missing <= 0 or not any(share.close_idle() for share in shares):
                return
            least -= 1

    def _settle(self, *, again: bool = False) -> None:
        """Count what was freed, and grant what there is room for, unless another thread does."""
        while again or self._freed or self._ungranted:
            if self._step.is_within:
                return
            taken = False
            with self._step:
                try:
                    # Not waited for: the thread that is at it looks again at the end.
                    taken = self._lock.acquire(blocking=again)
                    if not taken:
                        return
                    again = False
                    self._count_freed()
                    granted = self._grants()
                finally:
                    if taken:
                        self._lock.release()
            for share in granted:
                if not share.grant():
                    self._freed.append((share, False))

    # With the lock

    def _count_freed(self) -> None:
        while self._freed:
            share, yielded = self._freed.popleft()
            self._ungranted = self.wanted > 0
            if share.dropped:
                continue
            if yielded is None:
                share.dropped = True
                self._open -= share.open
                self.wanted -= share.wanted
                self._yielding -= share.yielding
                share.open = share.wanted = share.yielding = 0
            else:
                share.open -= 1
                self._open -= 1
                share.yielding -= yielded
                self._yielding -= yielded
            self._forget_empty(share)

    def _grants(self) -> list[Share]:
        granted: list[Share] = []
        self._ungranted = False
        room = max_connections() if self.wanted else 0
        while self.wanted and self._open < room:
            waiting = [share for share in self._shares if share.wanted]
            share = min(waiting, key=lambda share: (share.open, share.since))
            share.wanted -= 1
            self.wanted -= 1
            self._add(share)
            granted.append(share)
        return granted

    def _add(self, share: Share) -> None:
        share.open += 1
        self._open += 1
        self._shares[share] = None

    def _is_rich(self, share: Share) -> bool:
        """Whether a connection less makes a share and one that waits more equal."""
        least = min((other.open for other in self._shares if other.wanted), default=share.open)
        # None at all is too few for anybody.
        return least == 0 or share.open - least >= 2

    def _note_yield(self, share: Share, number: int = 1) -> None:
        if not share.dropped:
            share.yielding += number
            self._yielding += number

    def _forget_empty(self, share: Share) -> None:
        if not (share.open or share.wanted):
            self._shares.pop(share, None)


_limit = ConnectionLimit()


def process_limit() -> ConnectionLimit:
    return _limit


def _reset() -> None:
    """In a child process, count anew: its parent's connections are not its own."""
    global _limit  # noqa: PLW0603 - a thread that is not here may have held its lock
    _limit = ConnectionLimit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset)
