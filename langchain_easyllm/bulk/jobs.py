"""Jobs from files to files: which rows are left, and what becomes of each part."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Any, TypedDict, Unpack

import orjson
from langchain_core.runnables import Runnable

from ..embeddings import EasyLLMEmbeddings
from ..errors import ConfigurationError
from .answering import RunnableStage
from .batches import MAX_CONCURRENCY, PATIENCE, check_input_column
from .columns import (
    ERROR,
    beside,
    check_columns,
    check_storable,
    check_text_column,
    plain_values,
    replaced,
    result_columns,
    stored,
)
from .embedding import DType, EmbeddingStage, check_embeddings
from .engine import PART_ROWS, JobProgress, Outcome, Part, Stage, check_count, cut, process_parts
from .extra import needs_arrow
from .loop_thread import run_blocking
from .parts import PartInfo, PartsFolder, add_reason, count_reasons
from .progress import shown
from .result import BulkResult
from .server_watch import check_patience
from .sources import RowSource, Source, open_source

with needs_arrow():
    import pyarrow as pa

__all__ = ["JobOptions", "embed", "run"]

_SETTINGS = (
    "model",
    "dimensions",
    "normalize",
    "prompt_name",
    "document_prompt",
    "pooling",
    "truncate",
    "truncation_direction",
    "model_kwargs",
)
"""What vectors depend on."""

_NUMBERS = orjson.OPT_NON_STR_KEYS


class JobOptions(TypedDict, total=False):
    """What `embed` and `run` have in common.

    Attributes:
        keep: The input's columns that the results have. Default: all.
        id_column: A column that identifies the rows: an id that is null, or there twice, is an
            error before anything is sent; for an iterable that can be read only once, when its row
            is read. Default: none.
        part_rows: The number of rows in a part. Default 4,096.
        max_errors: The share of rows that may fail before the job is stopped. Default 1: all.
        patience: The seconds without any answer after which a server that fails is given up.
            Default 600.
        retry_errors: Whether only the rows that failed are processed, in parts that are there, and
            these parts written again. Default False.
        show_progress: Whether a line on stderr shows the progress. Default: if it is a terminal, or
            in a notebook.
    """

    keep: Sequence[str] | None
    id_column: str | None
    part_rows: int
    max_errors: float
    patience: float
    retry_errors: bool
    show_progress: bool | None


def embed(
    source: Source,
    folder: str | os.PathLike[str],
    embeddings: EasyLLMEmbeddings,
    *,
    column: str = "text",
    into: str = "embedding",
    dtype: DType = "float32",
    **options: Unpack[JobOptions],
) -> BulkResult:
    """Embed a column of any number of texts, and write Parquet parts with their vectors.

    The same call continues a job that was stopped, for whatever reason: parts that are there are
    not made again.

    Args:
        source: A Parquet, JSON lines (`.jsonl`, `.ndjson`) or CSV file, a folder of them, or any
            iterable of Arrow batches and tables.
        folder: The folder for the parts; it is made if it is not there.
        embeddings: What embeds the texts.
        column: The column of the texts.
        into: The name of the column of vectors.
        dtype: The type of the vectors' numbers: `"float32"` or `"float16"`.
        **options: See `JobOptions`.

    Returns:
        What is in the folder then.

    Raises:
        EasyLLMError: If the job cannot run, or cannot go on; what was written stays.
    """
    check_embeddings(embeddings, dtype)
    patience = options.get("patience", PATIENCE)

    def stage(progress: JobProgress, before: PartInfo | None) -> EmbeddingStage:
        made = EmbeddingStage(embeddings, column, dtype, progress, patience)
        if before is not None:
            made.dimensions, made.model = before.dimensions or made.dimensions, before.model
        return made

    settings = {name: getattr(embeddings, name) for name in _SETTINGS}
    job = _Job(source, folder, into, options, stage)
    job.description = {"kind": "embed", "column": column, "dtype": dtype, "settings": settings}
    return job.run(lambda schema: check_text_column(schema, column))


def run(
    source: Source,
    folder: str | os.PathLike[str],
    runnable: Runnable[Any, Any],
    *,
    column: str | None = None,
    into: str = "answer",
    max_concurrency: int = MAX_CONCURRENCY,
    name: str | None = None,
    **options: Unpack[JobOptions],
) -> BulkResult:
    """Run a chain, a model or any other runnable on each row, and write Parquet parts with answers.

    The same call continues a job that was stopped, for whatever reason: parts that are there are
    not made again.

    Args:
        source: As for `embed`.
        folder: The folder for the parts; it is made if it is not there.
        runnable: The runnable. Texts and messages are written as text, other answers as JSON.
        column: The column that is its input. Default None: the row as a dictionary.
        into: The name of the column of answers.
        max_concurrency: The number of rows that are answered at a time.
        name: What tells the runnable from others, where the folder has a job already. Default: its
            own name.
        **options: See `JobOptions`.

    Returns:
        What is in the folder then.

    Raises:
        EasyLLMError: If the job cannot run, or cannot go on; what was written stays.
    """
    if not isinstance(runnable, Runnable):
        raise ConfigurationError(
            f"A runnable (a chain, a model) is wanted, not {type(runnable).__name__}."
        )
    check_count("max_concurrency", max_concurrency)
    patience = options.get("patience", PATIENCE)

    def stage(progress: JobProgress, _before: PartInfo | None) -> RunnableStage:
        return RunnableStage(runnable, column, max_concurrency, progress, patience)

    job = _Job(source, folder, into, options, stage)
    job.description = {"kind": "run", "column": column, "chain": name or runnable.get_name()}
    return job.run(lambda schema: check_input_column(schema, column))


@dataclass(slots=True)
class _Item:
    """A part to process: all of its rows, or those at some positions."""

    whole: Part
    positions: list[int] | None
    digest: str | None

    @property
    def part(self) -> Part:
        """What is processed."""
        if self.positions is None:
            return self.whole
        return replace(self.whole, rows=self.whole.rows.take(pa.array(self.positions)))


class _Job:
    """One run of a job."""

    def __init__(
        self,
        source: Source,
        folder: str | os.PathLike[str],
        into: str,
        options: JobOptions,
        stage: Callable[[JobProgress, PartInfo | None], Stage],
    ) -> None:
        self.description: dict[str, object] = {}
        if unknown := [name for name in options if name not in JobOptions.__annotations__]:
            raise TypeError(f"There is no argument {unknown[0]!r}.")
        # What runs may change the current folder.
        self._given = (
            _local_path(source, "source") if isinstance(source, str | os.PathLike) else source
        )
        self._folder = PartsFolder(_local_path(folder, "target"))
        self._into = into
        self._options = options
        self._new_stage = stage
        self._part_rows = options.get("part_rows", PART_ROWS)
        self._retries = options.get("retry_errors", False)
        share = options.get("max_errors", 1.0)
        check_count("part_rows", self._part_rows)
        check_patience(options.get("patience", PATIENCE))
        if not 0 <= share <= 1:
            raise ConfigurationError(f"max_errors={share!r} has to be a share from 0 to 1.")
        self._progress = JobProgress(max_errors=1.0 if self._retries else share)
        self._known: dict[int, PartInfo] = {}

    def run(self, check: Callable[[pa.Schema], None]) -> BulkResult:
        began = monotonic()
        self._check_folder()
        source = self._source = open_source(self._given)
        if not source.is_empty:
            check(source.schema)
            self._kept = check_columns(source.schema, self._into, self._options.get("keep"))
            check_storable(source.schema, self._kept)
            if id_column := self._options.get("id_column"):
                source.check_ids(id_column)
        job = {**self.description, **self._identity(source)}
        with self._folder.opened(job, is_new=not self._retries):
            self._known = {number: self._folder.info(number) for number in self._folder.finished}
            self._progress.total = self._rows_to_do(source)
            with shown(self._progress, self._options.get("show_progress")):
                run_blocking(self._process())
            result = self._result(monotonic() - began)
            if not self._retries:
                self._complete(job, result)
        return result

    def _check_folder(self) -> None:
        if isinstance(self._given, str | os.PathLike):
            source, folder = Path(self._given).resolve(), self._folder.path.resolve()
            if source.is_dir() and source in (folder, *folder.parents):
                raise ConfigurationError(
                    f"The results would lie among the input ({folder}): name another folder."
                )

    def _identity(self, source: RowSource) -> dict[str, object]:
        options = self._options
        keep = options.get("keep")
        return {
            "into": self._into,
            "keep": None if keep is None else list(keep),
            "id_column": options.get("id_column"),
            "part_rows": self._part_rows,
            "columns": {field.name: str(field.type) for field in source.schema},
            "inputs": source.describe(),
        }

    def _rows_to_do(self, source: RowSource) -> int | None:
        if self._retries:
            return sum(info.failed for info in self._known.values())
        there = sum(info.rows for info in self._known.values())
        return None if source.rows is None else source.rows - there

    async def _process(self) -> None:
        before = next((info for info in self._known.values() if info.dimensions), None)
        before = before or next(iter(self._known.values()), None)
        items = self._items()
        first = await asyncio.to_thread(next, items, None)
        if first is None:
            return  # nothing is left: no server need be there
        self._stage = self._new_stage(self._progress, before)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="easyllm-write")
        # Entered first: what was handed to the writer is written, whatever ends the job.
        async with AsyncExitStack() as stack:
            stack.enter_context(self._writer)
            await stack.enter_async_context(self._stage)
            ahead = self._stage.parts_ahead(self._part_rows)
            work = process_parts(chain([first], items), self._work, ahead)
            async for number, info in work:
                self._known[number] = info

    def _items(self) -> Iterator[_Item]:
        """Yield the parts that are to be processed; those that are there are compared with it."""
        anonymous = not self._source.describe()
        count, most = 0, max(self._known, default=-1) + 1
        for part in cut(self._source.batches(), self._part_rows):
            count += 1
            digest = _digest(part.rows) if anonymous else None
            there = self._known.get(part.number)
            if there is None:
                if not self._retries:
                    yield _Item(part, None, digest)
                continue
            if (there.rows, there.digest) != (part.rows.num_rows, digest):
                raise self._other_rows(part.number)
            if self._retries and there.failed:
                [column] = self._folder.read(part.number, [ERROR]).columns
                positions = [i for i, valid in enumerate(column.is_valid().to_pylist()) if valid]
                yield _Item(part, positions, digest)
        if most > count:
            raise self._other_rows(most - 1)

    def _other_rows(self, number: int) -> ConfigurationError:
        return ConfigurationError(
            f"{self._folder.file(number)} was made of other rows than those that are given now: "
            "give the same rows in the same order, or name another folder."
        )

    async def _work(self, item: _Item) -> tuple[int, PartInfo]:
        outcome = await self._stage.process(item.part)
        loop = asyncio.get_running_loop()
        info = await loop.run_in_executor(self._writer, self._keep, item, outcome)
        return item.whole.number, info

    def _keep(self, item: _Item, outcome: Outcome) -> PartInfo:
        """Write a part; the numbers of its rows that are new, with those that were there."""
        number, given = item.whole.number, item.whole.rows
        model = getattr(self._stage, "model", None)
        info = PartInfo.of(given.num_rows, outcome, model, item.digest)
        outcome.values = stored(outcome.values, self._stage.stored_type)
        results = result_columns(self._into, outcome)
        if item.positions is not None:
            there = self._known[number]
            before = self._folder.read(number, results.schema.names)
            results = replaced(before, item.positions, results)
            errors = [error for error in results.column(ERROR).to_pylist() if error is not None]
            info = replace(
                info,
                rows=there.rows,
                failed=len(errors),
                reasons=count_reasons(errors),
                input_tokens=_sum(there.input_tokens, info.input_tokens),
                output_tokens=_sum(there.output_tokens, info.output_tokens),
                dimensions=info.dimensions or there.dimensions,
            )
        self._folder.write(number, beside(given, self._kept, results), self._into, info)
        return info

    def _result(self, seconds: float) -> BulkResult:
        infos = self._known.values()
        reasons: dict[str, int] = {}
        for info in infos:
            for reason, count in info.reasons.items():
                add_reason(reasons, reason, count)
        return BulkResult(
            folder=self._folder.path,
            rows=sum(info.rows for info in infos),
            failed=sum(info.failed for info in infos),
            sent=self._progress.done,
            input_tokens=_sum(*(info.input_tokens for info in infos)),
            output_tokens=_sum(*(info.output_tokens for info in infos)),
            seconds=seconds,
            reasons=reasons,
        )

    def _complete(self, job: Mapping[str, object], result: BulkResult) -> None:
        summary = {"rows": result.rows, "failed": result.failed, "parts": len(self._known)}
        self._folder.write_manifest(job, {"complete": True, **summary})


def _digest(rows: pa.RecordBatch) -> str:
    """Return what tells rows from others, however Arrow lays them out."""
    digest = blake2b(digest_size=16)
    for column in rows.columns:
        digest.update(orjson.dumps(plain_values(column), default=repr, option=_NUMBERS))
    return digest.hexdigest()


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _local_path(path: str | os.PathLike[str], what: str) -> Path:
    """Return an absolute path, which a URL is not: a folder of its name would be made of it."""
    if "://" in (text := os.fspath(path)):
        raise ConfigurationError(
            f"The {what} {text!r} is a URL, and this engine reads and writes files of this machine "
            "only: name a local path, or use --engine ray (langchain_easyllm.ray)."
        )
    return Path(text).absolute()
