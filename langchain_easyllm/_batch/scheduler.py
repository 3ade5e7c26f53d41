"""Many texts in few requests: cut, sent side by side, cut smaller where they are refused.

`BatchScheduler` does no I/O. A worker is a generator that yields requests and pauses; `workers`
runs as many of them as may be in flight. What is left to do is shared by all.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import inf
from typing import Generic, Protocol, TypeVar, cast

from .._http.error_mapping import error_from_event, with_advice
from .._http.models import Request, Response, RetryPolicy
from .._http.retries import Backoff
from .._protocols.events import Failure
from .._protocols.texts import beginning, to_json
from ..errors import (
    BadRequestError,
    ContextOverflowError,
    EasyLLMError,
    GenerationError,
    RateLimitError,
)

__all__ = ["Batch", "BatchJob", "BatchScheduler", "Step", "Task"]


T = TypeVar("T")

Step = tuple[Request, RetryPolicy] | float
"""What a worker wants done: a request sent, or seconds waited."""

_BATCH_SIZE = re.compile(
    r"batch.{0,20}size|size of the batch|too many (?:inputs|texts|documents)|"
    r"max_client_batch_size|input is too large to process",
    re.IGNORECASE,
)


class BatchJob(Generic[T]):
    """Texts to be worked on, and what has come of them.

    Args:
        texts: The texts, checked.
        first: The place of the first in the caller's input.
        on_progress: Told of each batch how many texts it had.
    """

    def __init__(
        self,
        texts: Sequence[str],
        first: int = 0,
        on_progress: Callable[[int], object] | None = None,
    ) -> None:
        self.texts = texts
        self.first = first
        self.left = len(texts)
        self.results: list[T | None] = [None] * len(texts)
        self._on_progress = on_progress
        # A model pads a batch to its longest text: texts of like length go together, the longest
        # first, so that none of them is waited for alone in the end.
        lengths = list(map(len, texts))
        order = sorted(range(len(texts)), key=lengths.__getitem__, reverse=True)
        self._rest: Iterator[int] = iter(order)
        self._next: tuple[int, bytes] | None = None

    def cut(self, most: int, most_bytes: int) -> Batch[T] | None:
        """Return the next batch of at most so many texts and bytes; None if there is none."""
        places: list[int] = []
        pieces: list[bytes] = []
        size = 0
        if self._next is not None:
            place, piece = self._next
            self._next = None
            places, pieces, size = [place], [piece], len(piece) + 1
        for place in islice(self._rest, most - len(places)):
            piece = to_json(self.texts[place])
            size += len(piece) + 1
            if size > most_bytes and places:
                self._next = (place, piece)
                break
            places.append(place)
            pieces.append(piece)
        return Batch(self, places, b",".join(pieces)) if places else None

    def put(self, batch: Batch[T], results: Sequence[T]) -> None:
        """Take the results of a batch."""
        for place, result in zip(batch.places, results, strict=True):
            self.results[place] = result
        self.count(batch)

    def drop(self) -> None:
        """Let go of the texts and of all results."""
        self.texts, self.results, self._rest = [], [], iter(())

    def count(self, batch: Batch[T]) -> None:
        """Note that a batch is done."""
        self.left -= len(batch.places)
        if self._on_progress is not None:
            self._on_progress(len(batch.places))


@dataclass(slots=True)
class Batch(Generic[T]):
    """The texts of one request.

    Args:
        job: What they belong to.
        places: Their places in the job.
        body: The texts as JSON, with commas between them.
        ready: Moment (`time.monotonic`) before which it is not to be sent.
        sent: Moment when it was sent last.
        until: Moment after which it is not tried again; None before the first failure.
        schedule: When to try again; None before the first failure.
        answered: How many batches were answered when it was refused last.
        tag: How it was sent, for the task that sends it.
    """

    job: BatchJob[T]
    places: list[int]
    body: bytes
    ready: float = 0.0
    sent: float = 0.0
    until: float = inf
    schedule: Backoff | None = None
    answered: int = 0
    tag: object = None

    @property
    def indices(self) -> list[int]:
        """The places of its texts in the caller's input."""
        first = self.job.first
        return [first + place for place in self.places] if first else self.places

    def halves(self) -> list[Batch[T]]:
        """Return the batch as two."""
        middle = (len(self.places) + 1) // 2
        texts = self.job.texts
        return [
            Batch(self.job, places, b",".join([to_json(texts[place]) for place in places]))
            for places in (self.places[:middle], self.places[middle:])
        ]


class Task(Protocol[T]):
    """What is done to the texts."""

    @property
    def what(self) -> str:
        """What an error calls a text."""

    @property
    def overhead(self) -> int:
        """Bytes of a request's body without any text."""

    def request(self, batch: Batch[T]) -> Request:
        """Return the request for a batch."""

    def read(self, batch: Batch[T], body: bytes) -> Sequence[T] | Failure:
        """Return the results for a batch, in its order; or a failure that the answer reports."""

    def other_way(self, batch: Batch[T], error: EasyLLMError) -> bool:
        """Whether a refused batch has another way, which the next request for it takes."""


class BatchScheduler(Generic[T]):
    """Jobs, cut into batches as workers ask for them. All of it belongs to one thread at a time.

    Args:
        task: What is done to the texts.
        size: Most texts in a request.
        max_bytes: Most bytes in a request's body.
        limit: Most requests in flight.
        policy: How long to wait and how often to try again.

    Attributes:
        limit: Most requests in flight.
        answered: How many batches were answered.
        error: Why nothing more is begun.
        on_change: Called when a job is done, and when one has failed.
    """

    def __init__(
        self, task: Task[T], *, size: int, max_bytes: int, limit: int, policy: RetryPolicy
    ) -> None:
        self.limit = limit
        self.answered = 0
        self._task = task
        self._size = size
        self._max_bytes = max_bytes - task.overhead
        # Retries are made here, where it is known how the other requests fare.
        self._policy = replace(policy, max_retries=0, on_retry=self._go_on)
        self._max_retries = policy.max_retries
        self._limit = float(limit)
        self._lowered = 0.0
        self._workers = 0
        self._in_flight = 0
        self._jobs: deque[BatchJob[T]] = deque()
        self._again: deque[Batch[T]] = deque()
        self.error: BaseException | None = None
        self.on_change: Callable[[], object] = lambda: None

    def add(self, job: BatchJob[T]) -> None:
        """Take a job."""
        self._jobs.append(job)

    def hire(self) -> bool:
        """Whether one more worker is of use; it is then counted."""
        left = self.error is None and bool(self._again or self._jobs)
        useful = left and self._workers < int(self._limit)
        self._workers += useful
        return useful

    def stop(self, error: BaseException) -> None:
        """Let no worker begin anything more."""
        if self.error is None:
            self.error = error
        self.on_change()

    def work(self, spawn: Callable[[], object]) -> Generator[Step, Response | None, None]:
        """Do batches until there are none; `spawn` is called where another worker may help."""
        while (batch := self._take()) is not None:
            spawn()
            pause = batch.ready - time.monotonic()
            if pause > 0:
                yield pause
            self._sending(batch)
            try:
                response = yield self._task.request(batch), self._patience(batch)
                self._read(batch, cast("Response", response))
            except EasyLLMError as error:
                self._failed(batch, error)
            except Exception as error:  # noqa: BLE001 - raised to the caller, who waits elsewhere
                self.stop(error)
            else:
                del response  # it may be large, and the next answer far

    def _take(self) -> Batch[T] | None:
        if self.error is None and self._workers <= int(self._limit):
            batch = self._again.popleft() if self._again else self._cut()
            if batch is not None:
                return batch
        self._workers -= 1
        return None

    def _sending(self, batch: Batch[T]) -> None:
        self._in_flight += 1
        now = time.monotonic()
        # A batch that could be sent, but had to wait for its turn, has lost no time by that.
        batch.until += now - batch.ready
        batch.sent = batch.ready = now

    def _cut(self) -> Batch[T] | None:
        while self._jobs:
            batch = self._jobs[0].cut(self._size, self._max_bytes)
            if batch is not None:
                return batch
            self._jobs.popleft()
        return None

    def _read(self, batch: Batch[T], response: Response) -> None:
        try:
            results = self._task.read(batch, response.body)
        except EasyLLMError as error:
            error.url, error.status_code = response.url, response.status
            raise
        if isinstance(results, Failure):
            raise error_from_event(results.payload, response.url)
        batch.job.put(batch, results)
        self._in_flight -= 1
        self.answered += 1
        if self._limit < self.limit:
            self._limit += 1 / self._limit
        if not batch.job.left:
            self.on_change()

    def _failed(self, batch: Batch[T], error: EasyLLMError) -> None:
        self._in_flight -= 1
        try:
            self._again.extendleft(reversed(self._retries(batch, error)))
        except EasyLLMError as final:
            self.stop(final)

    def _retries(self, batch: Batch[T], error: EasyLLMError) -> list[Batch[T]]:
        """Return what to send in place of a batch that failed, or raise the error."""
        if self._task.other_way(batch, error):
            return [batch]
        too_large = _is_too_large(error)
        if too_large or isinstance(error, BadRequestError | GenerationError):
            if len(batch.places) == 1:
                raise self._named(batch, error)
            if too_large:
                self._size = min(self._size, (len(batch.places) + 1) // 2)
            return batch.halves()
        if isinstance(error, RateLimitError):
            self._slow_down(batch)
        batch.ready = time.monotonic() + self._pause_after(batch, error)
        return [batch]

    def _slow_down(self, batch: Batch[T]) -> None:
        # Once for all that were in flight together, as TCP does.
        if batch.sent > self._lowered:
            self._lowered = time.monotonic()
            self._limit = max(1.0, self._workers / 2)
        # As long as others are served, or may be, being refused is to wait for one's turn. Only who
        # is refused with nobody else on the way knows that the server is not merely busy with us.
        if self._in_flight or self.answered > batch.answered:
            batch.schedule = None
        batch.answered = self.answered

    def _pause_after(self, batch: Batch[T], error: EasyLLMError) -> float:
        if batch.schedule is None:
            timeout = self._policy.timeout
            batch.until = inf if timeout is None else batch.sent + timeout
            batch.schedule = Backoff(self._max_retries)
        left = batch.until - time.monotonic()
        return batch.schedule.pause_after(error, error.retry_after, left)

    def _patience(self, batch: Batch[T]) -> RetryPolicy:
        if batch.until == inf:
            return self._policy
        return replace(self._policy, timeout=max(batch.until - batch.sent, 0.001))

    def _go_on(self, error: Exception, _pause: float) -> None:
        """End the wait for a model that starts, once it is in vain."""
        if self.error is not None:
            raise error

    def _named(self, batch: Batch[T], error: EasyLLMError) -> EasyLLMError:
        """Return an error that says which text was refused."""
        text, what = batch.job.texts[batch.places[0]], self._task.what
        if isinstance(error, ContextOverflowError):
            with_advice(error, f"Split the {what.lower()}, or set truncate=True.")
        elif _is_too_large(error):
            with_advice(error, f"Split the {what.lower()}.")
        error.message = (
            f"{what} {batch.indices[0]} ({beginning(text)}) was refused: {error.message}"
        )
        error.args = (error.message,)
        return error


def _is_too_large(error: EasyLLMError) -> bool:
    """Whether a refusal is for the size of the batch."""
    if error.status_code == 413:
        return True
    refused = isinstance(error, BadRequestError | RateLimitError) or error.status_code == 500
    return refused and bool(_BATCH_SIZE.search(error.body or error.message))
