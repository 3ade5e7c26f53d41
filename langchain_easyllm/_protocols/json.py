"""JSON as servers really send it.

orjson is strict and fast. What it refuses may still be an answer: half a surrogate pair (a token
that ends inside an emoji, from a Python server), NaN in log probabilities, a byte order mark, bytes
that are no UTF-8. To lose a whole answer for one of those would be wrong, so the standard library
parses it once more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import orjson

from .._tool_formats.lenient_json import whole_characters
from ..errors import ProtocolError, beginning_of


def parse_json(data: bytes) -> object:
    """Parse JSON; None if it is none."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return parse_json_leniently(data)


def parse_object(data: bytes) -> Mapping[str, object]:
    value = parse_json(data)
    if isinstance(value, dict):
        return value
    raise ProtocolError(
        f"The server sent something that is not a JSON object: {quoted(data)}. "
        "Check that base_url is an inference server and not a web page or proxy.",
        body=beginning_of(data),
    )


def holds_no_answer(body: bytes, missing: str, hint: str) -> ProtocolError:
    """Return the error for JSON that is no answer, and reports no failure either."""
    return ProtocolError(
        f"The server's answer holds no {missing}, it is {quoted(body)}: {hint}",
        body=beginning_of(body),
    )


def quoted(body: bytes, size: int = 200) -> str:
    """Return a body for an error's sentence; of a long one its beginning, and its length."""
    text = repr(body[:size].decode("utf-8", "replace"))
    return text if len(body) <= size else f"{text}... ({len(body):,} bytes)"


def parse_json_leniently(data: bytes) -> object:
    """Parse JSON that orjson refused, forgiving what can be forgiven; None if it is none."""
    try:
        return whole_characters(json.loads(data.decode("utf-8-sig", "replace")))
    except (ValueError, RecursionError):  # too many digits, or nested too deep
        return None


def shown(value: object, size: int = 50) -> str:
    """Return the beginning of a value for an error, whatever a server made of it."""
    try:
        return repr(value)[:size]
    except (ValueError, RecursionError):  # more digits or levels than Python writes
        return type(value).__name__


def text_of(value: object) -> str:
    """Return a value as the text that the server meant: a number or an object is no less a piece.

    A list is OpenAI's list of parts.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list):
        return "".join(map(_text_of_part, value))
    if isinstance(value, Mapping) and isinstance(value.get("text"), str):
        return str(value["text"])
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:  # nested deeper than Python writes: no model's text
        return ""


def _text_of_part(part: object) -> str:
    if not isinstance(part, Mapping):
        return text_of(part)
    text = part.get("text")
    return text if isinstance(text, str) else ""


def count_of(value: object) -> int | None:
    """Return a number of tokens, which some servers send as a float; None if it is no number."""
    if isinstance(value, float) and math.isfinite(value) and value >= 0:
        return round(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
