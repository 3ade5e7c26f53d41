"""Many texts in few requests: cut, sent concurrently, cut smaller where they are refused.

`BatchScheduler` does no I/O. A worker is a generator that yields requests and pauses; `workers`
runs as many of them as may be in flight. They share what is left to do.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import islice
from typing import Generic, Protocol, TypeVar

from .._http.error_mapping import error_from_event, with_advice
from .._http.metrics import count_tokens
from .._http.models import Request, Response, RetryPolicy
from .._protocols.events import Failure
from .._protocols.texts import Pair, beginning, read_tokens, to_json
from ..errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ContextOverflowError,
    EasyLLMError,
    GenerationError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
)

T = TypeVar("T")

_OF_ALL = ConfigurationError, AuthenticationError, PermissionDeniedError, NotFoundError
"""What fails for all texts as for one."""

WorkerStep = tuple[Request, RetryPolicy]
"""A request to send."""

_BATCH_SIZE = re.compile(
    r"batch.{0,20}size|size of the batch|too many (?:inputs|texts|documents)|"
    r"max_client_batch_size|input is too large to process",
    re.IGNORECASE,
)


class BatchJob(Generic[T]):
    """Texts to process, and their results.

    `first` is the index of the first text in the caller's input; `on_progress` is called with the
    number of texts of each batch that is done. With `errors`, by the positions of their texts, a
    text that fails has its error there, and the job goes on; those that are there already are not
    sent.
    """

    def __init__(
        self,
        texts: Sequence[str | Pair],
        first: int = 0,
        on_progress: Callable[[int], object] | None = None,
        errors: dict[int, EasyLLMError] | None = None,
        *,
        counts_tokens: bool = False,
    ) -> None:
        self.texts = texts
        self.first = first
        self.errors = errors
        # Those of the texts, as the server counts them; None where it does not, or nobody asks.
        self.tokens = 0 if counts_tokens else None
        self.results: list[T | None] = [None] * len(texts)
        self.on_progress = on_progress
        # A model pads a batch to its longest text: texts of similar length go together, the longest
        # first, so that none of them is waited for alone in the end.
        lengths = self._lengths()
        self.length = sum(lengths)  # characters
        sent = [position for position in range(len(texts)) if position not in (errors or ())]
        order = sorted(sent, key=lengths.__getitem__, reverse=True)
        self.left = len(order)
        self._rest: Iterator[int] = iter(order)
        self._next: tuple[int, bytes] | None = None

    def _lengths(self) -> list[int]:
        return list(map(len, self.texts))

    def indices(self, positions: list[int]) -> list[int]:
        """Return the indices in the caller's input of texts at these positions."""
        first = self.first
        return [first + position for position in positions] if first else positions

    def next_batch(self, max_texts: int, max_bytes: int) -> Batch[T] | None:
        """Return the next batch, one text at least; None if there is none."""
        positions: list[int] = []
        encoded: list[bytes] = []
        size = 0
        if self._next is not None:
            position, text = self._next
            self._next = None
            positions, encoded, size = [position], [text], len(text) + 1
        for position in islice(self._rest, max_texts - len(positions)):
            text = to_json(self.texts[position])
            size += len(text) + 1
            if size > max_bytes and positions:
                self._next = (position, text)
                break
            positions.append(position)
            encoded.append(text)
        return Batch(self, positions, b",".join(encoded)) if positions else None

    def put(self, batch: Batch[T], results: Sequence[T]) -> None:
        for position, result in zip(batch.positions, results, strict=True):
            self.results[position] = result
        self.count(batch)

    def fail(self, batch: Batch[T], error: EasyLLMError) -> None:
        """Note the error of a batch for each of its texts."""
        assert self.errors is not None  # noqa: S101 - asked before
        several = len(batch.positions) > 1
        for position, index in zip(batch.positions, batch.indices, strict=True):
            own = self.errors[position] = copy(error) if several else error
            own.index = index
        self.count(batch)

    def reject(self, batch: Batch[T], errors: Mapping[int, EasyLLMError]) -> Batch[T]:
        """Note the errors of texts, by their places in an answered batch; return the others."""
        kept = []
        for place, position in enumerate(batch.positions):
            if place in errors:
                self.fail(Batch(self, [position], b""), errors[place])
            else:
                kept.append(position)
        return Batch(self, kept, b"")

    def drop(self) -> None:
        self.texts, self.results, self._rest = [], [], iter(())

    def count(self, batch: Batch[T]) -> None:
        self.left -= len(batch.positions)
        if self.on_progress is not None:
            self.on_progress(len(batch.positions))


@dataclass(slots=True)
class Batch(Generic[T]):
    """The texts of one request."""

    job: BatchJob[T]
    positions: list[int]  # the indices of the texts in the job
    body: bytes  # the texts as JSON, with commas between them
    tag: object = None  # how it was sent, for the task that sends it

    @property
    def indices(self) -> list[int]:
        """The indices of its texts in the caller's input."""
        return self.job.indices(self.positions)

    def halves(self) -> list[Batch[T]]:
        middle = (len(self.positions) + 1) // 2
        texts = self.job.texts
        return [
            Batch(self.job, half, b",".join([to_json(texts[position]) for position in half]))
            for half in (self.positions[:middle], self.positions[middle:])
        ]


class UnusableResults(Exception, Generic[T]):  # noqa: N818 - some results are good
    """Results of which some cannot be used.

    `errors` are by places in the batch; `results` are the others, in their order.
    """

    def __init__(self, results: Sequence[T], errors: Mapping[int, EasyLLMError]) -> None:
        super().__init__(errors)
        self.results = results
        self.errors = errors


class Task(Protocol[T]):
    """Builds the requests and reads their responses."""

    @property
    def noun(self) -> str:
        """The name of a text in errors."""

    @property
    def can_truncate(self) -> bool:
        """Whether the server has a field that cuts long texts off."""

    @property
    def overhead(self) -> int:
        """Bytes of a request's body without any text."""

    def build_request(self, batch: Batch[T]) -> Request:
        """Return the request for a batch."""

    def read(self, batch: Batch[T], body: bytes) -> Sequence[T] | Failure:
        """Return the results for a batch, in its order; or a failure that the response reports.

        Raises:
            UnusableResults: If the response is right, but not its results for some texts.
        """

    def refuses_form(self, error: EasyLLMError) -> bool:
        """Whether what looks like a server's failure is about how the request is written."""

    def learn_fallback(self, batch: Batch[T], error: EasyLLMError) -> bool:
        """Learn from a refusal; return whether the next request for the batch is another one."""


class PlainTask:
    """What most tasks have in common: one form of requests."""

    def refuses_form(self, _error: EasyLLMError) -> bool:
        """Return False: there is one form."""
        return False


class BatchScheduler(Generic[T]):
    """Cuts jobs into batches as workers need them. It belongs to one thread at a time.

    A request has at most `size` texts and `max_bytes` bytes; `limit` of them are in flight.
    """

    def __init__(
        self,
        task: Task[T],
        *,
        size: int,
        max_bytes: int,
        limit: int,
        policy: RetryPolicy,
        single: bool = False,
    ) -> None:
        self.limit = limit
        self._task = task
        self.size = size
        self._max_bytes = max_bytes - task.overhead
        batch_retries = None if single else policy.max_retries
        self._policy = replace(
            policy,
            on_retry=self._before_retry,
            batch_retries=batch_retries,
            answers_soon=True,
        )
        self._workers = 0
        self._jobs: deque[BatchJob[T]] = deque()
        self._retries: deque[Batch[T]] = deque()
        self.error: BaseException | None = None  # why nothing more is started
        # Called when a job is done, and when one has failed.
        self.on_change: Callable[[], object] = lambda: None

    def add(self, job: BatchJob[T]) -> None:
        self._jobs.append(job)

    def add_worker(self) -> bool:
        """Count one more worker if there is work for it; return whether there is."""
        left = self.error is None and bool(self._retries or self._jobs)
        useful = left and self._workers < self.limit
        self._workers += useful
        return useful

    def stop(self, error: BaseException) -> None:
        """Let no worker start anything more."""
        if self.error is None:
            self.error = error
        self.on_change()

    def run(self, spawn: Callable[[], object]) -> Generator[WorkerStep, Response, None]:
        """Send batches until there are none; `spawn` is called where another worker may help."""
        while (batch := self._take()) is not None:
            spawn()
            try:
                response = yield self._task.build_request(batch), self._policy
                self._read(batch, response)
            except EasyLLMError as error:
                self._failed(batch, error)
            except Exception as error:  # noqa: BLE001 - raised to the caller, who waits elsewhere
                self.stop(error)
            else:
                del response  # it may be large, and the next one may take long

    def _take(self) -> Batch[T] | None:
        if self.error is None:
            batch = self._retries.popleft() if self._retries else self._cut()
            if batch is not None:
                return batch
        self._workers -= 1
        return None

    def _cut(self) -> Batch[T] | None:
        while self._jobs:
            batch = self._jobs[0].next_batch(self.size, self._max_bytes)
            if batch is not None:
                return batch
            self._jobs.popleft()
        return None

    def _read(self, batch: Batch[T], response: Response) -> None:
        errors: Mapping[int, EasyLLMError] = {}
        results: Sequence[T] | Failure
        try:
            results = self._task.read(batch, response.body)
        except UnusableResults as partly:
            results, errors = partly.results, partly.errors
        except EasyLLMError as error:
            _note_response(error, response)
            raise
        if isinstance(results, Failure):
            raise error_from_event(results.payload, response.url)
        job = batch.job
        tokens = read_tokens(response.headers, response.body)
        if tokens is not None:
            count_tokens(response.url, tokens)
        if job.tokens is not None:
            job.tokens = None if tokens is None else job.tokens + tokens
        if errors:
            batch = self._without(batch, errors, response)
        if batch.positions:
            job.put(batch, results)
        if not job.left:
            self.on_change()

    def _without(
        self, batch: Batch[T], errors: Mapping[int, EasyLLMError], response: Response
    ) -> Batch[T]:
        """Note errors of an answered batch's texts; return what is left of it."""
        indices = batch.indices
        for place, error in errors.items():
            _note_response(error, response)
            error.index = indices[place]
        if batch.job.errors is None:
            raise errors[min(errors, key=indices.__getitem__)]
        return batch.job.reject(batch, errors)

    def _failed(self, batch: Batch[T], error: EasyLLMError) -> None:
        try:
            self._retries.extendleft(reversed(self._batches_after(batch, error)))
        except EasyLLMError as final:
            if batch.job.errors is None or isinstance(final, _OF_ALL):
                self.stop(final)
                return
            batch.job.fail(batch, final)
            if not batch.job.left:
                self.on_change()

    def _batches_after(self, batch: Batch[T], error: EasyLLMError) -> list[Batch[T]]:
        """Return the batches to send instead of one that failed, or raise the error."""
        if self._task.learn_fallback(batch, error):
            return [batch]
        too_large = _is_too_large(error)
        one_of_them = isinstance(error, BadRequestError | GenerationError)
        if batch.job.errors is not None and isinstance(error, ProtocolError):
            one_of_them = True  # the others may have their results
        if too_large or one_of_them:
            if len(batch.positions) == 1:
                raise self._named(batch, error)
            # A text that is too long for the model says nothing of how many may come together.
            if too_large and not isinstance(error, ContextOverflowError):
                self.size = min(self.size, (len(batch.positions) + 1) // 2)
            return batch.halves()
        raise error

    def _before_retry(self, error: EasyLLMError, _pause: float) -> None:
        """Let nothing be sent again that is to be sent otherwise, or that nobody waits for."""
        if self.error is not None or _is_too_large(error) or isinstance(error, GenerationError):
            raise error
        if self._task.refuses_form(error):
            raise error

    def _named(self, batch: Batch[T], error: EasyLLMError) -> EasyLLMError:
        text, noun = batch.job.texts[batch.positions[0]], self._task.noun
        if isinstance(error, ContextOverflowError):
            truncate = ", or set truncate=True" if self._task.can_truncate else ""
            with_advice(error, f"Split the {noun.lower()}{truncate}.")
        elif _is_too_large(error):
            with_advice(error, f"Split the {noun.lower()}.")
        error.message = (
            f"{noun} {batch.indices[0]} ({beginning(text)}) was refused: {error.message}"
        )
        error.args = (error.message,)
        error.index = batch.indices[0]
        return error


def _note_response(error: EasyLLMError, response: Response) -> None:
    error.url, error.status_code = response.url, response.status


def _is_too_large(error: EasyLLMError) -> bool:
    if error.status_code == 413:
        return True
    refused = isinstance(error, BadRequestError | RateLimitError) or error.status_code == 500
    return refused and bool(_BATCH_SIZE.search(error.body or error.message))
