"""Counters of this process, for each server: requests, retries, errors, tokens, waits.

from langchain_easyllm import metrics

metrics.snapshot()["http://localhost:8080"]["requests"]
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TypedDict, cast

from ._http.metrics import table

__all__ = ["ServerMetrics", "reset", "snapshot"]


class ServerMetrics(TypedDict):
    """What was counted for one server.

    Attributes:
        requests: HTTP requests sent, with those that were sent again and those that find out which
            server it is.
        retries: Requests sent again after a failure, or because the server was busy.
        refused: Requests answered 429 (too many requests).
        errors: Failed requests and broken streams by the name of the error's class, also where a
            further attempt succeeded.
        input_tokens: Tokens of prompts and texts, as far as the server reports them.
        output_tokens: Tokens of answers, as far as the server reports them.
        first_tokens: Streams whose time to the first piece of the answer was measured.
        first_token_seconds: The sum of those times in seconds, each from the call's beginning.
        cold_start_waits: Pauses because the model was still loading (`wait_for_model`).
        cold_start_seconds: The sum of those pauses in seconds.
    """

    requests: int
    retries: int
    refused: int
    errors: dict[str, int]
    input_tokens: int
    output_tokens: int
    first_tokens: int
    first_token_seconds: float
    cold_start_waits: int
    cold_start_seconds: float


def snapshot() -> dict[str, ServerMetrics]:
    """Return a copy of all counters by the server's address (`"http://localhost:8080"`).

    Counters only grow, until `reset` or the end of the process. A process that was forked begins at
    zero. Servers beyond the 256th are counted together, as `"others"`.
    """
    counted = table()
    with counted.lock:
        return {
            server: cast("ServerMetrics", asdict(counters))
            for server, counters in counted.all().items()
        }


def reset() -> None:
    """Set all counters back to zero, and forget the servers."""
    table().clear()
