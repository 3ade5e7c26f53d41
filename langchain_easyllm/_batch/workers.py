"""Pools of workers: tasks of the running event loop, or of one in a background thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from .._http.background_loop import background
from .._http.client import ThreadedTransport
from .._http.exchange import arun_flow, run_flow
from .._http.stream import AsyncClosing, Closing
from .scheduler import BatchJob, BatchScheduler

if TYPE_CHECKING:
    from .._http.client import Transport


T = TypeVar("T")


class _Closed(Exception):  # noqa: N818 - a reason, not an error
    """Nobody waits for the results any more."""


class WorkerPool(AsyncClosing, Generic[T]):
    """Runs jobs in tasks of the running event loop; closing it cancels them."""

    def __init__(self, batches: BatchScheduler[T], sender: Transport) -> None:
        self._batches = batches
        self._sender = sender
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        batches.on_change = self._changed.set

    async def start(self, job: BatchJob[T]) -> None:
        """Start a job; where one worker is enough, run it."""
        self._batches.add(job)
        if self._batches.limit > 1:
            self._spawn()
        elif self._batches.add_worker():
            await self._run_worker()

    async def wait(self, job: BatchJob[T]) -> None:
        """Wait until a job is done; raise the error if it, or any other job, has failed."""
        while job.left and self._batches.error is None:
            self._changed.clear()
            await self._changed.wait()
        if self._batches.error is not None:
            raise self._batches.error

    async def aclose(self) -> None:
        self._batches.stop(_Closed())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self) -> None:
        if self._batches.add_worker():
            task = asyncio.get_running_loop().create_task(self._run_worker())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run_worker(self) -> None:
        try:
            await arun_flow(self._batches.run(self._spawn), lambda step: self._sender.asend(*step))
        except Exception as error:  # noqa: BLE001 - raised where the results are waited for
            self._batches.stop(error)


class BackgroundWorkers(Closing, Generic[T]):
    """Runs jobs in tasks of the background loop; closing it cancels them."""

    def __init__(self, batches: BatchScheduler[T], sender: Transport) -> None:
        self._pool = WorkerPool(batches, sender)
        self._loop = background()

    def start(self, job: BatchJob[T]) -> None:
        self._loop.run(self._pool.start(job))

    def wait(self, job: BatchJob[T]) -> None:
        self._loop.run(self._pool.wait(job))

    def close(self) -> None:
        # Not waited for: a generator that holds this may be collected on the loop itself.
        self._loop.start(self._pool.aclose())


class SerialWorkers(Closing, Generic[T]):
    """Runs jobs in the calling thread, one request after the other."""

    def __init__(self, batches: BatchScheduler[T], sender: Transport) -> None:
        self._batches = batches
        self._sender = sender

    def start(self, job: BatchJob[T]) -> None:
        self._batches.add(job)
        if self._batches.add_worker():
            run_flow(self._batches.run(lambda: None), lambda step: self._sender.send(*step))

    def wait(self, job: BatchJob[T]) -> None:  # noqa: ARG002 - it is done, or has failed
        if self._batches.error is not None:
            raise self._batches.error

    def close(self) -> None:
        """Nothing is running."""


def blocking_pool(
    batches: BatchScheduler[T], sender: Transport
) -> BackgroundWorkers[T] | SerialWorkers[T]:
    if batches.limit > 1:
        if isinstance(sender, ThreadedTransport):
            sender = sender.threaded()
        return BackgroundWorkers(batches, sender)
    return SerialWorkers(batches, sender)


def run_jobs(batches: BatchScheduler[T], sender: Transport, jobs: Sequence[BatchJob[T]]) -> None:
    """Run jobs side by side until all of them are done."""
    with _dropped_if_failed(jobs), blocking_pool(batches, sender) as workers:
        for job in jobs:
            workers.start(job)
        for job in jobs:
            workers.wait(job)


async def arun_jobs(
    batches: BatchScheduler[T], sender: Transport, jobs: Sequence[BatchJob[T]]
) -> None:
    """Run jobs side by side until all of them are done."""
    with _dropped_if_failed(jobs):
        async with WorkerPool(batches, sender) as workers:
            for job in jobs:
                await workers.start(job)
            for job in jobs:
                await workers.wait(job)


@contextmanager
def _dropped_if_failed(jobs: Sequence[BatchJob[T]]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # A traceback has the jobs in its frames, and is a cycle as a rule: until that is collected,
        # each failed call would keep its vectors.
        for job in jobs:
            job.drop()
        raise
