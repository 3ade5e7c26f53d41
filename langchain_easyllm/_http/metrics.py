"""Counters of each server: what was sent to it, and how that went.

One process counts for all of its objects. A count costs about a microsecond, at moments that a call
has anyway: when a request is sent, when it fails, when an answer has ended; none is per chunk.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING

from .models import URL, parse_url

if TYPE_CHECKING:
    from ..errors import EasyLLMError

MAX_SERVERS = 256
"""Servers with counters of their own; those beyond share the counters of `OTHERS`."""

OTHERS = "others"

_Origin = tuple[str, str, int]


@dataclass(slots=True)
class ServerCounters:
    """The counters of one server."""

    requests: int = 0
    retries: int = 0
    refused: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    input_tokens: int = 0
    output_tokens: int = 0
    first_tokens: int = 0
    first_token_seconds: float = 0.0
    cold_start_waits: int = 0
    cold_start_seconds: float = 0.0


class _Table:
    """All counters. Thread-safe."""

    def __init__(self) -> None:
        # Reentrant: a signal's handler may call a model within any step of this.
        self.lock = threading.RLock()
        self._servers: dict[_Origin, ServerCounters] = {}
        self._others: ServerCounters | None = None

    def of(self, origin: _Origin) -> ServerCounters:
        """Return the counters of a server, for who has the lock."""
        found = self._servers.get(origin)
        if found is None:
            if len(self._servers) < MAX_SERVERS:
                found = self._servers[origin] = ServerCounters()
            else:
                found = self._others = self._others or ServerCounters()
        return found

    def all(self) -> dict[str, ServerCounters]:
        """Return the counters by the addresses of their servers, for who has the lock."""
        named = {_root(origin): counters for origin, counters in self._servers.items()}
        return {**named, OTHERS: self._others} if self._others else named

    def clear(self) -> None:
        with self.lock:
            self._servers.clear()
            self._others = None


_table = _Table()


def table() -> _Table:
    return _table


def _renew() -> None:
    """Begin anew: a child of a fork counts what it does itself, and its lock may be held."""
    global _table  # noqa: PLW0603 - one for the process
    _table = _Table()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def count_request(address: URL) -> None:
    """Count a request that is about to be sent."""
    with (known := _table).lock:
        known.of(address.origin).requests += 1


def count_failure(address: URL | str, error: EasyLLMError) -> None:
    """Count a request, or a stream, that failed."""
    if (origin := _origin_of(address)) is None:
        return
    kind = type(error).__name__
    with (known := _table).lock:
        counters = known.of(origin)
        counters.errors[kind] = counters.errors.get(kind, 0) + 1
        counters.refused += error.status_code == 429


def count_pause(address: URL | str, seconds: float, *, cold_start: bool) -> None:
    """Count that a request is sent again, after a pause."""
    if (origin := _origin_of(address)) is None:
        return
    with (known := _table).lock:
        counters = known.of(origin)
        if cold_start:
            counters.cold_start_waits += 1
            counters.cold_start_seconds += seconds
        else:
            counters.retries += 1


def count_tokens(
    url: str, input_tokens: int, output_tokens: int = 0, first_token: float | None = None
) -> None:
    """Count the tokens of an answer, and the seconds until the first one of a stream."""
    if (origin := _origin_of(url)) is None:
        return
    with (known := _table).lock:
        counters = known.of(origin)
        counters.input_tokens += input_tokens
        counters.output_tokens += output_tokens
        if first_token is not None and isfinite(first_token):
            counters.first_tokens += 1
            counters.first_token_seconds += first_token


def _origin_of(address: URL | str) -> _Origin | None:
    """Return where a response came from; None for a model in this process."""
    if isinstance(address, URL):
        return address.origin
    return parse_url(address).origin if address.startswith("http") else None


def _root(origin: _Origin) -> str:
    address = URL(*origin, "", None)
    return f"{address.scheme}://{address.authority}"
