"""Server-sent events as TGI writes them: `data:` with no space, one line each."""

from __future__ import annotations

import orjson

__all__ = ["DONE", "HEADERS", "event"]

HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}
"""Headers of a stream."""

DONE = b"data:[DONE]\n\n"
"""What ends a stream of the OpenAI-style routes."""


def event(value: object) -> bytes:
    """Return the event that carries a JSON value."""
    return b"data:" + orjson.dumps(value) + b"\n\n"
