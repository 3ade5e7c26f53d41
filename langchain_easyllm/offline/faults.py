"""Misbehaviour on command, so that users can test their own handling of errors."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from typing import Literal

from ..errors import ConfigurationError

__all__ = ["Faults"]

_BODIES = ("loading", "proxy")


@dataclass
class Faults:
    """How a server misbehaves. Every field may be changed while it runs.

    Attributes:
        cold_start: Seconds, counted from when it is set, in which every request is answered with
            503, as a sleeping endpoint does. A request with the header `X-Scale-Up-Timeout` is
            held for up to that many seconds first.
        cold_start_as: The body of that answer: `"loading"` (the Hub's JSON with an estimated time)
            or `"proxy"` (the plain text of a dedicated endpoint's proxy).
        rate_limited: How many of the next requests for an answer get 429; counts down. Questions
            about the server (`/info`, `/health`, `/v1/models`) are not counted.
        retry_after: Seconds in the `Retry-After` header of such an answer.
        cut_after: Tokens after which the connection of an answer is closed in the middle; an
            answer that is not streamed does not even begin. None for never.
        stall_after: Tokens after which an answer stops coming while its connection stays open.
        error_after: Tokens after which generation fails: an error event in a stream, else 424.
        delay: Seconds that each token takes longer.

    Raises:
        ConfigurationError: For an unknown name or a value that makes no sense, also when it is set.
    """

    cold_start: float = 0.0
    cold_start_as: Literal["loading", "proxy"] = "loading"
    rate_limited: int = 0
    retry_after: float = 1.0
    cut_after: int | None = None
    stall_after: int | None = None
    error_after: int | None = None
    delay: float = 0.0

    def __setattr__(self, name: str, value: object) -> None:
        _check(name, value)
        super().__setattr__(name, value)
        if name == "cold_start":
            object.__setattr__(self, "_ready_at", time.monotonic() + self.cold_start)

    def clear(self) -> None:
        """Stop all misbehaviour."""
        for fault in fields(self):
            setattr(self, fault.name, fault.default)

    def loading_for(self) -> float:
        """Return the seconds that the cold start still takes."""
        ready_at: float = self.__dict__["_ready_at"]
        return max(ready_at - time.monotonic(), 0.0)


def _check(name: str, value: object) -> None:
    default = Faults.__dataclass_fields__.get(name)
    if default is None:
        known = ", ".join(Faults.__dataclass_fields__)
        raise ConfigurationError(f"There is no fault named {name!r}: use one of {known}.")
    if name == "cold_start_as":
        if value not in _BODIES:
            raise ConfigurationError(f"cold_start_as is 'loading' or 'proxy', not {value!r}.")
        return
    if value is None and default.default is None:
        return
    counts = name == "rate_limited" or (name.endswith("_after") and name != "retry_after")
    number = isinstance(value, int) or (isinstance(value, float) and not counts)
    if isinstance(value, bool) or not number or not 0 <= value < float("inf"):  # type: ignore[operator]
        kind = "a count" if counts else "a number of seconds"
        raise ConfigurationError(f"{name} is {kind} that is not negative, not {value!r}.")
