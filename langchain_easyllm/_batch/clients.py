"""Embeds and reranks: finds out which server it is, cuts texts into requests, sends them."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from .._http.event_loop import running_loop
from .._http.models import RetryPolicy
from .._protocols.embeddings import EmbeddingApi, Vector
from .._protocols.pair_scores import PairApi
from .._protocols.rerank import RerankApi
from .._protocols.sparse_vectors import SparseVector
from .._protocols.texts import Pair
from .._servers.profile import ServerInfo
from .._servers.session import ServerSession
from .embedding import ArrayJob, EmbeddingRequest, EmbeddingTask
from .pair_scoring import PairRequest, in_order, plan_scoring
from .reranking import RerankRequest, RerankTask
from .scheduler import BatchJob, BatchScheduler, Task
from .sparse import SparseRequest, SparseTask
from .windows import MOST_TEXTS, Windows
from .workers import WorkerPool, arun_jobs, blocking_pool, run_jobs

if TYPE_CHECKING:
    from .embedding import Array


T = TypeVar("T")
J = TypeVar("J", bound=BatchJob[Any])

DEFAULT_SIZE = 32
"""Texts per request where the server does not say how many it takes: TEI's own default."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    batch_size: int | None
    max_bytes: int
    max_concurrency: int
    policy: RetryPolicy

    def size(self, server: ServerInfo | None) -> int:
        allowed = server.max_batch if server and server.tei else None
        return min(self.batch_size or allowed or DEFAULT_SIZE, allowed or sys.maxsize)

    def scheduler(
        self, task: Task[T], server: ServerInfo | None, jobs: Sequence[BatchJob[T]] | None = None
    ) -> BatchScheduler[T]:
        """Return what cuts texts into requests; without `jobs`, nobody knows how many come."""
        size, limit = self.size(server), self.max_concurrency
        requests = sys.maxsize
        if jobs is None:
            size = min(size, MOST_TEXTS)
        if server and server.profile.max_concurrency:
            limit = server.profile.max_concurrency
        if jobs is not None:
            batches = (
                max(-(-len(job.texts) // size), -(-job.length // self.max_bytes)) for job in jobs
            )
            requests = sum(batches)
            limit = min(limit, requests)
        return BatchScheduler(
            task,
            size=size,
            max_bytes=self.max_bytes,
            limit=limit,
            policy=self.policy,
            single=requests == 1,
        )


@dataclass(frozen=True)
class _ServerClient(ABC):
    session: ServerSession
    limits: BatchLimits

    @abstractmethod
    def depends_on_server(self, *, many: bool) -> bool:
        """Whether the requests depend on which server answers them."""

    def _detect(self, *, many: bool) -> ServerInfo | None:
        if self.depends_on_server(many=many):
            return self.session.detect(self.limits.policy)
        return self.session.server

    async def _adetect(self, *, many: bool) -> ServerInfo | None:
        if self.depends_on_server(many=many):
            return await self.session.adetect(self.limits.policy)
        return self.session.server


@dataclass(frozen=True)
class _BatchClient(_ServerClient, Generic[T]):
    """Sends the texts of a call in as few requests as the server allows."""

    @abstractmethod
    def task(self, server: ServerInfo | None) -> Task[T]:
        """Return what builds the requests."""

    def run(self, job: J) -> J:
        """Send the texts of a job, and return it with their results."""
        if job.left:
            server = self._detect(many=len(job.texts) > 1)
            scheduler = self.limits.scheduler(self.task(server), server, [job])
            run_jobs(scheduler, self.session.transport, [job])
        return job

    async def arun(self, job: J) -> J:
        running_loop()
        if job.left:
            server = await self._adetect(many=len(job.texts) > 1)
            scheduler = self.limits.scheduler(self.task(server), server, [job])
            await arun_jobs(scheduler, self.session.transport, [job])
        return job


@dataclass(frozen=True)
class EmbeddingClient(_BatchClient[Vector]):
    request: EmbeddingRequest

    def depends_on_server(self, *, many: bool) -> bool:
        if self.session.url.router:
            return False
        # Elsewhere it decides on the protocol, on field names, a name for the model, or the route.
        unknown_size = many and self.limits.batch_size is None
        return self.request.api is not EmbeddingApi.EMBED or unknown_size

    def task(self, server: ServerInfo | None) -> EmbeddingTask:
        return EmbeddingTask(self.request, self.session, server)

    async def aopen_pool(
        self,
    ) -> tuple[WorkerPool[Vector], BatchScheduler[Vector], ServerInfo | None]:
        """Return a pool for any number of jobs, what cuts them into requests, and the server."""
        running_loop()
        server = await self._adetect(many=True)
        batches = self.limits.scheduler(self.task(server), server)
        return WorkerPool(batches, self.session.transport), batches, server

    def iter_arrays(
        self, texts: Iterable[str], prompt: str, *, return_exceptions: bool
    ) -> Iterator[Array]:
        """Yield vectors as arrays, in the order of the texts, which are read as they are needed."""
        server = self._detect(many=True)
        jobs: deque[ArrayJob] = deque()
        task = self.task(server)
        batches = self.limits.scheduler(task, server)
        windows = Windows(batches.size, prompt, return_exceptions=return_exceptions)
        ahead = windows.ahead(batches.limit * batches.size)
        with blocking_pool(batches, self.session.transport) as workers:
            for job in windows.jobs(texts):
                workers.start(job)
                jobs.append(job)
                while jobs and (len(jobs) > ahead or not jobs[0].left):
                    workers.wait(jobs[0])
                    yield jobs.popleft().rows(task.dimensions)
            while jobs:
                workers.wait(jobs[0])
                yield jobs.popleft().rows(task.dimensions)

    async def aiter_arrays(
        self, texts: Iterable[str] | AsyncIterable[str], prompt: str, *, return_exceptions: bool
    ) -> AsyncGenerator[Array, None]:
        running_loop()
        server = await self._adetect(many=True)
        jobs: deque[ArrayJob] = deque()
        task = self.task(server)
        batches = self.limits.scheduler(task, server)
        windows = Windows(batches.size, prompt, return_exceptions=return_exceptions)
        ahead = windows.ahead(batches.limit * batches.size)
        async with WorkerPool(batches, self.session.transport) as workers:
            async for job in windows.ajobs(texts):
                await workers.start(job)
                jobs.append(job)
                while jobs and (len(jobs) > ahead or not jobs[0].left):
                    await workers.wait(jobs[0])
                    yield jobs.popleft().rows(task.dimensions)
            while jobs:
                await workers.wait(jobs[0])
                yield jobs.popleft().rows(task.dimensions)


@dataclass(frozen=True)
class RerankClient(_BatchClient[float]):
    request: RerankRequest

    def depends_on_server(self, *, many: bool) -> bool:  # noqa: ARG002 - one text is rare
        if self.session.url.router:
            return False
        return self.request.api in (None, RerankApi.JINA) or self.limits.batch_size is None

    def task(self, server: ServerInfo | None) -> RerankTask:
        return RerankTask(self.request, self.session, server)

    def scores(self, texts: list[str]) -> list[float]:
        return cast("list[float]", self.run(BatchJob[float](texts)).results)

    async def ascores(self, texts: list[str]) -> list[float]:
        return cast("list[float]", (await self.arun(BatchJob[float](texts))).results)


@dataclass(frozen=True)
class PairClient(_ServerClient):
    """Scores pairs; how many jobs they are depends on the server."""

    request: PairRequest

    def depends_on_server(self, *, many: bool) -> bool:
        if self.session.url.router:
            return False
        unknown_size = many and self.limits.batch_size is None
        return self.request.api not in (PairApi.PREDICT, RerankApi.TEI) or unknown_size

    def scores(self, pairs: list[Pair]) -> list[float]:
        server = self._detect(many=len(pairs) > 1)
        task, jobs = plan_scoring(self.request, self.session, server, pairs)
        run_jobs(self.limits.scheduler(task, server, jobs), self.session.transport, jobs)
        return in_order(jobs, len(pairs))

    async def ascores(self, pairs: list[Pair]) -> list[float]:
        running_loop()
        server = await self._adetect(many=len(pairs) > 1)
        task, jobs = plan_scoring(self.request, self.session, server, pairs)
        await arun_jobs(self.limits.scheduler(task, server, jobs), self.session.transport, jobs)
        return in_order(jobs, len(pairs))


@dataclass(frozen=True)
class SparseClient(_BatchClient[SparseVector]):
    request: SparseRequest

    def depends_on_server(self, *, many: bool) -> bool:  # noqa: ARG002 - it may not be TEI
        return not self.session.url.router

    def task(self, server: ServerInfo | None) -> SparseTask:
        return SparseTask(self.request, self.session, server)

    def vectors(self, texts: list[str]) -> list[SparseVector]:
        return cast("list[SparseVector]", self.run(BatchJob[SparseVector](texts)).results)

    async def avectors(self, texts: list[str]) -> list[SparseVector]:
        job = await self.arun(BatchJob[SparseVector](texts))
        return cast("list[SparseVector]", job.results)
