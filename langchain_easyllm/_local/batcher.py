"""One thread for a model, which generates waiting sequences in batches."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable, Sequence

from .forking import renew_in_children
from .requests import LocalSequence

GATHER = 0.005
"""Seconds for which a batch that is not full waits for one more sequence."""

LINGER = 1.0
"""Seconds for which an idle thread waits for work before it ends."""


class Batcher:
    """Runs sequences of one `batch_key` in batches of up to `size`, in a thread of its own.

    The thread starts with the first sequence and ends when it is idle. The sequences of a batch
    are emitted whatever `run` raises.
    """

    def __init__(self, run: Callable[[Sequence[LocalSequence]], None], size: int) -> None:
        self._run = run
        self._size = size
        renew_in_children(self)
        _batchers.add(self)

    def renew(self) -> None:
        """Begin without rows and without a thread: a child process has none of its parent's."""
        self._changed = threading.Condition()
        self._waiting: list[LocalSequence] = []
        self._running: Sequence[LocalSequence] = ()
        self._thread: threading.Thread | None = None

    def submit(self, sequences: Sequence[LocalSequence]) -> None:
        """Queue sequences."""
        with self._changed:
            self._waiting.extend(sequences)
            self._changed.notify()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._work, name="langchain-easyllm local model", daemon=True
                )
                self._thread.start()

    def stop(self, timeout: float) -> None:
        """Cancel all sequences and wait for the thread to end after the current token."""
        with self._changed:
            for sequence in (*self._waiting, *self._running):
                sequence.cancelled = True
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _work(self) -> None:
        while sequences := self._next():
            self._running = sequences
            try:
                self._run(sequences)
            except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
                for sequence in sequences:
                    sequence.emit(error)
            finally:
                self._running = ()

    def _next(self) -> list[LocalSequence]:
        """Wait for the next batch; an empty one ends the thread."""
        with self._changed:
            self._drop_cancelled()
            if not self._waiting:
                self._changed.wait(0 if _exiting.is_set() else LINGER)
                self._drop_cancelled()
            if not self._waiting:
                self._thread = None
                return []
            batch_key = self._waiting[0].job.batch_key
            count = 0
            while count < (found := len(self._fitting(batch_key))) < self._size:
                count = found
                self._changed.wait(GATHER)
            sequences = self._fitting(batch_key)[: self._size]
            self._waiting = [sequence for sequence in self._waiting if sequence not in sequences]
            return sequences

    def _drop_cancelled(self) -> None:
        self._waiting = [sequence for sequence in self._waiting if not sequence.cancelled]

    def _fitting(self, batch_key: object) -> list[LocalSequence]:
        return [sequence for sequence in self._waiting if sequence.job.batch_key == batch_key]


_batchers: weakref.WeakSet[Batcher] = weakref.WeakSet()
_exiting = threading.Event()


@atexit.register
def _stop_all() -> None:
    # A thread that computes while the interpreter goes away would take it down.
    _exiting.set()
    for batcher in list(_batchers):
        batcher.stop(5)
