"""An event loop in a thread of its own, for callers that block and yet want many answers at once.

Threads that wait for an answer each, and then all want Python's lock, are slower than one that
reads whatever has come. There is one such loop in a process; it starts when it is first wanted.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import TypeVar

from ..errors import ConfigurationError

__all__ = ["Background", "background"]


T = TypeVar("T")

PATIENCE = 1.0
"""Seconds that an interpreter which leaves gives the loop to close what is open."""


# Taken again by the same thread where a collection within finds something to close.
_lock = threading.RLock()


class Background:
    """An event loop that runs in a thread of its own until it is stopped.

    Attributes:
        taking: Whether it takes more work.
    """

    def __init__(self) -> None:
        self.taking = True
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        # A daemon: an interpreter that leaves must not wait for a server.
        self._thread = threading.Thread(target=self._serve, name="easyllm-loop", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._loop.close()
            raise

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Return what a coroutine returns on the loop; it is cancelled if the wait is interrupted.

        Args:
            work: The coroutine.

        Raises:
            BaseException: What the coroutine raises.
            ConfigurationError: If the loop is a parent process's.
            SystemExit: If the loop is stopped, as it is when the interpreter leaves.
        """
        result = self.start(work)
        try:
            return result.result()
        except CancelledError:
            if self in _inherited:
                raise ConfigurationError(
                    "What was begun before a fork goes on in the parent process only: begin it "
                    "anew in the child."
                ) from None
            raise SystemExit from None  # as the interpreter leaves, so does the daemon here
        except BaseException:
            result.cancel()
            raise

    def start(self, work: Coroutine[object, object, T]) -> Future[T]:
        """Have a coroutine run on the loop, and return at once.

        Args:
            work: The coroutine.

        Returns:
            Its result; cancelled if the loop is stopped, or a parent process's.
        """
        with _lock:
            if self.taking:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        never: Future[T] = Future()
        never.cancel()
        return never

    def stop(self) -> None:
        """Cancel what runs on the loop and close what is open there."""
        with _lock:
            self.taking = False  # all that was taken is on the loop before it is told to end
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(PATIENCE)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._over.wait())


_open: list[Background] = []
# Of a parent process: its thread is not here, and its loop is not to be touched.
_inherited: list[Background] = []


def background() -> Background:
    """Return this process's background loop."""
    with _lock:
        # A daemon that goes on while the interpreter leaves gets the stopped one, and ends.
        if not _open or not (_open[0].taking or threading.current_thread().daemon):
            _open[:] = [Background()]
        return _open[0]


@atexit.register
def _stop() -> None:
    for loop in _open:
        loop.stop()


def _forget() -> None:
    """In a child process, leave the loop to the parent."""
    global _lock  # noqa: PLW0603 - a thread that is not here may have held it
    _lock = threading.RLock()
    for loop in _open:
        loop.taking = False
    _inherited.extend(_open)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
