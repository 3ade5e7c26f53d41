"""One thread for a model: rows that wait go through it together."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable, Sequence

from .forking import renew_in_children
from .requests import Row

__all__ = ["Batcher"]


GATHER = 0.005
"""Seconds for which a batch that is not full waits for one more row."""

LINGER = 1.0
"""Seconds for which an idle thread waits for work before it ends."""


class Batcher:
    """Collects rows into batches and runs them one batch after the other, in a thread of its own.

    The thread begins with the first row and ends when there is nothing to do.

    Args:
        run: Generates the answers of rows that have one job's settings. Whatever it raises is
            emitted to the rows.
        size: Most rows of a batch.
    """

    def __init__(self, run: Callable[[Sequence[Row]], None], size: int) -> None:
        self._run = run
        self._size = size
        renew_in_children(self)
        _batchers.add(self)

    def renew(self) -> None:
        """Begin without rows and without a thread: a child process has none of its parent's."""
        self._changed = threading.Condition()
        self._waiting: list[Row] = []
        self._running: Sequence[Row] = ()
        self._thread: threading.Thread | None = None

    def submit(self, rows: Sequence[Row]) -> None:
        """Take rows; what happens to them is emitted by each."""
        with self._changed:
            self._waiting.extend(rows)
            self._changed.notify()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._work, name="langchain-easyllm local model", daemon=True
                )
                self._thread.start()

    def stop(self, timeout: float) -> None:
        """Cancel all rows and wait for the thread to end with the token it is at."""
        with self._changed:
            for row in (*self._waiting, *self._running):
                row.cancelled = True
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _work(self) -> None:
        while rows := self._next():
            self._running = rows
            try:
                self._run(rows)
            except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
                for row in rows:
                    row.emit(error)
            finally:
                self._running = ()

    def _next(self) -> list[Row]:
        """Return the rows of the next batch; none when there has been nothing to do."""
        with self._changed:
            self._drop_cancelled()
            if not self._waiting:
                self._changed.wait(0 if _exiting.is_set() else LINGER)
                self._drop_cancelled()
            if not self._waiting:
                self._thread = None
                return []
            company = self._waiting[0].job.company
            count = 0
            while count < (found := len(self._fitting(company))) < self._size:
                count = found
                self._changed.wait(GATHER)
            rows = self._fitting(company)[: self._size]
            self._waiting = [row for row in self._waiting if row not in rows]
            return rows

    def _drop_cancelled(self) -> None:
        self._waiting = [row for row in self._waiting if not row.cancelled]

    def _fitting(self, company: object) -> list[Row]:
        return [row for row in self._waiting if row.job.company == company]


_batchers: weakref.WeakSet[Batcher] = weakref.WeakSet()
_exiting = threading.Event()


@atexit.register
def _stop_all() -> None:
    # A thread that computes while the interpreter goes away would take it down.
    _exiting.set()
    for batcher in list(_batchers):
        batcher.stop(5)
