"""Other clients' forms of a timeout, of which each holds several numbers."""

from __future__ import annotations

from typing import Protocol

from ..errors import ConfigurationError


class ReadTimeout(Protocol):
    """What `httpx.Timeout` has in common with its successors."""

    @property
    def read(self) -> float | None:
        """Seconds of silence, or None for no limit."""


TimeoutNumbers = tuple[float | None, ...] | ReadTimeout


def one_timeout(value: object) -> object:
    """Return the number among several that bounds an answer: the one for reading.

    It is the second of a tuple (`(connect, read)` for requests, `(connect, read, write, pool)` for
    httpx), `read` of an `httpx.Timeout`, and `total`, else `sock_read`, of aiohttp's. The time for
    a connection has a limit of its own here, and there is no other wait.
    """
    if isinstance(value, tuple | list):
        if not 2 <= len(value) <= 4:
            raise ConfigurationError(
                "timeout must be a number of seconds, or (connect, read) as other clients have it; "
                f"it has {len(value)} numbers."
            )
        return value[1]
    if value is None or isinstance(value, int | float | str):
        return value
    if hasattr(value, "read") and not callable(value.read):
        return value.read
    if hasattr(value, "total"):
        total: object = value.total
        return getattr(value, "sock_read", None) if total is None else total
    return value
