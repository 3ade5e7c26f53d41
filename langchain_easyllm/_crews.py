"""Workers side by side: in threads, or in tasks of the running event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Generic, Self, TypeVar

from ._batches import Batches, Job, Step
from ._connection import arun, run
from .transport import Policy, Request, Response

__all__ = ["Tasks", "Threads", "afinish", "finish"]

T = TypeVar("T")


class _Closed(Exception):  # noqa: N818 - a reason, not an error
    """Nobody waits for the results any more."""


FEW = 2
"""Threads to begin with: a server that answers at once keeps no more of them busy."""

PACE = 0.001
"""Seconds without an answer after which there are to be twice as many threads."""


class Threads(Generic[T]):
    """Works on jobs in threads, in the caller's own where one is enough; a context manager.

    Args:
        batches: What is to be done.
        send: Sends one request.
    """

    def __init__(self, batches: Batches[T], send: Callable[[Request, Policy], Response]) -> None:
        self._batches = batches
        self._send = send
        self._most = FEW

    def start(self, job: Job[T]) -> None:
        """Begin a job."""
        self._batches.add(job)
        if self._batches.limit > 1:
            self._spawn()
        elif self._batches.hire():
            self._work()

    def wait(self, job: Job[T]) -> None:
        """Return once a job is done.

        Raises:
            EasyLLMError: If it, or any other job, has failed.
        """
        batches = self._batches
        while job.left and batches.error is None:
            answered = batches.answered
            with batches.changed:
                pace = PACE if self._most < batches.limit else None
                batches.changed.wait_for(lambda: not job.left or batches.error is not None, pace)
            if batches.answered == answered:
                self._grow()
        if batches.error is not None:
            raise batches.error

    def _grow(self) -> None:
        for _ in range(self._most):
            self._most += 1
            self._spawn()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Requests under way end by themselves; nobody waits for them.
        self._batches.stop(_Closed())

    def _spawn(self) -> None:
        if self._batches.hire(self._most):
            # Daemons: an interpreter that leaves must not wait for a server.
            threading.Thread(target=self._work, name="easyllm-batch", daemon=True).start()

    def _work(self) -> None:
        try:
            run(self._batches.work(self._spawn), self._do)
        except Exception as error:  # noqa: BLE001 - raised where the results are waited for
            self._batches.stop(error)

    def _do(self, step: Step) -> Response | None:
        if not isinstance(step, float):
            return self._send(*step)
        batches = self._batches
        with batches.changed:
            batches.changed.wait_for(lambda: batches.error is not None, step)
        return None


class Tasks(Generic[T]):
    """Works on jobs in tasks of the running event loop; an asynchronous context manager.

    Args:
        batches: What is to be done.
        send: Sends one request.
    """

    def __init__(
        self,
        batches: Batches[T],
        send: Callable[[Request, Policy], Awaitable[Response]],
    ) -> None:
        self._batches = batches
        self._send = send
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        batches.on_change = self._changed.set

    async def start(self, job: Job[T]) -> None:
        """Begin a job."""
        self._batches.add(job)
        if self._batches.limit > 1:
            self._spawn()
        elif self._batches.hire():
            await self._work()

    async def wait(self, job: Job[T]) -> None:
        """Return once a job is done.

        Raises:
            EasyLLMError: If it, or any other job, has failed.
        """
        while job.left and self._batches.error is None:
            self._changed.clear()
            await self._changed.wait()
        if self._batches.error is not None:
            raise self._batches.error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._batches.stop(_Closed())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self) -> None:
        if self._batches.hire():
            task = asyncio.get_running_loop().create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        try:
            await arun(self._batches.work(self._spawn), self._do)
        except Exception as error:  # noqa: BLE001 - raised where the results are waited for
            self._batches.stop(error)

    async def _do(self, step: Step) -> Response | None:
        if not isinstance(step, float):
            return await self._send(*step)
        await asyncio.sleep(step)
        return None


def finish(batches: Batches[T], send: Callable[[Request, Policy], Response], job: Job[T]) -> None:
    """Do one job.

    Raises:
        EasyLLMError: If a batch of it fails for good.
    """
    with Threads(batches, send) as crew:
        crew.start(job)
        crew.wait(job)


async def afinish(
    batches: Batches[T], send: Callable[[Request, Policy], Awaitable[Response]], job: Job[T]
) -> None:
    """Do one job.

    Raises:
        EasyLLMError: If a batch of it fails for good.
    """
    async with Tasks(batches, send) as crew:
        await crew.start(job)
        await crew.wait(job)
