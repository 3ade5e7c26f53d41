"""Shards of Arrow batches in, batches with results out: for Ray, Spark and own loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

from langchain_core.runnables import Runnable

from ..embeddings import EasyLLMEmbeddings
from .answering import RunnableStage
from .columns import check_column, check_columns, check_text_column, output_batch
from .embedding import DType, EmbeddingStage
from .engine import PART_ROWS, JobProgress, Part, Stage, check_count, cut, process_parts
from .extra import needs_arrow
from .loop_thread import iterate_blocking
from .sources import ArrowSource

with needs_arrow():
    import pyarrow as pa

MAX_CONCURRENCY = 128
"""The default number of rows that a runnable answers at a time."""

PATIENCE = 600.0
"""The default number of seconds without any answer after which a job is given up."""


def embed_batches(
    batches: Iterable[pa.RecordBatch],
    embeddings: EasyLLMEmbeddings,
    *,
    column: str = "text",
    into: str = "embedding",
    keep: Sequence[str] | None = None,
    dtype: DType = "float32",
    part_rows: int = PART_ROWS,
    patience: float = PATIENCE,
) -> Iterator[pa.RecordBatch]:
    """Embed a column of Arrow batches; the core of `embed`, without files.

    Args:
        batches: The batches; they are read as they are needed.
        embeddings: What embeds the texts.
        column: The column of the texts.
        into: The name of the column of vectors.
        keep: The input's columns that the results have. Default None: all.
        dtype: The type of the vectors' numbers: `"float32"` or `"float16"`.
        part_rows: The number of rows in each batch that is yielded.
        patience: The seconds without any answer after which a server that fails is given up.

    Yields:
        The rows in their order, with the columns that `embed` writes.

    Raises:
        EasyLLMError: If the error is not about single rows, or the server is away for too long.
    """
    stage = EmbeddingStage(embeddings, column, dtype, JobProgress(), patience)
    check = partial(check_text_column, name=column)
    return _iterate(batches, stage, check, part_rows, into=into, keep=keep)


def run_batches(
    batches: Iterable[pa.RecordBatch],
    runnable: Runnable[Any, Any],
    *,
    column: str | None = None,
    into: str = "answer",
    keep: Sequence[str] | None = None,
    max_concurrency: int = MAX_CONCURRENCY,
    part_rows: int = PART_ROWS,
    patience: float = PATIENCE,
) -> Iterator[pa.RecordBatch]:
    """Run a chain or a model on each row of Arrow batches; the core of `run`, without files.

    Args:
        batches: The batches; they are read as they are needed.
        runnable: The runnable.
        column: The column that is its input. Default None: the row as a dictionary.
        into: The name of the column of answers.
        keep: The input's columns that the results have. Default None: all.
        max_concurrency: The number of rows that are answered at a time.
        part_rows: The number of rows in each batch that is yielded.
        patience: The seconds without any answer after which a server that fails is given up.

    Yields:
        The rows in their order, with the columns that `run` writes.

    Raises:
        EasyLLMError: If the error is not about single rows, or the server is away for too long.
    """
    stage = RunnableStage(runnable, column, max_concurrency, JobProgress(), patience)
    check = partial(check_input_column, column=column)
    return _iterate(batches, stage, check, part_rows, into=into, keep=keep)


def check_input_column(schema: pa.Schema, column: str | None) -> None:
    if column is not None:
        check_column(schema, column)


def _iterate(
    batches: Iterable[pa.RecordBatch],
    stage: Stage,
    check: Callable[[pa.Schema], None],
    part_rows: int,
    *,
    into: str,
    keep: Sequence[str] | None,
) -> Iterator[pa.RecordBatch]:
    """Iterate over the rows of batches with what came of them, in their order."""
    check_count("part_rows", part_rows)

    def begin() -> tuple[list[str], Iterator[Part]]:
        source = ArrowSource(batches)
        parts = cut(source.batches(), part_rows)
        if source.is_empty:
            return [], parts
        check(source.schema)
        return check_columns(source.schema, into, keep), parts

    async def results() -> AsyncGenerator[pa.RecordBatch, None]:
        kept, parts = await asyncio.to_thread(begin)
        first = await asyncio.to_thread(next, parts, None)
        if first is None:
            return  # no server need be there

        async def work(part: Part) -> pa.RecordBatch:
            return output_batch(part.rows, kept, into, await stage.process(part))

        async with stage:
            ahead = stage.parts_ahead(part_rows)
            async for batch in process_parts(chain([first], parts), work, ahead):
                yield batch

    return iterate_blocking(results())
