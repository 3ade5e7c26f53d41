"""The folder of a job: a Parquet file for each part, and a manifest of what the job is.

A file appears under its name when it is whole: it is written beside it, forced to the disk, and
renamed, in the same folder and so on the same file system.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from ..errors import ConfigurationError
from .classification import reason_of
from .engine import Outcome, joined
from .extra import needs_arrow

with needs_arrow():
    import pyarrow as pa
    import pyarrow.parquet as pq

MANIFEST = "_manifest.json"
"""Readers of folders of Parquet files pass over names that begin so."""

VERSION = 1

_KEY = b"langchain_easyllm.bulk"
_TEMPORARY = ".writing-"
_MOST_REASONS = 20
_OTHER = "others"

Job = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PartInfo:
    """What a part's file says of itself."""

    rows: int
    failed: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    input_tokens: int | None = None
    output_tokens: int | None = None
    dimensions: int | None = None
    model: str | None = None
    digest: str | None = None

    @classmethod
    def of(
        cls, rows: int, outcome: Outcome, model: str | None, digest: str | None = None
    ) -> PartInfo:
        kind = outcome.values.type
        return cls(
            rows=rows,
            failed=len(outcome.errors),
            reasons=count_reasons(outcome.errors.values()),
            input_tokens=outcome.tokens[0],
            output_tokens=outcome.tokens[1],
            dimensions=kind.list_size if pa.types.is_fixed_size_list(kind) else None,
            model=model,
            digest=digest,
        )


def count_reasons(errors: Iterable[str], known: Mapping[str, int] | None = None) -> dict[str, int]:
    """Return how often each reason is there, with those known already."""
    reasons = dict(known or {})
    for error in errors:
        add_reason(reasons, reason_of(error), 1)
    return reasons


def add_reason(reasons: dict[str, int], reason: str, count: int) -> None:
    if reason not in reasons and len(reasons) >= _MOST_REASONS:
        reason = _OTHER
    reasons[reason] = reasons.get(reason, 0) + count


class PartsFolder:
    """The folder that a job writes to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.finished: set[int] = set()

    @contextmanager
    def opened(self, job: Job, *, is_new: bool = True) -> Iterator[None]:
        """Make the folder this job's, for this process alone.

        Args:
            job: The job.
            is_new: Whether the folder need not have the job already.

        Raises:
            ConfigurationError: If it is another job's, or another process writes to it.
        """
        if not is_new and not (self.path / MANIFEST).exists():
            raise ConfigurationError(
                f"{self.path} holds no job whose rows have failed: run it without retry_errors "
                "(--retry-errors) first."
            )
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(_locked(self.path / ".lock"))
                for left in self.path.glob(_TEMPORARY + "*"):
                    left.unlink()
                numbers = (_number_of(file) for file in self.path.glob("part-*.parquet"))
                self.finished = {number for number in numbers if number is not None}
                self._claim(job)
            except (FileExistsError, NotADirectoryError) as error:
                raise ConfigurationError(
                    f"{self.path} is no folder: name one that is there, or may be made."
                ) from error
            except OSError as error:
                raise _unwritable(self.path, error) from error
            yield

    def file(self, number: int) -> Path:
        return self.path / _name_of(number)

    def write(self, number: int, rows: pa.RecordBatch, into: str, info: PartInfo) -> None:
        """Write a part, in place of the one there is, if any."""
        said = {name: getattr(info, name) for name in PartInfo.__slots__}
        schema = rows.schema.with_metadata({_KEY: json.dumps(said)})
        table = pa.Table.from_batches([rows.replace_schema_metadata(schema.metadata)], schema)
        kind = rows.schema.field(into).type
        vectors = pa.types.is_list(kind)
        # Vectors hardly get smaller, and a dictionary of their numbers takes time for nothing.
        others = [name for name in rows.schema.names if name != into]
        with self._replacing(self.file(number)) as temporary:
            pq.write_table(
                table,
                temporary,
                compression=dict.fromkeys(others, "zstd") if vectors else "zstd",
                use_dictionary=others if vectors else True,
                write_statistics=others if vectors else True,
            )
        self.finished.add(number)

    def info(self, number: int) -> PartInfo:
        """Return what a part says of itself."""
        file = self.file(number)
        try:
            said = json.loads((pq.read_schema(file).metadata or {})[_KEY])
            return PartInfo(**said)
        except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{file} is not a part of this job: remove it, and the next run makes it again."
            ) from error

    def read(self, number: int, columns: Sequence[str]) -> pa.RecordBatch:
        """Return columns of a part."""
        return joined(
            pq.read_table(self.file(number), columns=columns, partitioning=None).to_batches()
        )

    def write_manifest(self, job: Job, summary: Mapping[str, object]) -> None:
        manifest = {"format": _KEY.decode(), "version": VERSION, "job": job, **summary}
        with self._replacing(self.path / MANIFEST) as temporary:
            temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")

    def _claim(self, job: Job) -> None:
        manifest = self.path / MANIFEST
        if not manifest.exists():
            if any(self.path.glob("*.parquet")):
                raise ConfigurationError(
                    f"{self.path} holds Parquet files that are no bulk job's: name another folder."
                )
            self.write_manifest(job, {"complete": False})
            return
        try:
            found = json.loads(manifest.read_text("utf-8"))
            version, other = int(found["version"]), cast("Job", dict(found["job"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{manifest} is not a bulk job's manifest.") from error
        if version > VERSION:
            raise ConfigurationError(
                f"{manifest} is of a newer version of this package (format {version}, known: "
                f"{VERSION}): update langchain-easyllm, or name another folder."
            )
        difference = _difference(other, json.loads(json.dumps(job)))
        if difference and not self.finished:
            self.write_manifest(job, {"complete": False})  # nothing of the other job is there
        elif difference:
            raise ConfigurationError(
                f"{self.path} holds another job: {difference}. Name another folder, or run that "
                "job again."
            )

    @contextmanager
    def _replacing(self, file: Path) -> Iterator[Path]:
        temporary = file.with_name(_TEMPORARY + file.name)
        try:
            yield temporary
            _force(temporary)
            temporary.replace(file)
        except BaseException as error:
            with suppress(OSError):
                temporary.unlink()
            if isinstance(error, OSError):
                raise _unwritable(file, error) from error
            raise
        _force(self.path)


def _name_of(number: int) -> str:
    return f"part-{number:06}.parquet"


def _number_of(file: Path) -> int | None:
    """Return the number of a part; None for a file of another name."""
    number = file.stem.removeprefix("part-")
    known = number.isdecimal() and file.name == _name_of(int(number))
    return int(number) if known else None


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    reason = os.strerror(error.errno) if error.errno else error
    return ConfigurationError(f"{path} cannot be written to: {reason}.")


def _difference(there: Job, here: Job) -> str:
    """Return the first thing in which two jobs differ; empty if there is none."""
    for name in dict.fromkeys([*there, *here]):
        before, now = there.get(name), here.get(name)
        if before == now:
            continue
        if name == "inputs" and isinstance(before, list) and isinstance(now, list):
            return _difference_of_inputs(before, now)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            return _difference(before, now)
        return f"{name} is {before!r} there and {now!r} here"
    return ""


def _difference_of_inputs(there: list[Job], here: list[Job]) -> str:
    before, now = ({str(one["path"]): one for one in several} for several in (there, here))
    for path in dict.fromkeys([*before, *now]):
        if path not in now:
            return f"its input {path} is not here"
        if path not in before:
            return f"the input {path} is not its own"
        if before[path] != now[path]:
            return f"its input {path} has changed since"
    return "its inputs are in another order"


def _force(path: Path) -> None:
    """Have what was written reach the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    except OSError:
        if path.is_file():
            raise
    finally:
        os.close(handle)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let no other process in; a lock ends with its process, however that ends."""
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        yield
        return
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                f"Another process writes to {path.parent} at this moment: wait until it ends."
            ) from error
        except OSError:  # the file system has no locks
            pass
        yield
