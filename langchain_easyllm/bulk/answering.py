"""The stage that runs a chain, a model or any other runnable on each row."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import orjson
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import Runnable
from pydantic import BaseModel

from .._langchain.batching import batched
from ..errors import ConfigurationError, EasyLLMError
from .classification import Fault, describe, fault_of, status_of, storable, tries_of
from .engine import JobProgress, Outcome, Part, check_count
from .extra import needs_arrow
from .server_watch import Failures, ServerWatch

with needs_arrow():
    import pyarrow as pa

MOST_AHEAD = 8
"""The most parts under way: one whose rows are being started, and those that wait for the last."""

_FILES = 4
"""Threads beside those of the rows, for files."""


class _Usage(BaseCallbackHandler):
    """Counts the tokens of a row's calls of models, and notes that a server answered."""

    run_inline = True

    def __init__(self, watch: ServerWatch) -> None:
        self.tokens: tuple[int, int] | None = None
        self._watch = watch

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self._watch.answered()
        for usage in _usages(response):
            read, written = self.tokens or (0, 0)
            self.tokens = read + usage[0], written + usage[1]


class RunnableStage:
    """Runs a runnable on each row, `max_concurrency` at a time.

    Args:
        runnable: The runnable.
        column: The column that is its input; None for the row as a dictionary.
        max_concurrency: How many rows are answered at a time.
        progress: Where the progress is noted.
        patience: For how many seconds nobody has to be answered for the job to be given up.
    """

    def __init__(
        self,
        runnable: Runnable[Any, Any],
        column: str | None,
        max_concurrency: int,
        progress: JobProgress,
        patience: float,
    ) -> None:
        check_count("max_concurrency", max_concurrency)
        self.progress = progress
        self.watch = ServerWatch(patience)
        self._runnable = runnable
        self._column = column
        self._size = max_concurrency
        self._turns = asyncio.Semaphore(max_concurrency)
        self._starting = asyncio.Lock()
        progress.failure = lambda: self.watch.failure

    @property
    def stored_type(self) -> pa.DataType:
        return pa.string()

    def parts_ahead(self, part_rows: int) -> int:
        return min(-(-self._size // part_rows) + 1, MOST_AHEAD) + 1

    async def __aenter__(self) -> Self:
        # Functions that are not asynchronous run in its threads.
        executor = ThreadPoolExecutor(self._size + _FILES, thread_name_prefix="easyllm-bulk")
        asyncio.get_running_loop().set_default_executor(executor)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""

    async def process(self, part: Part) -> Outcome:
        """Run the rows of a part; those of the next are started when all of these have been."""
        values = self._inputs(part.rows)
        rows = [_Row() for _ in values]
        try:
            async with asyncio.TaskGroup() as group, self._starting:
                for row, value in zip(rows, values, strict=True):
                    await self._turns.acquire()
                    group.create_task(self._run(row, value))
        except BaseExceptionGroup as several:
            raise _first_of(several) from None
        return _outcome(rows)

    def _inputs(self, rows: pa.RecordBatch) -> list[Any]:
        given = rows if self._column is None else rows.column(self._column)
        try:
            found: list[Any] = given.to_pylist()
        except (ValueError, OverflowError) as error:  # nanoseconds, years after 9999
            raise ConfigurationError(
                f"The rows hold what Python has no value for: {error}"
            ) from error
        return found

    async def _run(self, row: _Row, value: object) -> None:
        self.progress.in_flight += 1
        try:
            self._check(value)
            await self._answer(row, value)
        except _Final as final:
            row.error = self.progress.fail(final.error)
        finally:
            self.progress.in_flight -= 1
            self._turns.release()

    def _check(self, value: object) -> None:
        if self._column is not None and (value is None or value == ""):
            what = "null" if value is None else "empty"
            raise _Final(ConfigurationError(f"The column {self._column!r} is {what}."))

    async def _answer(self, row: _Row, value: object) -> None:
        failures = Failures(self.watch.answers)
        while True:
            await self.watch.ready(failures.others_answered)
            usage = _Usage(self.watch)
            try:
                with batched():
                    answer = await self._runnable.ainvoke(value, {"callbacks": [usage]})
                row.text = as_text(answer)
            except asyncio.CancelledError as end:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                self.watch.skipped()  # the row has ended itself, and nobody has ended the job
                raise _Final(end) from end
            except Exception as error:
                if self._goes_on(error, failures):
                    continue
                raise _Final(error) from error
            self.watch.answered()
            row.tokens = usage.tokens
            self.progress.done += 1
            self.progress.input_tokens += usage.tokens[0] if usage.tokens else 0
            self.progress.output_tokens += usage.tokens[1] if usage.tokens else 0
            return

    def _goes_on(self, error: Exception, failures: Failures) -> bool:
        """Whether the row is tried again; raises what is about the job."""
        fault = fault_of(error, was_answered=self.watch.answers > 0)
        if fault is Fault.JOB:
            ours = isinstance(error, EasyLLMError)
            raise error if ours else ConfigurationError(describe(error)) from error
        if fault is Fault.ROW:
            if status_of(error) is None:
                self.watch.skipped()
            else:
                self.watch.answered()
            return False
        if self.watch.failed(error, [failures]):
            return False
        return failures.others_answered < tries_of(error)


class _Final(Exception):  # noqa: N818 - a row's end, not an error
    """The error of a row is final."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class _Row:
    __slots__ = ("error", "text", "tokens")

    def __init__(self) -> None:
        self.text: str | None = None
        self.error: str | None = None
        self.tokens: tuple[int, int] | None = None


def _first_of(several: BaseExceptionGroup[BaseException]) -> BaseException:
    error = several.exceptions[0]
    return _first_of(error) if isinstance(error, BaseExceptionGroup) else error


def _outcome(rows: list[_Row]) -> Outcome:
    tokens = [row.tokens or (None, None) for row in rows]
    read, written = ([count for count in column if count] for column in zip(*tokens, strict=True))
    return Outcome(
        values=pa.array([row.text for row in rows], "string"),
        errors={position: row.error for position, row in enumerate(rows) if row.error},
        input_tokens=[one for one, _ in tokens],
        output_tokens=[one for _, one in tokens],
        tokens=(sum(read) if read else None, sum(written) if written else None),
    )


def as_text(answer: object) -> str | None:
    """Return what the column of answers holds: text as it is, other values as JSON."""
    if answer is None:
        return None
    if isinstance(answer, str):
        return storable(answer)
    if isinstance(answer, BaseMessage):
        text = storable(str(answer.text))
        calls = getattr(answer, "tool_calls", None)
        return _json({"text": text, "tool_calls": calls}) if calls else text
    return _json(answer)


def _json(value: object) -> str:
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(value, default=_plain, option=options).decode()


def _plain(value: object) -> object:
    if isinstance(value, BaseMessage):
        return as_text(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value, key=lambda one: (type(one).__name__, one))
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _usages(response: LLMResult) -> list[tuple[int, int]]:
    """Return the input and output tokens of each answer of a model."""
    found = []
    for generation in (one for several in response.generations for one in several):
        usage = None
        if isinstance(generation, ChatGeneration):
            usage = getattr(generation.message, "usage_metadata", None)
        if usage:
            found.append((usage["input_tokens"], usage["output_tokens"]))
    total = (response.llm_output or {}).get("token_usage")
    if not found and isinstance(total, Mapping):
        read, written = total.get("prompt_tokens"), total.get("completion_tokens")
        if isinstance(read, int) and isinstance(written, int):
            found.append((read, written))
    return found
