"""Server-sent events as TGI writes them: `data:` with no space, one line each."""

from __future__ import annotations

import orjson

from .refusals import Refusal, tgi_shape

__all__ = ["DONE", "HEADERS", "event", "failure", "openai_failure"]

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


def failure(refusal: Refusal) -> bytes:
    """Return what ends a stream of TGI's own that fails: an event with the usual body."""
    return event(tgi_shape(refusal))


def openai_failure(refusal: Refusal) -> bytes:
    """Return what ends a stream of TGI's OpenAI-style routes that fails.

    TGI writes it for OpenAI's client, with 422 whatever the reason, and ends the stream as usual
    (https://github.com/huggingface/text-generation-inference/pull/2668).
    """
    return event({"error": {"message": refusal.message, "http_status_code": 422}}) + DONE
