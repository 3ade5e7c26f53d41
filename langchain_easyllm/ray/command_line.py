"""`--engine ray` of `python -m langchain_easyllm.bulk`: from files to files, by Ray's own means."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable

from ..bulk.classification import reason_of
from ..bulk.columns import ERROR
from ..bulk.sources import files_of_one_kind
from ..embeddings import EasyLLMEmbeddings
from ..errors import ConfigurationError
from .checkpoints import check_ids, checkpoint
from .datasets import RayOptions, embed, run
from .extra import needs_ray

with needs_ray():
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq
    from pyarrow import fs
    from ray import data

if TYPE_CHECKING:
    from ray.data import Dataset


@dataclass(slots=True)
class RayResult:
    """What is in the folder of a job on Ray.

    Attributes:
        target: The folder.
        rows: The rows in it.
        failed: Those that failed.
        reasons: How often each kind of error is there.
    """

    target: str
    rows: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        said = [f"{self.rows:,} rows in {self.target}."]
        if self.failed:
            said.append(f"{self.failed:,} rows failed:")
            common = sorted(self.reasons.items(), key=lambda item: -item[1])
            said += [f"{count:>9,}  {reason}" for reason, count in common]
        return "\n".join(said)


def embed_files(options: argparse.Namespace, embeddings: EasyLLMEmbeddings) -> RayResult:
    """Embed a column of files."""
    job = _FileJob(options)
    dataset = embed(
        job.dataset,
        embeddings,
        column=options.column,
        into=options.into,
        dtype=options.dtype,
        **job.options,
    )
    # A dictionary of vectors takes time and makes nothing smaller.
    return job.write(dataset, use_dictionary=False)


def run_on_files(options: argparse.Namespace, runnable: Runnable[Any, Any]) -> RayResult:
    """Run a chain on each row of files."""
    job = _FileJob(options)
    dataset = run(
        job.dataset,
        runnable,
        column=options.column,
        into=options.into,
        max_concurrency=options.max_concurrency,
        **job.options,
    )
    return job.write(dataset)


class _FileJob:
    """Files that are read, and the folder that is written to."""

    def __init__(self, options: argparse.Namespace) -> None:
        if options.retry_errors:
            raise ConfigurationError(
                "--engine ray has no --retry-errors: read the rows with an error, and run them as "
                "a job of their own."
            )
        self._target, self._fs, self._path = _place(options.target)
        self.options = RayOptions(
            keep=options.keep,
            actors=options.actors,
            max_errors=options.max_errors,
            patience=options.patience,
        )
        if options.part_rows is not None:
            self.options["rows_per_block"] = options.part_rows
        ids: str | None = options.id_column
        where = f"{self._target}.checkpoint"
        self._check_target(where if ids else None)
        self.dataset = _read(options.source, options.column)
        if ids:
            check_ids(self.dataset, ids)
            checkpoint(where, ids)
            self.dataset = _read(options.source, options.column)

    def _check_target(self, checkpoint_folder: str | None) -> None:
        """Refuse a folder with results that are not this job's."""
        if not self._fs.get_file_info(fs.FileSelector(self._path, allow_not_found=True)):
            return
        if checkpoint_folder is not None:
            _, system, path = _place(checkpoint_folder)
            if system.get_file_info(path).type == fs.FileType.Directory:
                return
        raise ConfigurationError(
            f"{self._target} is not empty, and there is no checkpoint of what is in it: name "
            "another folder. With --id-column, a job can be gone on with."
        )

    def write(self, dataset: Dataset, **parquet: bool) -> RayResult:
        """Run the job, and return what is in the folder then."""
        dataset.write_parquet(self._target, **parquet)
        result = RayResult(self._target)
        for errors in _columns_of(self._fs, self._path, ERROR):
            result.rows += len(errors)
            failed = [error for error in errors.to_pylist() if error is not None]
            result.failed += len(failed)
            for reason in map(reason_of, failed):
                result.reasons[reason] = result.reasons.get(reason, 0) + 1
        return result


def _place(given: str) -> tuple[str, fs.FileSystem, str]:
    """Return a path or URL in full, and its file system with the path there."""
    whole = given.rstrip("/") if "://" in given else str(Path(given).absolute())
    try:
        system, path = fs.FileSystem.from_uri(whole)
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigurationError(f"{given} cannot be opened: {error}") from error
    return whole, system, path


def _columns_of(system: fs.FileSystem, path: str, name: str) -> Iterator[pa.Array]:
    for info in system.get_file_info(fs.FileSelector(path, allow_not_found=True)):
        if info.path.endswith(".parquet"):
            with pq.ParquetFile(info.path, filesystem=system) as parquet:
                for batch in parquet.iter_batches(columns=[name]):
                    yield batch.column(0)


def _read(source: str, column: str | None) -> Dataset:
    """Return the rows of files; where they are on another file system, by the URL's end."""
    if "://" in source:
        files, kind = [source], Path(source.removesuffix(".gz")).suffix.lower()
    else:
        found, kind = files_of_one_kind(Path(source))
        files = [str(file.absolute()) for file in found]
    if kind == ".csv":
        texts = {} if column is None else {column: pa.string()}
        converting = pa_csv.ConvertOptions(column_types=texts, strings_can_be_null=False)
        return data.read_csv(files, convert_options=converting)
    if kind in {".jsonl", ".ndjson"}:
        return data.read_json(files, lines=True, file_extensions=None)
    return data.read_parquet(files)
