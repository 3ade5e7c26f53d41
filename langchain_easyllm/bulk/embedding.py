"""The stage that embeds a column of texts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Literal, Self

from .._batch.embedding import ArrayJob
from .._batch.scheduler import Batch
from .._protocols.embeddings import Vector
from .._protocols.texts import prepare_texts
from ..embeddings import EasyLLMEmbeddings
from ..errors import ConfigurationError, EasyLLMError
from .classification import Fault, fault_of, is_rate_limit, tries_of
from .engine import JobProgress, Outcome, Part
from .extra import needs_arrow
from .server_watch import Failures, ServerWatch

with needs_arrow():
    import numpy as np
    import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .._batch.workers import WorkerPool

DType = Literal["float32", "float16"]

MOST_AHEAD = 16
"""The most parts under way."""

_GROUP = 4
"""Texts in a request where one of them seems to be what the server cannot answer."""


def check_embeddings(embeddings: object, dtype: str) -> None:
    if not isinstance(embeddings, EasyLLMEmbeddings):
        raise ConfigurationError(f"EasyLLMEmbeddings are wanted, not {type(embeddings).__name__}.")
    if dtype not in ("float32", "float16"):
        raise ConfigurationError(f"dtype={dtype!r} is neither 'float32' nor 'float16'.")


class _PartJob(ArrayJob):
    """A job whose answers are noted as they come."""

    def __init__(self, texts: Sequence[str], first: int, stage: EmbeddingStage) -> None:
        super().__init__(texts, first, errors={})
        self.tokens = 0
        self.rejected: set[int] = set()
        self._stage = stage

    def reject(self, batch: Batch[Vector], errors: Mapping[int, EasyLLMError]) -> Batch[Vector]:
        self.rejected.update(batch.positions[place] for place in errors)
        self._stage.watch.answered()
        return super().reject(batch, errors)

    def put(self, batch: Batch[Vector], results: Sequence[Vector]) -> None:
        rejected = len(self.rejected)
        super().put(batch, results)
        self._stage.progress.done += len(batch.positions) + rejected - len(self.rejected)
        self._stage.watch.answered()


class EmbeddingStage:
    """Embeds the texts of a column.

    Args:
        embeddings: What embeds them.
        column: The column.
        dtype: The type of the vectors' numbers.
        progress: Where the progress is noted.
        patience: For how many seconds nobody has to be answered for the job to be given up.
    """

    def __init__(
        self,
        embeddings: EasyLLMEmbeddings,
        column: str,
        dtype: DType,
        progress: JobProgress,
        patience: float,
    ) -> None:
        check_embeddings(embeddings, dtype)
        self.progress = progress
        self.watch = ServerWatch(patience)
        self.model: str | None = None  # the server's name for it, where no other was given
        self.dimensions: int | None = embeddings.dimensions
        self._embeddings = embeddings
        self._column = column
        self._dtype = dtype
        self._stack = AsyncExitStack()
        self._pool: WorkerPool[Vector] | None = None
        self._opening = asyncio.Lock()
        self._texts_in_flight = 1
        progress.failure = lambda: self.watch.failure

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def parts_ahead(self, part_rows: int) -> int:
        """Return how many parts keep as many requests in flight as there may be."""
        return min(-(-self._texts_in_flight // part_rows) + 1, MOST_AHEAD)

    async def _open(self, *, anew: bool = False) -> WorkerPool[Vector]:
        """Return the pool of workers; `anew`, for a server that may not be the one before."""
        async with self._opening:
            if self._pool is None or anew:
                client = self._embeddings._embedding_client()  # noqa: SLF001 - of this package
                if anew:
                    client.session.recheck()
                pool, batches, server = await client.aopen_pool()
                named = self._embeddings.model or (server.model if server else None)
                if self.model and named and self.model != named:
                    raise ConfigurationError(
                        f"The server has the model {named} now, and the vectors so far are of "
                        f"{self.model}: vectors of two models do not fit together."
                    )
                self.model = named or self.model
                self._texts_in_flight = batches.limit * batches.size
                self._pool = await self._stack.enter_async_context(pool)
            return self._pool

    async def process(self, part: Part) -> Outcome:
        """Embed the texts of a part."""
        texts = part.rows.column(self._column).to_pylist()
        refused: dict[int, EasyLLMError] = {}
        prompt = self._embeddings.document_prompt
        prepared = prepare_texts(texts, prompt, part.first, refused)
        rows = _Rows(self, part.first, prepared)
        for position, error in refused.items():
            null = ConfigurationError("The text is null.") if texts[position] is None else error
            rows.errors[position] = self.progress.fail(null)
        await rows.embed([position for position in range(len(texts)) if position not in refused])
        self.progress.input_tokens += rows.tokens or 0
        return Outcome(self._array(rows), rows.errors, tokens=(rows.tokens, None))

    @property
    def stored_type(self) -> pa.DataType:
        return pa.list_(pa.float16() if self._dtype == "float16" else pa.float32())

    def note_dimensions(self, found: int) -> None:
        if self.dimensions not in (None, found):
            raise ConfigurationError(
                f"The vectors have {found} dimensions now, and those so far {self.dimensions}: "
                "vectors of two models do not fit together."
            )
        self.dimensions = found

    def _array(self, rows: _Rows) -> pa.Array:
        vectors, count = rows.vectors, len(rows.texts)
        if vectors is None:
            return pa.nulls(count)
        if self._dtype == "float16":
            with np.errstate(over="ignore"):
                vectors = vectors.astype("float16")
            lost = ~np.isfinite(vectors).all(axis=1) | ~vectors.any(axis=1)
            for position in np.flatnonzero(lost).tolist():
                if position not in rows.errors:
                    error = ConfigurationError("The vector has numbers beyond float16.")
                    self.progress.done -= 1
                    rows.errors[position] = self.progress.fail(error)
        mask = None
        if rows.errors:
            mask = np.zeros(count, dtype=bool)
            mask[list(rows.errors)] = True
            vectors[mask] = 0
        values = pa.array(vectors.reshape(-1))
        return pa.FixedSizeListArray.from_arrays(
            values, vectors.shape[1], mask=None if mask is None else pa.array(mask)
        )


class _Rows:
    """The texts of one part on their way to vectors."""

    def __init__(self, stage: EmbeddingStage, first: int, texts: list[str]) -> None:
        self.texts = texts
        self.errors: dict[int, str] = {}
        self.vectors: NDArray[np.float32] | None = None
        self.tokens: int | None = 0
        self._stage = stage
        self._first = first
        self._failures: dict[int, Failures] = {}

    async def embed(self, pending: list[int]) -> None:
        """Embed the texts at these positions; each has a vector or an error then."""
        watch = self._stage.watch
        while pending:
            tried = [self._failures[p].others_answered for p in pending if p in self._failures]
            alone = await watch.ready(max(tried, default=0))
            if alone:  # the server may be another one by now
                try:
                    await self._stage._open(anew=True)  # noqa: SLF001 - of this module
                except EasyLLMError as error:
                    if fault_of(error, was_answered=watch.answers > 0) is not Fault.SERVER:
                        raise
            now, later = (pending[:1], pending[1:]) if alone else (pending, [])
            pending = later + await self._send(now)

    async def _send(self, positions: list[int]) -> list[int]:
        """Send texts, and return those to send again."""
        pool = await self._stage._open()  # noqa: SLF001 - of this module
        answers = self._stage.watch.answers
        groups = self._groups(positions)
        whole = len(positions) == len(self.texts) and len(groups) == 1
        jobs = []
        for group in groups:
            texts = self.texts if whole else [self.texts[position] for position in group]
            jobs.append(_PartJob(texts, self._first if whole else 0, self._stage))
            await pool.start(jobs[-1])
        again: list[int] = []
        for group, job in zip(groups, jobs, strict=True):
            await pool.wait(job)
            self._take(group, job)
            again += self._failed(group, job, answers)
        return again

    def _groups(self, positions: list[int]) -> list[list[int]]:
        groups: list[list[int]] = [[]]
        for position in positions:
            failures = self._failures.get(position)
            suspected = failures.others_answered if failures else 0
            if suspected < 2:
                groups[0].append(position)
            elif suspected > 2 or len(groups) == 1 or len(groups[-1]) == _GROUP:
                groups.append([position])
            else:
                groups[-1].append(position)
        return [group for group in groups if group]

    def _take(self, group: list[int], job: _PartJob) -> None:
        """Take the vectors of a job."""
        counted = job.tokens is not None and self.tokens is not None
        self.tokens = (self.tokens or 0) + (job.tokens or 0) if counted else None
        if not job.array.size:
            return
        self._stage.note_dimensions(job.array.shape[1])
        if self.vectors is None and len(group) == len(self.texts):
            self.vectors = job.array
            return
        if self.vectors is None:
            self.vectors = np.zeros((len(self.texts), job.array.shape[1]), dtype="float32")
        good = [index for index in range(len(group)) if index not in (job.errors or {})]
        self.vectors[[group[index] for index in good]] = job.array[good]

    def _failed(self, group: list[int], job: _PartJob, answers: int) -> list[int]:
        """Note the errors of a job's texts; returns the positions of those to send again."""
        watch = self._stage.watch
        unanswered = {}
        for index, error in sorted((job.errors or {}).items()):
            fault = fault_of(error, was_answered=watch.answers > 0)
            if index in job.rejected:  # sent again, it would have the same vector
                fault = Fault.ROW
            if fault is Fault.JOB:
                raise error
            if fault is Fault.ROW:
                watch.answered()
                self.errors[group[index]] = self._stage.progress.fail(error)
            else:
                unanswered[group[index]] = error
        if not unanswered:
            return []
        for position in unanswered:
            if position not in self._failures:
                self._failures[position] = Failures(answers)
        one = next(iter(unanswered.values()))
        given_up = watch.failed(one, [self._failures[position] for position in unanswered])
        return [
            position
            for position, error in unanswered.items()
            if not self._is_final(position, error, given_up=given_up, alone=len(group) == 1)
        ]

    def _is_final(self, position: int, error: EasyLLMError, *, given_up: bool, alone: bool) -> bool:
        """Whether a server's error is taken for the text's own, and noted."""
        tried = self._failures[position].others_answered
        final = (alone or is_rate_limit(error)) and (given_up or tried >= tries_of(error))
        if final:
            self.errors[position] = self._stage.progress.fail(error)
        return final
