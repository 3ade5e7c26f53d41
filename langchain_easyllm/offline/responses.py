"""Errors in each protocol's format, and server-sent events as TGI writes them.

TGI writes `data:` with no space, one line each. Sources: the OpenAPI documents of Text Generation
Inference 3 (`ErrorResponse`) and of Text Embeddings Inference 1.9 (`ErrorResponse`,
`OpenAICompatErrorResponse`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

__all__ = [
    "DONE",
    "HEADERS",
    "HTTPError",
    "Shape",
    "event",
    "failure",
    "invalid",
    "openai_failure",
    "openai_shape",
    "tei_shape",
    "tgi_shape",
]


class HTTPError(Exception):
    """An error that is the response to a request.

    `kind` is its type in TGI's spelling; `""` writes the bare message as text, as the servers' HTTP
    library does before either has seen a request. A `shape` replaces that of the route.
    """

    def __init__(
        self,
        message: str,
        kind: str = "validation",
        status: int = 422,
        headers: Mapping[str, str] | None = None,
        shape: Shape | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.status = status
        self.headers = dict(headers or {})
        self.shape = shape


Shape = Callable[[HTTPError], dict[str, object]]
"""Writes an error in a protocol's format."""


def invalid(message: str) -> HTTPError:
    """Return the error of a request with invalid fields (422)."""
    return HTTPError(f"Input validation error: {message}")


def tgi_shape(error: HTTPError) -> dict[str, object]:
    """Write an error as TGI does."""
    return {"error": error.message, "error_type": error.kind}


def tei_shape(error: HTTPError) -> dict[str, object]:
    """Write an error as TEI does, whose types have a capital."""
    return {"error": error.message, "error_type": error.kind.capitalize()}


def openai_shape(error: HTTPError) -> dict[str, object]:
    """Write an error as TEI's OpenAI-style route does.

    Its document calls the type `error_type`, the program `type`: here it has both names.
    """
    kind = error.kind.capitalize()
    return {"message": error.message, "code": error.status, "type": kind, "error_type": kind}


HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}
"""Headers of a stream."""

DONE = b"data:[DONE]\n\n"
"""The end of a stream of the OpenAI-style routes."""


def event(value: object) -> bytes:
    """Return the event of a JSON value."""
    return b"data:" + orjson.dumps(value) + b"\n\n"


def failure(error: HTTPError) -> bytes:
    """Return the last event of a stream of TGI's own that fails, with the usual body."""
    return event(tgi_shape(error))


def openai_failure(error: HTTPError) -> bytes:
    """Return the end of a stream of TGI's OpenAI-style routes that fails.

    TGI writes it for OpenAI's client, with 422 whatever the reason, and ends the stream as usual
    (https://github.com/huggingface/text-generation-inference/pull/2668).
    """
    return event({"error": {"message": error.message, "http_status_code": 422}}) + DONE
