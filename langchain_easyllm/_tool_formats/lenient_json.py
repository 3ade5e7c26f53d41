"""JSON as models write it, and as servers pass it on, where a strict parser would lose it."""

from __future__ import annotations

import json
import re
from math import isfinite


def load_json(text: str) -> object:
    """Parse JSON as models write it, to a value that JSON can say again.

    Line breaks inside of strings are kept; NaN, infinities and numbers beyond a float are None;
    half a surrogate pair is a replacement character.
    """
    value: object = json.loads(
        text, strict=False, parse_constant=lambda _: None, parse_float=_finite
    )
    return whole_characters(value) if _SURROGATE.search(text) else value


def whole_characters(value: object) -> object:
    """Return a JSON value whose texts hold no half of a surrogate pair."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [whole_characters(one) for one in value]
    if isinstance(value, dict):
        return {whole_characters(key): whole_characters(one) for key, one in value.items()}
    return value


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def _finite(number: str) -> float | None:
    value = float(number)
    return value if isfinite(value) else None
