"""Constructor fields of the classes that send many texts in few requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from .._progress import need_bars, open_bar
from .client_owner import ClientOwner
from .constructor_types import BatchNames

if TYPE_CHECKING:
    from .._batch.clients import BatchLimits


class BatchFields(BatchNames, ClientOwner):
    """The size of a request, and what happens to texts that are too long."""

    batch_size: int | None = Field(default=None, ge=1)
    """The maximum number of texts in one request (alias: `chunk_size`). A batch that is refused for
    its size is halved and sent again. Default None: the server's `max_client_batch_size`, else
    32."""

    max_batch_bytes: int = Field(default=1_900_000, ge=1)
    """The maximum size of one request's JSON body in bytes. A text that is larger by itself is sent
    alone. Default 1,900,000, which is below TEI's limit of 2 MB."""

    truncate: bool | None = None
    """Whether the server cuts texts that are too long for the model (True), or refuses them
    (False). Default None: the server's own setting."""

    truncation_direction: Literal["left", "right"] | None = None
    """The end at which a text that is too long is cut. Default None: the right one."""

    @field_validator("truncation_direction", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    def _limits(self) -> BatchLimits:
        from .._batch.clients import BatchLimits  # noqa: PLC0415 - sockets load with the first request

        return BatchLimits(
            self.batch_size, self.max_batch_bytes, self.max_concurrency, self._retry_policy()
        )


@contextmanager
def progress_bar(total: int, *, shown: bool) -> Iterator[Callable[[int], object] | None]:
    """Show a progress bar; yields the function that advances it, or None without a bar."""
    if not shown or not total:
        yield None
        return
    need_bars()
    bar = open_bar(total, "text")
    try:
        yield bar.update
    finally:
        bar.close()
