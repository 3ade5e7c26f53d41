"""An event loop in a thread of its own, for callers that block and yet have many requests.

Threads that wait for one response each, and then all compete for Python's lock, are slower than one
that reads whatever has come. There is one such loop in a process; it starts when it is first used.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import TypeVar

from ..errors import ConfigurationError

T = TypeVar("T")

CLOSE_TIMEOUT = 1.0
"""Seconds that the loop has at the interpreter's exit to close what is open."""

# Taken again by the same thread where a collection within finds something to close.
_lock = threading.RLock()


class Background:
    """An event loop that runs in a thread of its own until it is stopped."""

    def __init__(self) -> None:
        self.accepting = True
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        # A daemon: an interpreter at its exit must not wait for a server.
        self._thread = threading.Thread(target=self._serve, name="easyllm-loop", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._loop.close()
            raise

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Return what a coroutine returns on the loop; cancel it if the wait is interrupted."""
        if threading.current_thread() is self._thread:
            work.close()
            raise ConfigurationError(
                "A blocking call inside an async function would wait for its own event loop: await "
                "the async method instead."
            )
        hold = _Hold()
        try:
            return self.start(work, hold).result()
        except CancelledError:
            if self in _inherited:
                raise ConfigurationError(
                    "A call that began before a fork goes on in the parent process only: start a "
                    "new one in the child."
                ) from None
            raise SystemExit from None  # the interpreter is at its exit: so is this daemon thread
        except BaseException:
            # The interrupt may have come before there was a result to cancel.
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(hold.give_up)
            raise

    def start(self, work: Coroutine[object, object, T], hold: _Hold | None = None) -> Future[T]:
        """Start a coroutine on the loop; the result is cancelled if the loop is stopped."""
        with _lock:
            if self.accepting:
                held = work if hold is None else hold.run(work)
                return asyncio.run_coroutine_threadsafe(held, self._loop)
        work.close()
        never: Future[T] = Future()
        never.cancel()
        return never

    def stop(self) -> None:
        """Cancel what runs on the loop and close what is open there."""
        with _lock:
            self.accepting = False  # all that was accepted is on the loop before it ends
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(CLOSE_TIMEOUT)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._end.wait())


class _Hold:
    """What a caller can cancel a coroutine by, wherever an interrupt hits the caller."""

    __slots__ = ("_is_given_up", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._is_given_up = False

    async def run(self, work: Coroutine[object, object, T]) -> T:
        """Return what a coroutine returns, unless its caller has given it up."""
        self._task = asyncio.current_task()
        if self._is_given_up:
            work.close()
            raise asyncio.CancelledError
        return await work

    def give_up(self) -> None:
        """Cancel the coroutine, or see to it that it does not begin; on the loop's thread."""
        self._is_given_up = True
        if self._task is not None:
            self._task.cancel()


_open: list[Background] = []
# Of a parent process: its thread is not here, and its loop is not to be touched.
_inherited: list[Background] = []


def background() -> Background:
    with _lock:
        # A daemon that goes on at the interpreter's exit gets the stopped one, and ends.
        if not _open or not (_open[0].accepting or threading.current_thread().daemon):
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
        loop.accepting = False
    _inherited.extend(_open)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
