"""Ray Data's checkpoints of a job: what was written is not processed again."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..bulk.columns import check_column
from ..bulk.sources import check_unique
from ..errors import ConfigurationError
from .extra import needs_ray

with needs_ray():
    import pyarrow as pa
    from ray.data import DataContext
    from ray.data.checkpoint import CheckpointConfig

if TYPE_CHECKING:
    from ray.data import Dataset


def checkpoint(
    path: str | os.PathLike[str], id_column: str, *, delete_on_success: bool = False
) -> CheckpointConfig:
    """Set Ray Data's checkpoints, for all datasets that are read afterwards.

    The ids of rows that have been written are kept under `path`. A run that was ended is gone on
    with by the same program: rows whose ids are there are skipped after they have been read, and
    files that were written in part are removed. It needs a dataset that is read from files
    (`ray.data.read_...`) and written to files. Ray cannot tell rows with the same id apart:
    `check_ids` looks for them.

    Args:
        path: A folder that all nodes see, or the URL of one (`s3://...`); not within the folder
            that the results are written to.
        id_column: The column that identifies a row; the results have to keep it.
        delete_on_success: Whether the ids are removed once the job is done. By default they stay,
            so that the job, run again, finds nothing to do.

    Returns:
        Ray's configuration; `DataContext.get_current().checkpoint_config = None` ends it.

    Raises:
        ConfigurationError: If the path or the column is none.
    """
    where = os.fspath(path)
    try:
        config = CheckpointConfig(
            id_column=id_column,
            checkpoint_path=where if "://" in where else str(Path(where).absolute()),
            delete_checkpoint_on_success=delete_on_success,
        )
    except Exception as error:
        raise ConfigurationError(f"Ray accepts no such checkpoint: {error}") from error
    DataContext.get_current().checkpoint_config = config
    return config


def check_ids(dataset: Dataset, id_column: str) -> None:
    """Refuse ids that are null or there twice. Reads the column, and keeps 8 bytes for each row.

    Args:
        dataset: The rows.
        id_column: The column that identifies a row.

    Raises:
        ConfigurationError: If an id is null, or there twice.
    """
    if (names := dataset.columns(fetch_if_missing=False)) is not None:
        check_column(pa.schema([(name, pa.null()) for name in names]), id_column)
    only = dataset.select_columns([id_column])

    def read() -> Iterator[pa.RecordBatch]:
        for block in only.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield from block.to_batches()

    check_unique(read, id_column)


def check_checkpoint(dataset: Dataset, kept: Collection[str] | None) -> None:
    """Refuse a job whose checkpoint would not be made, or would be of no use."""
    config = dataset.context.checkpoint_config
    if config is None:
        if DataContext.get_current().checkpoint_config is not None:
            raise ConfigurationError(
                "The dataset was read before checkpoint(...) was called, and has none: call it "
                "first."
            )
        return
    if made := _made_in_memory(dataset):
        raise ConfigurationError(
            f"The dataset is made by {made}, and Ray skips rows of a checkpoint only where they "
            "are read from files: write it to files, or set no checkpoint."
        )
    if kept is not None and config.id_column not in kept:
        raise ConfigurationError(
            f"The checkpoint needs the column {config.id_column!r}, which is not among those that "
            f"the results have ({', '.join(kept)})."
        )


def _made_in_memory(dataset: Dataset) -> str | None:
    """Return what made rows of a dataset that Ray's checkpoints do not look at, if anything did.

    Ray itself would write these rows again, and say nothing.
    """
    pending = [getattr(getattr(dataset, "_logical_plan", None), "dag", None)]
    while pending:
        step = pending.pop()
        inputs = getattr(step, "input_dependencies", ())
        name = type(step).__name__
        if not inputs and name == "InputData":
            return "materialize()"
        if not inputs and name.startswith("From"):
            return "ray.data." + "".join(f"_{c.lower()}" if c.isupper() else c for c in name)[1:]
        pending += inputs
    return None
