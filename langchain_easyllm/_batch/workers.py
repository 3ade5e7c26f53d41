"""Workers side by side: tasks of the running event loop, or of one in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from .._http.exchange import arun_flow, run_flow
from .._http.stream import AsyncClosing, Closing
from .background_loop import background
from .scheduler import BatchJob, BatchScheduler

if TYPE_CHECKING:
    from .._http.client import Transport

__all__ = ["Tasks", "arun_job", "run_job", "worker_pool"]


T = TypeVar("T")


class _Closed(Exception):  # noqa: N818 - a reason, not an error
    """Nobody waits for the results any more."""


class Tasks(AsyncClosing, Generic[T]):
    """Works on jobs in tasks of the running event loop; closing it cancels them.

    Args:
        batches: What is to be done.
        sender: Sends the requests.
    """

    def __init__(self, batches: BatchScheduler[T], sender: Transport) -> None:
        self._batches = batches
        self._sender = sender
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        batches.on_change = self._changed.set

    async def start(self, job: BatchJob[T]) -> None:
        """Begin a job; where one worker is enough, do it."""
        self._batches.add(job)
        if self._batches.limit > 1:
            self._spawn()
        elif self._batches.hire():
            await self._work()

    async def wait(self, job: BatchJob[T]) -> None:
        """Return once a job is done.

        Raises:
            EasyLLMError: If it, or any other job, has failed.
        """
        while job.left and self._batches.error is None:
            self._changed.clear()
            await self._changed.wait()
        if self._batches.error is not None:
            raise self._batches.error

    async def aclose(self) -> None:
        """Cancel what is under way."""
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
            await arun_flow(self._batches.work(self._spawn), lambda step: self._sender.asend(*step))
        except Exception as error:  # noqa: BLE001 - raised where the results are waited for
            self._batches.stop(error)


class _BackgroundWorkers(Closing, Generic[T]):
    """Works on jobs in tasks of the background loop; closing it cancels them."""

    def __init__(self, batches: BatchScheduler[T], sender: Transport) -> None:
        self._tasks = Tasks(batches, sender)
        self._loop = background()

    def start(self, job: BatchJob[T]) -> None:
        self._loop.run(self._tasks.start(job))

    def wait(self, job: BatchJob[T]) -> None:
        self._loop.run(self._tasks.wait(job))

    def close(self) -> None:
        # Not waited for: a generator that holds this may be collected on the loop itself.
        self._loop.start(self._tasks.aclose())


class _SerialWorkers(Closing, Generic[T]):
    """Works on jobs where it is called, one request after the other."""

    def __init__(self, batches: BatchScheduler[T], sender: Transport) -> None:
        self._batches = batches
        self._sender = sender

    def start(self, job: BatchJob[T]) -> None:
        self._batches.add(job)
        if self._batches.hire():
            run_flow(self._batches.work(lambda: None), lambda step: self._sender.send(*step))

    def wait(self, job: BatchJob[T]) -> None:  # noqa: ARG002 - it is done, or has failed
        if self._batches.error is not None:
            raise self._batches.error

    def close(self) -> None:
        """Nothing is under way."""


def worker_pool(
    batches: BatchScheduler[T], sender: Transport
) -> _BackgroundWorkers[T] | _SerialWorkers[T]:
    """Return who works on jobs for a caller that blocks; a context manager like `Tasks`.

    Args:
        batches: What is to be done.
        sender: Sends the requests.
    """
    return (
        _BackgroundWorkers(batches, sender)
        if batches.limit > 1
        else _SerialWorkers(batches, sender)
    )


def run_job(batches: BatchScheduler[T], sender: Transport, job: BatchJob[T]) -> None:
    """Do one job.

    Raises:
        EasyLLMError: If a batch of it fails for good.
    """
    with _dropped_if_failed(job), worker_pool(batches, sender) as workers:
        workers.start(job)
        workers.wait(job)


async def arun_job(batches: BatchScheduler[T], sender: Transport, job: BatchJob[T]) -> None:
    """Do one job.

    Raises:
        EasyLLMError: If a batch of it fails for good.
    """
    with _dropped_if_failed(job):
        async with Tasks(batches, sender) as workers:
            await workers.start(job)
            await workers.wait(job)


@contextmanager
def _dropped_if_failed(job: BatchJob[T]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # A traceback has the job in its frames, and is a cycle as a rule: until that is collected,
        # each failed call would keep its vectors.
        job.drop()
        raise
