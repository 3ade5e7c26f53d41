"""Constructor fields of the objects that send many texts in few requests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import Field, field_validator

from ..errors import ConfigurationError
from .connection import CONFIG, ConnectionFields
from .constructor_types import BatchNames

if TYPE_CHECKING:
    from .._batch.scheduler import BatchScheduler, Task
    from .._http.models import RetryPolicy
    from .._servers.profile import ServerInfo

__all__ = ["BatchFields", "progress_bar"]


T = TypeVar("T")

USUAL_SIZE = 32
"""Texts per request where the server does not say how many it takes: TEI's own default."""


class BatchFields(BatchNames, ConnectionFields):
    """How many texts make a request, and what becomes of those that are too long."""

    model_config = CONFIG

    batch_size: int | None = Field(default=None, ge=1)
    """Most texts in one request. Default None: the server's `max_client_batch_size`, else 32. A
    batch that is refused for its size is halved, so a number that is too large costs time only."""

    max_batch_bytes: int = Field(default=1_900_000, ge=1)
    """Most bytes of one request's JSON body. Default 1,900,000: below the 2 MB that TEI takes. A
    text that is larger by itself is sent alone."""

    truncate: bool | None = None
    """True cuts texts that are too long for the model; False has the server refuse them. Default
    None: as the server is set up."""

    truncation_direction: Literal["left", "right"] | None = None
    """Which end is cut. Default None: the right one."""

    @field_validator("truncation_direction", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    def _most(self, server: ServerInfo | None) -> int:
        """Return how many texts make a request."""
        allowed = server.max_batch if server and server.tei else None
        return min(self.batch_size or allowed or USUAL_SIZE, allowed or sys.maxsize)

    def _batches(
        self, task: Task[T], server: ServerInfo | None, texts: Sequence[str] | None = None
    ) -> BatchScheduler[T]:
        """Return what cuts texts into requests.

        Args:
            task: What is done to them.
            server: Which server does it, if that is known.
            texts: All of them; None where more may come than one can know of.
        """
        from .._batch.scheduler import BatchScheduler  # noqa: PLC0415 - sockets load with the first request

        most, limit = self._most(server), self.max_concurrency
        if server and server.profile.max_concurrency:
            limit = server.profile.max_concurrency
        if texts is not None:
            size = sum(map(len, texts))
            limit = min(limit, max(-(-len(texts) // most), -(-size // self.max_batch_bytes)))
        return BatchScheduler(
            task,
            size=most,
            max_bytes=self.max_batch_bytes,
            limit=limit,
            policy=self._patience(),
        )

    def _patience(self) -> RetryPolicy:
        from .._http.models import RetryPolicy  # noqa: PLC0415 - sockets load with the first request

        return RetryPolicy(self.timeout, self.max_retries, self.wait_for_model)


@contextmanager
def progress_bar(total: int, *, shown: bool) -> Iterator[Callable[[int], object] | None]:
    """Show a bar of texts; yields what moves it on, or None where there is none.

    Raises:
        ConfigurationError: If tqdm is not installed.
    """
    if not shown or not total:
        yield None
        return
    try:
        from tqdm.auto import tqdm  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ConfigurationError(
            "show_progress needs tqdm: pip install tqdm, or leave show_progress out."
        ) from error
    with tqdm(total=total, unit="text") as bar:
        yield bar.update
