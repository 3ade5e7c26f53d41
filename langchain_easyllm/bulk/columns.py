"""The columns of the results: the input's, the values, what failed and why, and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ConfigurationError
from .engine import Outcome
from .extra import needs_arrow

with needs_arrow():
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

ERROR = "error"
TOKENS = "input_tokens", "output_tokens"


def check_columns(schema: pa.Schema, into: str, keep: Sequence[str] | None) -> list[str]:
    """Return the input's columns that the results have, beside their own."""
    if isinstance(keep, str):
        raise ConfigurationError(f"keep={keep!r} has to be a list of columns.")
    kept = list(schema.names if keep is None else keep)
    for name in kept:
        check_column(schema, name)
    own = [into, ERROR, *TOKENS]
    if len(set(own)) < len(own):
        raise ConfigurationError(f"into={into!r} is the name of another column of the results.")
    if taken := [name for name in own if name in kept]:
        names = ", ".join(taken)
        raise ConfigurationError(
            f"The input has a column that the results have as well ({names}): leave it out by "
            f"keep=[...], or write the values into a column of another name (into)."
        )
    if repeated := {name for name in kept if kept.count(name) > 1}:
        raise ConfigurationError(f"A column is there twice: {', '.join(sorted(repeated))}.")
    return kept


def check_column(schema: pa.Schema, name: str) -> None:
    if name not in schema.names:
        raise ConfigurationError(
            f"There is no column {name!r}: the input has "
            f"{', '.join(map(repr, schema.names)) or 'none'}."
        )


def check_names(schema: pa.Schema, where: str) -> None:
    """Refuse columns of one name."""
    names = schema.names
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise ConfigurationError(f"{where} has several columns named {repeated!r}.")


def check_storable(schema: pa.Schema, kept: Sequence[str]) -> None:
    """Refuse columns that Parquet cannot hold."""
    for name in kept:
        field = schema.field(name)
        try:
            pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([field])).close()
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
            raise ConfigurationError(
                f"The column {name!r} holds {field.type}, which Parquet files cannot: leave it out "
                "by keep=[...]."
            ) from error


def plain_values(column: pa.Array) -> list[Any]:
    """Return values to compare; those that Python has no type for as texts."""
    values: list[Any]
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError):  # nanoseconds, years after 9999
        values = column.cast("string").to_pylist()
    return values


def check_text_column(schema: pa.Schema, name: str) -> None:
    """Refuse a column that holds no texts."""
    check_column(schema, name)
    kind = schema.field(name).type
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    views = getattr(pa.types, "is_string_view", lambda _: False)
    is_text = pa.types.is_string(inner) or pa.types.is_large_string(inner) or views(inner)
    if not is_text and not pa.types.is_null(inner):
        raise ConfigurationError(f"The column {name!r} holds {kind}, not texts.")


def output_batch(
    rows: pa.RecordBatch, kept: Sequence[str], into: str, outcome: Outcome
) -> pa.RecordBatch:
    """Return the rows with their results."""
    return beside(rows, kept, result_columns(into, outcome))


def beside(rows: pa.RecordBatch, kept: Sequence[str], results: pa.RecordBatch) -> pa.RecordBatch:
    """Return columns of the rows, and behind them those of the results."""
    fields = [*(rows.schema.field(name) for name in kept), *results.schema]
    arrays = [*(rows.column(name) for name in kept), *results.columns]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def result_columns(into: str, outcome: Outcome) -> pa.RecordBatch:
    """Return what came of some rows as columns."""
    count = len(outcome.values)
    errors = [None] * count if not outcome.errors else list(map(outcome.errors.get, range(count)))
    tokens = [
        pa.array(given, "int64") if given else pa.nulls(count, "int64")
        for given in (outcome.input_tokens, outcome.output_tokens)
    ]
    arrays = [outcome.values, pa.array(errors, "string"), *tokens]
    return pa.RecordBatch.from_arrays(arrays, names=[into, ERROR, *TOKENS])


def replaced(old: pa.RecordBatch, positions: Sequence[int], new: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows of which some, by their positions, have been replaced."""
    order = list(range(old.num_rows))
    for index, position in enumerate(positions):
        order[position] = old.num_rows + index
    arrays = [
        pa.concat_arrays([before, after]).take(pa.array(order))
        for before, after in zip(old.columns, new.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=old.schema)


def stored(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return values in the type that they have in files.

    Parquet has lists of any length only, and Arrow before version 26 reads no null among lists of
    a fixed one.
    """
    if pa.types.is_null(values.type):  # none is there, and nobody knows how long they would be
        return pa.nulls(len(values), kind)
    if not pa.types.is_fixed_size_list(values.type):
        return values
    lengths = pa.array(values.is_valid()).cast("int32").to_numpy() * values.type.list_size
    offsets = np.zeros(len(values) + 1, dtype="int32")
    np.cumsum(lengths, out=offsets[1:])
    missing = values.is_null() if values.null_count else None
    return pa.ListArray.from_arrays(
        pa.array(offsets), values.drop_null().flatten(), type=kind, mask=missing
    )
