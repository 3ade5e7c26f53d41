"""Whether the server answers, and who may try again while it does not."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from random import random
from time import monotonic

from ..errors import ConfigurationError, EasyLLMError
from .classification import describe, may_be_the_rows

FIRST_PAUSE = 0.25
"""The most seconds before the first request to a server that is away."""

LONGEST_PAUSE = 4.0
"""The most seconds between two requests to a server that is away, unless it names more."""

DOUBT = 0.1
"""The share of `patience` after which an error of the server may be the only row's own."""

MOST_UNANSWERED = 3
"""Rows that may be given up one after the other, for errors of the server, without any answer."""


def check_patience(patience: float) -> None:
    if not (isinstance(patience, int | float) and patience >= 0):  # nor NaN
        raise ConfigurationError(f"patience={patience!r} has to be a number of seconds.")


class Failures:
    """The server's failures to answer one row, or some rows together.

    Attributes:
        others_answered: How many of them there were while others were answered.
    """

    __slots__ = ("_seen", "others_answered")

    def __init__(self, answers: int) -> None:
        self.others_answered = 0
        self._seen = answers

    def note(self, watch: ServerWatch) -> bool:
        """Note one more; return whether others have been answered since the last."""
        answered, self._seen = watch.answers > self._seen, watch.answers
        self.others_answered += answered
        return answered


class ServerWatch:
    """Tells a server that is away from a row that it cannot answer. It belongs to one event loop.

    While nobody is answered, one request at a time is sent, after a pause; once one is answered,
    all go on. If nobody is answered for `patience` seconds, the job is given up.

    Attributes:
        answers: How many answers there were.
        failure: Why the server is thought to be away; None if it is not.
    """

    def __init__(self, patience: float) -> None:
        check_patience(patience)
        self.patience = patience
        self.answers = 0
        self.failure: Exception | None = None
        self._since = 0.0
        self._pauses = 0
        self._given_up = 0
        self._trying = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    def answered(self) -> None:
        self.answers += 1
        self._given_up = 0
        if self.failure is not None:
            self.failure, self._trying, self._pauses = None, False, 0
            while self._waiting:
                _wake(self._waiting.popleft())

    def failed(self, error: Exception, failures: Iterable[Failures]) -> bool:
        """Note that the server answered none of some rows; return whether to wait no longer.

        Where others have been answered meanwhile, `others_answered` tells whose fault it is.
        """
        others_answered = [one.note(self) for one in failures]
        if any(others_answered):
            return False
        if self.failure is None:
            self._since = monotonic()
        self.failure = error
        doubtful = may_be_the_rows(error) and self._given_up < MOST_UNANSWERED
        own = doubtful and monotonic() - self._since > self.patience * DOUBT
        if own:  # perhaps nobody else is there to be answered
            self._given_up += 1
            self._since = monotonic()
        self._hand_over()
        return own

    def skipped(self) -> None:
        """Note that a row failed by itself before anything was sent for it."""
        if self.failure is not None:
            self._hand_over()

    async def ready(self, tried: int = 0) -> bool:
        """Wait until a request may be sent; return whether it is the only one, to see if it works.

        Raises:
            EasyLLMError: If nobody has been answered for as long as `patience`.
        """
        if self.failure is None:
            if tried:  # failed while others were answered
                await asyncio.sleep(_pause(tried))
            return False
        if self._trying:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
            if self.failure is None:
                return False
        self._trying = True
        left = self._since + self.patience - monotonic()
        if left <= 0:
            raise self._exhausted(self.failure)
        wished = getattr(self.failure, "retry_after", None) or 0.0
        await asyncio.sleep(min(max(_pause(self._pauses), wished), left))
        self._pauses += 1
        return True

    def _hand_over(self) -> None:
        self._trying = bool(self._waiting)
        if self._waiting:
            _wake(self._waiting.popleft())

    def _exhausted(self, error: Exception) -> Exception:
        said = f"No answer for {self.patience:.4g} s (patience); the last failure: "
        if not isinstance(error, EasyLLMError):
            given_up = EasyLLMError(said + describe(error))
            given_up.__cause__ = error
            return given_up
        error.message = said + error.message
        error.args = (error.message,)
        return error


def _pause(pauses: int) -> float:
    longest: float = FIRST_PAUSE * 2 ** min(pauses, 8)
    return min(longest, LONGEST_PAUSE) * (0.5 + random() / 2)  # noqa: S311 - no secret


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
