"""Where the rows come from: Parquet, JSON lines, CSV, a folder of them, or Arrow's own objects."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from ..errors import ConfigurationError
from .columns import check_column
from .extra import needs_arrow
from .json_lines import json_batches

with needs_arrow():
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

Source: TypeAlias = "str | os.PathLike[str] | Iterable[Any]"
"""What a job reads: a path, or batches and tables of Arrow."""

READ_ROWS = 4096
"""Rows that are read at a time."""

_CSV_BLOCK = 1 << 20

_PARQUET, _LINES, _CSV = ".parquet", (".jsonl", ".ndjson"), ".csv"


class RowSource(Protocol):
    """The rows of a job.

    Attributes:
        schema: Their columns.
        rows: How many there are; None if nobody knows before they are read.
    """

    schema: pa.Schema
    rows: int | None

    def describe(self) -> list[Mapping[str, object]]:
        """Return what tells these rows from others."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the rows, from the first."""

    def check_ids(self, column: str) -> None:
        """Refuse ids that are null or there twice, before anything is sent."""


def open_source(source: Source) -> RowSource:
    """Return the rows that a path, or Arrow's objects, stand for."""
    if isinstance(source, str | os.PathLike):
        return FileSource(Path(source))
    iterable = isinstance(source, Iterable) and not isinstance(source, Mapping | bytes)
    if not iterable and not hasattr(source, "to_batches"):
        raise ConfigurationError(
            f"A path, or batches and tables of Arrow, are wanted, not {type(source).__name__}."
        )
    return ArrowSource(source)


class FileSource:
    """The rows of a file, or of the files in a folder by their names."""

    def __init__(self, path: Path) -> None:
        self._root = path
        self._files = _files_of(path)
        described = [_describe(file) for file in self._files]
        try:
            self.schema = pa.unify_schemas(
                [schema for schema, _ in described], promote_options="permissive"
            ).remove_metadata()
        except pa.ArrowInvalid as error:
            raise ConfigurationError(f"The files in {path} do not fit together: {error}") from error
        self.rows: int | None = sum(rows for _, rows in described)

    def describe(self) -> list[Mapping[str, object]]:
        root = self._root if self._root.is_dir() else self._root.parent
        stats = [(file, file.stat()) for file in self._files]
        return [
            {
                "path": file.relative_to(root).as_posix(),
                "bytes": stat.st_size,
                "modified": stat.st_mtime_ns,
            }
            for file, stat in stats
        ]

    def batches(self) -> Iterator[pa.RecordBatch]:
        return self._read(self.schema)

    def check_ids(self, column: str) -> None:
        check_column(self.schema, column)
        only = pa.schema([self.schema.field(column)])

        def ids() -> Iterator[tuple[int, object]]:
            values = (batch.column(0).to_pylist() for batch in self._read(only))
            return enumerate(chain.from_iterable(values))

        hashes = array("q")
        for position, value in ids():
            if value is None:
                raise ConfigurationError(f"The id of row {position} ({column}) is null.")
            hashes.append(hash(value))
        ordered = sorted(hashes)
        twice = {one for one, following in pairwise(ordered) if one == following}
        _refuse_repeated(((p, v) for p, v in ids() if twice and hash(v) in twice), column)

    def _read(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for file in self._files:
            try:
                for batch in _batches_of(file, schema):
                    yield fitted(batch, schema)
            except pa.ArrowInvalid as error:
                raise ConfigurationError(f"{file} cannot be read: {error}") from error


class ArrowSource:
    """The rows of batches and tables, which are read once."""

    def __init__(self, source: Any) -> None:  # noqa: ANN401 - whatever holds batches
        if hasattr(source, "to_batches"):  # a table, a dataset
            source = source.to_batches()
        elif isinstance(source, pa.RecordBatch):
            source = [source]
        self._batches = chain.from_iterable(map(_as_batches, source))
        first = next(self._batches, None)
        self.schema = pa.schema([]) if first is None else first.schema.remove_metadata()
        self._first = [] if first is None else [first]
        self._ids: str | None = None
        self.rows: int | None = None

    def describe(self) -> list[Mapping[str, object]]:
        return []

    def batches(self) -> Iterator[pa.RecordBatch]:
        seen: set[object] = set()
        position = 0
        for batch in chain(self._first, self._batches):
            if not set(self.schema.names) <= set(batch.schema.names):
                raise ConfigurationError(
                    f"A later batch has other columns ({', '.join(batch.schema.names)}) than the "
                    f"first ({', '.join(self.schema.names)})."
                )
            if self._ids is not None:
                for value in batch.column(self._ids).to_pylist():
                    if value is None or value in seen:
                        what = "null" if value is None else f"{value!r}, which is there twice"
                        raise ConfigurationError(f"The id of row {position} is {what}.")
                    seen.add(value)
                    position += 1
            yield fitted(batch, self.schema)

    def check_ids(self, column: str) -> None:
        check_column(self.schema, column)
        self._ids = column  # nobody can look at what comes later


def fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with the columns of a schema, in its types; columns that lack are null."""
    if batch.schema.equals(schema):
        return batch
    arrays = []
    for field in schema:
        if field.name not in batch.schema.names:
            arrays.append(pa.nulls(batch.num_rows, field.type))
            continue
        column = batch.column(field.name)
        try:
            arrays.append(column if column.type == field.type else column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ConfigurationError(
                f"The column {field.name!r} has {column.type} in one place and {field.type} in "
                "another."
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _as_batches(given: object) -> Iterable[pa.RecordBatch]:
    if isinstance(given, pa.RecordBatch):
        return [given]
    if isinstance(given, pa.Table):
        batches: list[pa.RecordBatch] = given.to_batches()
        return batches
    raise ConfigurationError(
        f"Batches and tables of Arrow are wanted, not {type(given).__name__}: "
        "pyarrow.RecordBatch.from_pylist makes one of dicts."
    )


def _refuse_repeated(suspected: Iterable[tuple[int, object]], column: str) -> None:
    seen: dict[object, int] = {}
    for position, value in suspected:
        if value in seen:
            raise ConfigurationError(
                f"The id {value!r} ({column}) is there twice, in rows {seen[value]} and {position}."
            )
        seen[value] = position


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        _kind(path)
        return [path]
    if not path.is_dir():
        raise ConfigurationError(f"There is no file or folder {path}.")
    inside = (file for file in path.rglob("*") if file.is_file())
    files = [
        file
        for file in inside
        if not any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
        and _kind(file, known=False)
    ]
    if not files:
        raise ConfigurationError(f"{path} holds no .parquet, .jsonl, .ndjson or .csv file.")
    return sorted(files)


def _kind(path: Path, *, known: bool = True) -> str:
    name = path.name.removesuffix(".gz") if path.suffix == ".gz" else path.name
    suffix = Path(name).suffix.lower()
    if suffix in (*_LINES, _CSV) or (suffix == _PARQUET and name == path.name):
        return _LINES[0] if suffix in _LINES else suffix
    if known:
        raise ConfigurationError(
            f"{path} is neither .parquet, .jsonl, .ndjson nor .csv (.gz for the last three)."
        )
    return ""


def _describe(file: Path) -> tuple[pa.Schema, int]:
    """Return a file's columns, and how many rows it has."""
    try:
        if _kind(file) == _PARQUET:
            with pq.ParquetFile(file) as parquet:
                return parquet.schema_arrow, parquet.metadata.num_rows
        schema, rows = pa.schema([]), 0
        for batch in _batches_of(file, None):
            schema = pa.unify_schemas([schema, batch.schema], promote_options="permissive")
            rows += batch.num_rows
        return schema, rows
    except pa.ArrowInvalid as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from error
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror or error}") from error


def _batches_of(file: Path, schema: pa.Schema | None) -> Iterator[pa.RecordBatch]:
    kind = _kind(file)
    if kind == _PARQUET:
        # Not buffered as a whole: a file may be one group of rows.
        with pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False) as parquet:
            there = parquet.schema_arrow.names
            names = [name for name in there if schema is None or name in schema.names]
            yield from parquet.iter_batches(READ_ROWS, columns=names, use_threads=False)
    elif kind == _CSV:
        yield from _csv_batches(file)
    else:
        yield from json_batches(file, READ_ROWS, schema)


def _csv_batches(file: Path) -> Iterator[pa.RecordBatch]:
    """Read a CSV file, each column as texts: what a type is guessed from may be an exception."""
    reading = pa_csv.ReadOptions(block_size=_CSV_BLOCK)
    parsing = pa_csv.ParseOptions(newlines_in_values=True)
    if not file.stat().st_size:
        return
    with pa_csv.open_csv(file, reading, parsing) as first:
        names: Sequence[str] = first.schema.names
    converting = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
    )
    with pa_csv.open_csv(file, reading, parsing, converting) as reader:
        yield pa.RecordBatch.from_pylist([], schema=reader.schema)
        yield from reader
