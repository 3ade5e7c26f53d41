"""Datasets of Ray with vectors or answers: lazy, as all that Ray Data does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from langchain_core.runnables import Runnable

from ..bulk.batches import MAX_CONCURRENCY, PATIENCE
from ..bulk.embedding import DType, check_embeddings
from ..bulk.engine import check_count
from ..embeddings import EasyLLMEmbeddings
from ..errors import ConfigurationError
from .actor import ActorTask, BulkActor, EmbedWork, RunWork
from .checkpoints import check_checkpoint
from .extra import needs_ray
from .travel import pack

with needs_ray():
    import pyarrow as pa
    from ray import data

if TYPE_CHECKING:
    from ray.data import Dataset

__all__ = ["RayOptions", "embed", "run"]

EMBED_ROWS = 4096
RUN_ROWS = 512
"""Rows in a block. An answer costs more than a vector, so fewer of them are lost together."""

_TYPICAL_BATCH = 32
"""Texts in a request, of a server that nobody has asked yet how many it takes."""

_MOST_BLOCKS = 8
"""The most blocks that an actor works on at a time."""

_OURS = frozenset({"fn_constructor_args", "batch_size", "batch_format", "compute", "num_cpus"})


class RayOptions(TypedDict, total=False):
    """What `embed` and `run` have in common.

    Attributes:
        keep: The input's columns that the results have. Default: all.
        actors: The number of actors, each of them a process. Default 2.
        num_cpus: The CPUs that Ray reserves for each actor. Default 0.25: an actor waits for the
            server most of the time.
        rows_per_block: The number of rows that are processed, and written, together. None leaves
            the dataset's blocks as they are. Default 4,096 for `embed`, 512 for `run`.
        max_errors: The share of rows that may fail before the job is stopped, in each actor.
            Default 1: all.
        patience: The seconds without any answer after which an actor gives a server up that fails,
            and the job with it. Default 600.
        actor_options: Further options of `map_batches` (`runtime_env`, `resources`, `num_gpus`,
            `label_selector`, ...). Default: none.
    """

    keep: Sequence[str] | None
    actors: int
    num_cpus: float
    rows_per_block: int | None
    max_errors: float
    patience: float
    actor_options: Mapping[str, Any]


def embed(
    dataset: Dataset,
    embeddings: EasyLLMEmbeddings,
    *,
    column: str = "text",
    into: str = "embedding",
    dtype: DType = "float32",
    **options: Unpack[RayOptions],
) -> Dataset:
    """Embed a column of a Ray dataset.

    Nothing is sent before the result is written or read. `max_concurrency` and
    `requests_per_second` of the embeddings are the whole job's: each actor has an equal share.

    Args:
        dataset: The rows.
        embeddings: What embeds the texts.
        column: The column of the texts.
        into: The name of the column of vectors.
        dtype: The type of the vectors' numbers: `"float32"` or `"float16"`.
        **options: See `RayOptions`.

    Returns:
        The dataset with the vectors, and the columns `error`, `input_tokens` and `output_tokens`.

    Raises:
        ConfigurationError: If the job could not run. What is found out only later stops the job
            when the dataset is used.
    """
    check_embeddings(embeddings, dtype)
    requests = _share(embeddings.max_concurrency, options)
    work = EmbedWork(column, dtype, requests)
    packed = pack(embeddings, work.name)
    ahead = requests * _TYPICAL_BATCH
    return _mapped(dataset, work, packed, into=into, options=options, rows=EMBED_ROWS, ahead=ahead)


def run(
    dataset: Dataset,
    runnable: Runnable[Any, Any],
    *,
    column: str | None = None,
    into: str = "answer",
    max_concurrency: int = MAX_CONCURRENCY,
    **options: Unpack[RayOptions],
) -> Dataset:
    """Run a chain, a model or any other runnable on each row of a Ray dataset.

    Nothing is sent before the result is written or read. `max_concurrency`, and the
    `requests_per_second` of the models in the runnable, are the whole job's: each actor has an
    equal share.

    Args:
        dataset: The rows.
        runnable: The runnable. Texts and messages are written as text, other answers as JSON.
        column: The column that is its input. Default None: the row as a dictionary.
        into: The name of the column of answers.
        max_concurrency: The number of rows that are answered at a time, by all actors together.
        **options: See `RayOptions`.

    Returns:
        The dataset with the answers, and the columns `error`, `input_tokens` and `output_tokens`.

    Raises:
        ConfigurationError: If the job could not run. What is found out only later stops the job
            when the dataset is used.
    """
    if not isinstance(runnable, Runnable):
        raise ConfigurationError(
            f"A runnable (a chain, a model) is wanted, not {_class_of(runnable)}."
        )
    rows = _share(max_concurrency, options)
    work = RunWork(column, rows)
    packed = pack(runnable, work.name)
    return _mapped(dataset, work, packed, into=into, options=options, rows=RUN_ROWS, ahead=rows)


def _mapped(
    dataset: Dataset,
    work: EmbedWork | RunWork,
    packed: bytes,
    *,
    into: str,
    options: RayOptions,
    rows: int | None,
    ahead: int,
) -> Dataset:
    """Return the dataset with what comes of the work.

    `rows` are those of a block by default, `ahead` those that an actor has to have at a time.
    """
    _check_options(dataset, options)
    keep = options.get("keep")
    actors = options.get("actors", 2)
    task = ActorTask(
        work=work,
        packed=packed,
        into=into,
        keep=None if keep is None else tuple(keep),
        actors=actors,
        max_errors=options.get("max_errors", 1.0),
        patience=options.get("patience", PATIENCE),
    )
    schema = _known_schema(dataset)
    kept = keep if schema is None else task.check(schema)
    check_checkpoint(dataset, kept)
    rows = options.get("rows_per_block", rows)
    if rows is not None:
        dataset = dataset.repartition(target_num_rows_per_block=rows)
    blocks = min(-(-ahead // (rows or EMBED_ROWS)) + 1, _MOST_BLOCKS)
    return dataset.map_batches(
        BulkActor,
        fn_constructor_args=(task,),
        batch_size=None,
        batch_format="pyarrow",
        udf_modifying_row_count=False,
        num_cpus=options.get("num_cpus", 0.25),
        compute=data.ActorPoolStrategy(
            size=actors, max_concurrent_calls_per_actor=blocks, enable_true_multi_threading=True
        ),
        **options.get("actor_options", {}),
    )


def _share(limit: int, options: RayOptions) -> int:
    """Return an actor's share of what the job may have at a time."""
    actors = options.get("actors", 2)
    check_count("actors", actors)
    check_count("max_concurrency", limit)
    if limit < actors:
        raise ConfigurationError(
            f"max_concurrency={limit} cannot be divided among {actors} actors: raise it, or lower "
            "actors."
        )
    return limit // actors


def _check_options(dataset: Dataset, options: RayOptions) -> None:
    if not isinstance(dataset, data.Dataset):
        raise ConfigurationError(
            f"A ray.data.Dataset is wanted, not {_class_of(dataset)}: ray.data.read_parquet(...) "
            "or ray.data.from_arrow(...) makes one."
        )
    if unknown := {*options} - RayOptions.__annotations__.keys():
        raise ConfigurationError(f"There is no option {', '.join(sorted(unknown))}.")
    if not 0 <= options.get("max_errors", 1.0) <= 1:
        raise ConfigurationError("max_errors is from 0 to 1.")
    rows = options.get("rows_per_block")
    if rows is not None:
        check_count("rows_per_block", rows)
    if isinstance(keep := options.get("keep"), str):
        raise ConfigurationError(f"keep={keep!r} has to be a list of columns.")
    if taken := _OURS.intersection(options.get("actor_options", {})):
        raise ConfigurationError(f"{', '.join(sorted(taken))} cannot be among actor_options.")


def _known_schema(dataset: Dataset) -> pa.Schema | None:
    """Return the columns, if that takes no execution of what the dataset is made of."""
    schema = dataset.schema(fetch_if_missing=False)
    if schema is None:
        return None
    if isinstance(schema.base_schema, pa.Schema):
        return schema.base_schema
    return pa.schema([(str(name), pa.null()) for name in schema.names])  # of pandas


def _class_of(value: object) -> str:
    return type(value).__name__
