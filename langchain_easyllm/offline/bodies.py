"""JSON bodies: requests, read by tables of fields; errors and events in each protocol's format.

TGI writes `data:` with no space, one line each. Sources: the OpenAPI documents of Text Generation
Inference 3 (`ErrorResponse`) and of Text Embeddings Inference 1.9 (`ErrorResponse`,
`OpenAICompatErrorResponse`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import orjson

from .._nearest import nearest

Json = Mapping[str, object]


@dataclass(frozen=True)
class Kind:
    """The type of a field; its description follows "must be"."""

    description: str
    holds: Callable[[object], bool]


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_between(value: object, low: int, high: int) -> bool:
    return _is_integer(value) and low <= cast("int", value) < high


STRING = Kind("a string", lambda value: isinstance(value, str))
BOOLEAN = Kind("true or false", lambda value: isinstance(value, bool))
INTEGER = Kind("an integer", _is_integer)
COUNT = Kind("an integer that is not negative", lambda value: _is_between(value, 0, 2**32))
SEED = Kind("an integer from 0 to 2**64 - 1", lambda value: _is_between(value, 0, 2**64))
NUMBER = Kind("a number", lambda value: _is_integer(value) or isinstance(value, float))
OBJECT = Kind("an object", lambda value: isinstance(value, Mapping))
ANY = Kind("anything", lambda _: True)


def list_of(kind: Kind, description: str) -> Kind:
    return Kind(description, lambda value: isinstance(value, list) and all(map(kind.holds, value)))


def one_of(*values: str) -> Kind:
    return Kind("one of " + ", ".join(f'"{value}"' for value in values), values.__contains__)


STRINGS = list_of(STRING, "a list of strings")


def parse_body(content_type: str, body: bytes) -> dict[str, object]:
    """Parse a request's body; errors are those of the HTTP library that TGI and TEI use."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise HTTPError("Expected request with `Content-Type: application/json`", "", 415)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HTTPError(f"Failed to parse the request body as JSON: {error}", "", 400) from error
    if not isinstance(value, dict):
        raise invalid("the body must be an object")
    return value


def read_fields(
    value: Json, known: Mapping[str, Kind], required: Iterable[str] = (), where: str = ""
) -> dict[str, object]:
    """Check an object's fields and return those that are set (null means unset).

    `where` is the object's path in the request, such as `"parameters."`.
    """
    for name in value:
        if name not in known:
            near = nearest(name, known)
            hint = f", did you mean `{near[0]}`?" if near else ""
            raise invalid(f"unknown field `{where}{name}`{hint}")
    found = {name: item for name, item in value.items() if item is not None}
    for name in required:
        if name not in found:
            raise invalid(f"missing field `{where}{name}`")
    for name, item in found.items():
        if not known[name].holds(item):
            raise invalid(f"`{where}{name}` must be {known[name].description}")
    return found


class HTTPError(Exception):
    """An error that is the response to a request.

    `kind` is its type in TGI's spelling; `""` writes the bare message as text, as the servers' HTTP
    library does before either has seen a request. A `shape` replaces that of the route; `details`
    are further keys, where the shape has a place for them.
    """

    def __init__(
        self,
        message: str,
        kind: str = "validation",
        status: int = 422,
        headers: Mapping[str, str] | None = None,
        shape: Shape | None = None,
        *,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.status = status
        self.headers = dict(headers or {})
        self.shape = shape
        self.details = dict(details or {})


Shape = Callable[[HTTPError], dict[str, object]]
"""Writes an error in a protocol's format."""


def invalid(message: str) -> HTTPError:
    return HTTPError(f"Input validation error: {message}")


def tgi_shape(error: HTTPError) -> dict[str, object]:
    return {"error": error.message, "error_type": error.kind}


def tei_shape(error: HTTPError) -> dict[str, object]:
    """Write an error as TEI does, whose types have a capital."""
    return {"error": error.message, "error_type": error.kind.capitalize()}


def openai_shape(error: HTTPError) -> dict[str, object]:
    """Write an error as TEI's OpenAI-style route does, by both names of its type.

    Its document calls the type `error_type`, the program `type`.
    """
    kind = error.kind.capitalize()
    return {"message": error.message, "code": error.status, "type": kind, "error_type": kind}


# Of a stream.
HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}
SPACED_DONE = b"data: [DONE]\n\n"  # as every server but TGI writes it
DONE = b"data:[DONE]\n\n"  # ends a stream of the OpenAI-style routes


def event(value: object) -> bytes:
    return b"data:" + orjson.dumps(value) + b"\n\n"


def spaced_event(value: object) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def failure(error: HTTPError) -> bytes:
    """Return the last event of a stream of TGI's own that fails, with the usual body."""
    return event(tgi_shape(error))


def openai_failure(error: HTTPError) -> bytes:
    """Return the end of a stream of TGI's OpenAI-style routes that fails.

    TGI writes it for OpenAI's client, with 422 whatever the reason, and ends the stream as usual
    (https://github.com/huggingface/text-generation-inference/pull/2668).
    """
    return event({"error": {"message": error.message, "http_status_code": 422}}) + DONE
