"""What an actor does: it has one stage, on one event loop, for all blocks that it gets."""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import Runnable

from .._http.background_loop import Background
from .._http.request_rate import divide_rates
from ..bulk.answering import RunnableStage
from ..bulk.batches import check_input_column
from ..bulk.classification import Fault, fault_of
from ..bulk.columns import check_columns, check_text_column, output_batch, stored
from ..bulk.embedding import DType, EmbeddingStage
from ..bulk.engine import JobProgress, Part, Stage, joined
from ..embeddings import EasyLLMEmbeddings
from ..errors import EasyLLMError
from .extra import needs_ray
from .travel import unpack
from .user_error import as_user_error

with needs_ray():
    import pyarrow as pa
    import ray
    from ray.data import DataContext

FIRST_PATIENCE = 30.0
"""Seconds that an actor waits at most for a server that has not answered it yet."""


@dataclass(frozen=True, slots=True)
class EmbedWork:
    """The vectors of a column.

    Attributes:
        column: The column.
        dtype: The type of the vectors' numbers.
        max_concurrency: The most requests of an actor in flight.
    """

    column: str
    dtype: DType
    max_concurrency: int
    name = "embeddings"

    def check(self, schema: pa.Schema) -> None:
        check_text_column(schema, self.column)

    def stage(self, given: EasyLLMEmbeddings, progress: JobProgress, patience: float) -> Stage:
        given.max_concurrency = self.max_concurrency
        return EmbeddingStage(given, self.column, self.dtype, progress, patience)


@dataclass(frozen=True, slots=True)
class RunWork:
    """The answers of a runnable.

    Attributes:
        column: The column that is its input; None for the row as a dictionary.
        max_concurrency: The most rows that an actor answers at a time.
    """

    column: str | None
    max_concurrency: int
    name = "runnable"

    def check(self, schema: pa.Schema) -> None:
        check_input_column(schema, self.column)

    def stage(self, given: Runnable[Any, Any], progress: JobProgress, patience: float) -> Stage:
        return RunnableStage(given, self.column, self.max_concurrency, progress, patience)


@dataclass(frozen=True, slots=True)
class ActorTask:
    """What each actor of a job is given.

    Attributes:
        work: What is done.
        packed: The embeddings or the runnable.
        into: The name of the column of values.
        keep: The input's columns that the results have; None for all.
        actors: How many actors share the limits.
        max_errors: The share of rows of an actor that may fail.
        patience: For how many seconds nobody has to be answered for the job to be given up.
    """

    work: EmbedWork | RunWork
    packed: bytes
    into: str
    keep: tuple[str, ...] | None
    actors: int
    max_errors: float
    patience: float

    def check(self, schema: pa.Schema) -> list[str]:
        """Return the input's columns that the results have."""
        self.work.check(schema)
        return check_columns(schema, self.into, self.keep)


class BulkActor:
    """A callable for `map_batches`; its calls run in threads of an actor, some at a time."""

    def __init__(self, task: ActorTask) -> None:
        divide_rates(task.actors)
        longest = task.patience if _was_restarted() else FIRST_PATIENCE
        self._first_patience = min(task.patience, longest)
        self._task = task
        self._progress = JobProgress(max_errors=task.max_errors)
        self._loop = Background()
        self._stage: Stage | None = None
        self._opening = asyncio.Lock()

    def __call__(self, block: pa.Table) -> pa.Table:
        try:
            return self._loop.run(self._process(block))
        except EasyLLMError as error:
            # Ray's wrapper would hide the class: the error is one that needs none.
            DataContext.get_current().raise_original_map_exception = True
            raise as_user_error(error) from None

    async def _process(self, block: pa.Table) -> pa.Table:
        rows = joined(block.to_batches())
        kept = self._task.check(rows.schema)
        async with self._opening:
            stage = self._stage = self._stage or await self._open()
        outcome = await stage.process(Part(0, 0, rows))
        outcome.values = stored(outcome.values, stage.stored_type)
        return pa.Table.from_batches([output_batch(rows, kept, self._task.into, outcome)])

    async def _open(self) -> Stage:
        """Return the stage once the server is there: a new actor may meet it as it restarts."""
        work = self._task.work
        given = unpack(self._task.packed, work.name)
        stage = work.stage(given, self._progress, self._task.patience)
        stage.watch.patience = self._first_patience
        while True:
            await stage.watch.ready()
            try:
                await stage.__aenter__()
            except EasyLLMError as error:
                if fault_of(error, was_answered=False) is not Fault.SERVER:
                    raise
                stage.watch.failed(error, [])
                continue
            if stage.watch.failure is not None:
                stage.watch.answered()
            stage.watch.patience = self._task.patience
            return stage


def _was_restarted() -> bool:
    """Whether the actor replaces one whose node, or process, died."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Ray's own functions
        restarted: bool = ray.get_runtime_context().was_current_actor_reconstructed
        return restarted
