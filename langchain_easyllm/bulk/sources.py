"""Where the rows come from: Parquet, JSON lines, CSV, a folder of them, or Arrow's own objects."""

from __future__ import annotations

import os
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from ..errors import ConfigurationError
from .columns import check_column, check_names, plain_values
from .extra import needs_arrow
from .json_lines import json_batches

with needs_arrow():
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

Source: TypeAlias = "str | os.PathLike[str] | Iterable[Any]"
"""What a job reads: a path, or batches and tables of Arrow."""

READ_ROWS = 4096
"""Rows that are read at a time."""

_CSV_BLOCKS = 1 << 20, 1 << 25, 1 << 30
"""Bytes of a CSV file that are read at a time; a row has to fit in."""

_UNREADABLE = pa.ArrowInvalid, OSError, EOFError, zlib.error
_UNLIKE = pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError

_PARQUET, _LINES, _CSV = ".parquet", (".jsonl", ".ndjson"), ".csv"


class RowSource(Protocol):
    """The rows of a job.

    Attributes:
        schema: Their columns.
        rows: How many there are; None if nobody knows before they are read.
        is_empty: Whether there are neither rows nor columns.
    """

    schema: pa.Schema
    rows: int | None
    is_empty: bool

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
        self._files = {file: _state(file) for file in _files_of(path)}
        described = [_describe(file) for file in self._files]
        try:
            self.schema = pa.unify_schemas(
                [schema for schema, _ in described], promote_options="permissive"
            ).remove_metadata()
        except _UNLIKE as error:
            raise ConfigurationError(
                f"The files in {path} do not fit together: {_line(error)}"
            ) from error
        self.rows: int | None = sum(rows for _, rows in described)
        self.is_empty = not (self.rows or self.schema.names)

    def describe(self) -> list[Mapping[str, object]]:
        root = self._root if self._root.is_dir() else self._root.parent
        return [
            {"path": file.relative_to(root).as_posix(), "bytes": size, "modified": modified}
            for file, (size, modified) in self._files.items()
        ]

    def batches(self) -> Iterator[pa.RecordBatch]:
        return self._read(self.schema)

    def check_ids(self, column: str) -> None:
        check_id_column(self.schema, column)
        only = pa.schema([self.schema.field(column)])
        check_unique(lambda: self._read(only), column)

    def _read(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for file, state in self._files.items():
            try:
                for batch in _batches_of(file, schema):
                    yield fitted(batch, schema)
            except _UNREADABLE as error:
                raise _unreadable(file, error) from error
            if _state(file) != state:
                raise ConfigurationError(
                    f"{file} has changed while it was read, so the results may be of both: run the "
                    "job again, in another folder."
                )


class ArrowSource:
    """The rows of batches and tables; what gives them once only is read once."""

    def __init__(self, source: Any) -> None:  # noqa: ANN401 - whatever holds batches
        self._again: Callable[[], Iterable[object]] | None = None
        if isinstance(source, pa.RecordBatch):
            source = [source]
        if hasattr(source, "to_batches"):  # a table, a dataset
            self._again = source.to_batches
        elif isinstance(source, Sequence):
            self._again = lambda: source
        self._batches = _flat(source if self._again is None else self._again())
        first = next(self._batches, None)
        self._first = [] if first is None else [first]
        found = getattr(source, "schema", None) if first is None else first.schema
        self.schema = (found or pa.schema([])).remove_metadata()
        check_names(self.schema, "The input")
        self._ids: str | None = None
        self.rows: int | None = 0 if first is None else getattr(source, "num_rows", None)
        self.is_empty = first is None and not self.schema.names

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
                for value in plain_values(batch.column(self._ids)):
                    if value is None or value in seen:
                        what = "null" if value is None else f"{value!r}, which is there twice"
                        raise ConfigurationError(f"The id of row {position} is {what}.")
                    seen.add(value)
                    position += 1
            yield fitted(batch, self.schema)

    def check_ids(self, column: str) -> None:
        check_id_column(self.schema, column)
        if self._again is None:
            self._ids = column  # nobody can look at what comes later
            return
        again = self._again
        check_unique(lambda: (batch.select([column]) for batch in _flat(again())), column)


def check_id_column(schema: pa.Schema, column: str) -> None:
    check_column(schema, column)
    kind = schema.field(column).type
    if pa.types.is_nested(kind):
        raise ConfigurationError(f"The column {column!r} holds {kind}, which cannot be ids.")


def check_unique(read: Callable[[], Iterator[pa.RecordBatch]], column: str) -> None:
    """Refuse ids, the first columns of batches, that are null or there twice.

    They are read twice where two hashes are the same: hashes take far less memory than ids.
    """

    def ids() -> Iterator[tuple[int, object]]:
        return enumerate(chain.from_iterable(plain_values(batch.column(0)) for batch in read()))

    hashes = array("q")
    for position, value in ids():
        if value is None:
            raise ConfigurationError(f"The id of row {position} ({column}) is null.")
        hashes.append(hash(value))
    if not hashes:
        return
    ordered = np.frombuffer(hashes, dtype="int64")
    ordered.sort()
    twice = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    seen: dict[object, int] = {}
    for position, value in ids() if twice else ():
        if hash(value) not in twice:
            continue
        if value in seen:
            raise ConfigurationError(
                f"The id {value!r} ({column}) is there twice, in rows {seen[value]} and {position}."
            )
        seen[value] = position


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
        except _UNLIKE as error:
            raise ConfigurationError(
                f"The column {field.name!r} has {column.type} in one place and {field.type} in "
                "another."
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _flat(given: Iterable[object]) -> Iterator[pa.RecordBatch]:
    return chain.from_iterable(map(_as_batches, given))


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


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        _kind(path)
        return [path]
    if not path.is_dir():
        raise ConfigurationError(f"There is no file or folder {path}.")
    files = [file for file in _files_below(path) if _kind(file, known=False)]
    if not files:
        raise ConfigurationError(f"{path} holds no .parquet, .jsonl, .ndjson or .csv file.")
    return sorted(files)


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and in those in it, also by links."""

    def fail(error: OSError) -> None:
        raise _unreadable(Path(error.filename or folder), error) from error

    seen: set[str] = set()
    for where, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        real = os.path.realpath(where)
        if real in seen:  # a link leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        files = (Path(where, name) for name in names if not name.startswith((".", "_")))
        # A link that leads nowhere is a file that cannot be read.
        yield from (file for file in files if file.is_file() or not file.exists())


def _kind(path: Path, *, known: bool = True) -> str:
    whole = path.name.lower()
    name = whole.removesuffix(".gz")
    suffix = Path(name).suffix
    if suffix in (*_LINES, _CSV) or (suffix == _PARQUET and name == whole):
        return _LINES[0] if suffix in _LINES else suffix
    if known:
        raise ConfigurationError(
            f"{path} is neither .parquet, .jsonl, .ndjson nor .csv (.gz for the last three)."
        )
    return ""


def _state(file: Path) -> tuple[int, int]:
    """Return the size and time of a file."""
    try:
        found = file.stat()
    except OSError as error:
        raise _unreadable(file, error) from error
    return found.st_size, found.st_mtime_ns


def _unreadable(file: Path, error: Exception) -> ConfigurationError:
    number = error.errno if isinstance(error, OSError) else None
    return ConfigurationError(
        f"{file} cannot be read: {os.strerror(number) if number else _line(error)}"
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _describe(file: Path) -> tuple[pa.Schema, int]:
    """Return a file's columns, and how many rows it has."""
    try:
        if _kind(file) == _PARQUET:
            with pq.ParquetFile(file) as parquet:
                schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
        else:
            schema, rows = pa.schema([]), 0
            for batch in _batches_of(file, None):
                check_names(batch.schema, str(file))
                schema = pa.unify_schemas([schema, batch.schema], promote_options="permissive")
                rows += batch.num_rows
    except pa.ArrowTypeError as error:
        raise ConfigurationError(
            f"{file} has values of several types in a column: {_line(error)}"
        ) from error
    except _UNREADABLE as error:
        raise _unreadable(file, error) from error
    check_names(schema, str(file))
    return schema, rows


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
    """Read a CSV file; in larger blocks from where a row is too large for one."""
    done = 0
    for block in _CSV_BLOCKS:
        skipped = 0
        try:
            for batch in _csv_blocks(file, block):
                left = batch.slice(min(done - skipped, batch.num_rows))
                skipped += batch.num_rows - left.num_rows
                yield left
                done, skipped = done + left.num_rows, skipped + left.num_rows
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error) or block == _CSV_BLOCKS[-1]:
                raise
        else:
            return


def _csv_blocks(file: Path, block: int) -> Iterator[pa.RecordBatch]:
    """Read a CSV file, each column as texts: what a type is guessed from may be an exception."""
    reading = pa_csv.ReadOptions(block_size=block)
    parsing = pa_csv.ParseOptions(newlines_in_values=True)
    compression = "gzip" if file.suffix.lower() == ".gz" else None
    with pa.input_stream(file, compression) as peeked:
        if not peeked.read(1):
            return
    with pa.input_stream(file, compression) as data:
        names: Sequence[str] = pa_csv.open_csv(data, reading, parsing).schema.names
    converting = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
    )
    with (
        pa.input_stream(file, compression) as data,
        pa_csv.open_csv(data, reading, parsing, converting) as reader,
    ):
        yield pa.RecordBatch.from_pylist([], schema=reader.schema)
        yield from reader


def files_of_one_kind(path: Path) -> tuple[list[Path], str]:
    """Return a file, or the files in a folder, and `.parquet`, `.jsonl` or `.csv`."""
    files = _files_of(path)
    kinds = sorted({_kind(file) for file in files})
    if len(kinds) > 1:
        raise ConfigurationError(f"{path} holds files of several kinds ({', '.join(kinds)}).")
    return files, kinds[0]
