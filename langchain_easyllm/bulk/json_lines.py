"""JSON lines as batches of Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import orjson

from ..errors import ConfigurationError
from .extra import needs_arrow

with needs_arrow():
    import pyarrow as pa


def json_batches(file: Path, size: int, schema: pa.Schema | None) -> Iterator[pa.RecordBatch]:
    """Read the objects of a file, one a line; without a schema, each batch has a type of its own.

    Empty lines are skipped.
    """
    import gzip  # noqa: PLC0415 - seldom needed

    opener = gzip.open if file.suffix.lower() == ".gz" else open
    with opener(file, "rb") as lines:
        numbered = ((n, line) for n, line in enumerate(lines, 1) if line.strip())
        while chunk := list(islice(numbered, size)):
            yield _batch([_object(file, number, line) for number, line in chunk], schema, file)


def _object(file: Path, number: int, line: bytes) -> dict[str, object]:
    try:
        value = orjson.loads(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"{file}, line {number}, is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise ConfigurationError(
            f"{file}, line {number}, is {type(value).__name__}: each line has to be an object."
        )
    return value


def _batch(rows: list[dict[str, object]], schema: pa.Schema | None, file: Path) -> pa.RecordBatch:
    if schema is None:
        names = dict.fromkeys(name for row in rows for name in row)
        fields = [(name, None) for name in names]
    else:
        fields = [(field.name, field.type) for field in schema]
    arrays = []
    for name, kind in fields:
        values = [row.get(name) for row in rows]
        try:
            arrays.append(pa.array(values, kind))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise ConfigurationError(
                f"{file}: the column {name!r} has values of several types ({error})."
            ) from error
    if not fields:  # objects without a key are rows as well
        return pa.RecordBatch.from_struct_array(pa.array(rows, pa.struct([])))
    return pa.RecordBatch.from_arrays(arrays, names=[name for name, _ in fields])
