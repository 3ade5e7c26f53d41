"""The core of a bulk job: parts of rows in, what came of them out. No files, no command line."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from ..errors import ConfigurationError, EasyLLMError
from .classification import describe
from .extra import needs_arrow
from .server_watch import ServerWatch

with needs_arrow():
    import pyarrow as pa

PART_ROWS = 4096
"""The default number of rows in a part."""

_FEW = 1000
"""Rows before which a share of errors says little."""

P = TypeVar("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are processed, and kept, together."""

    number: int
    first: int  # the position of its first row in the input
    rows: pa.RecordBatch


@dataclass(slots=True)
class Outcome:
    """What came of the rows of a part, in their order."""

    values: pa.Array  # null where a row failed
    errors: dict[int, str]
    # Of each row, where anybody says so; and of all rows together.
    input_tokens: list[int | None] = field(default_factory=list)
    output_tokens: list[int | None] = field(default_factory=list)
    tokens: tuple[int | None, int | None] = (None, None)


class TooManyFailuresError(EasyLLMError):
    """A larger share of the rows failed than the job allows."""


@dataclass(slots=True)
class JobProgress:
    """How far a job is; read by what shows it.

    Attributes:
        total: The rows of the job, if known.
        done: The rows that are done, those that failed among them.
        failed: The rows that failed.
        in_flight: The rows that are being answered.
        input_tokens: The tokens of the rows so far.
        output_tokens: The tokens of the answers so far.
        max_errors: The share of rows that may fail.
        failure: Why the server is thought to be away, if it is.
    """

    total: int | None = None
    done: int = 0
    failed: int = 0
    in_flight: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    max_errors: float = 1.0
    failure: Callable[[], Exception | None] = lambda: None

    def fail(self, error: BaseException) -> str:
        """Note a row that failed; returns what its `error` says, or ends the job."""
        self.done += 1
        self.failed += 1
        few = _FEW if self.total is None else min(_FEW, self.total)
        if self.failed > self.max_errors * max(self.done, few):
            raise TooManyFailuresError(
                f"{self.failed} of {self.done} rows failed, more than max_errors="
                f"{self.max_errors:g} allows; the last one: {describe(error)}"
            )
        return describe(error)


class Stage(AbstractAsyncContextManager["Stage", None], Protocol):
    """What is done with the rows. It is entered, and used, on one event loop.

    Attributes:
        watch: Whether the server answers.
    """

    watch: ServerWatch

    @property
    def stored_type(self) -> pa.DataType:
        """The type of the values in files."""

    def parts_ahead(self, part_rows: int) -> int:
        """Return how many parts are to be under way."""

    async def process(self, part: Part) -> Outcome:
        """Process the rows of a part; raises what ends the job."""


def check_count(name: str, value: object) -> None:
    """Refuse a number of rows that is none."""
    if not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name}={value!r} has to be a whole number of at least 1.")


def cut(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[Part]:
    """Cut batches of any size into parts of `size` rows; the last one may be smaller."""
    number = rows = 0
    pending: list[pa.RecordBatch] = []
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, size - rows)
            pending.append(piece)
            start += piece.num_rows
            rows += piece.num_rows
            if rows == size:
                yield Part(number, number * size, joined(pending))
                number, rows, pending = number + 1, 0, []
    if rows:
        yield Part(number, number * size, joined(pending))


def joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Return the rows of batches as one."""
    if len(batches) == 1:
        return batches[0]
    whole = pa.Table.from_batches(batches).combine_chunks().to_batches()
    if len(whole) > 1:
        raise ConfigurationError(
            "The rows of one part hold more than 2 GB in a column: lower part_rows."
        )
    return whole[0]


async def process_parts(
    parts: Iterator[P], work: Callable[[P], Awaitable[T]], ahead: int
) -> AsyncIterator[T]:
    """Yield the results of parts, in their order; `ahead` of them are under way at a time."""
    tasks: deque[asyncio.Task[T]] = deque()
    loop = asyncio.get_running_loop()
    # One thread of its own: reading may take its time, and each thread keeps memory for itself.
    reader = ThreadPoolExecutor(1, thread_name_prefix="easyllm-read")
    try:
        more = True
        while more or tasks:
            running = [task for task in tasks if not task.done()]
            if more and len(running) < ahead and len(tasks) < 4 * ahead:
                part = await loop.run_in_executor(reader, next, parts, None)
                more = part is not None
                if part is not None:
                    tasks.append(asyncio.ensure_future(work(part)))
                    await asyncio.sleep(0)  # so that it begins before the next is read
            else:
                await asyncio.wait(running or tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done() and task.exception() is not None:
                    task.result()  # one that failed ends all, whichever it is
            while tasks and tasks[0].done():
                yield tasks.popleft().result()
    finally:
        reader.shutdown(wait=False)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
