"""JSON in a model's answer: alone, in a code fence, after thinking, or among other words."""

from __future__ import annotations

import json
import re
from itertools import islice

from langchain_core.utils.json import parse_partial_json

__all__ = ["NOTHING", "find_json", "find_partial_json"]

NOTHING = object()
"""What is found where there is no JSON; None is JSON."""

_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)(?:\n?```|\Z)", re.DOTALL)
_THOUGHT = "</think>"
_MAX_TRIES = 100
_decode = json.JSONDecoder(strict=False).raw_decode


def find_json(text: str) -> object:
    """Return the JSON of an answer, or `NOTHING`.

    Among other words only an object is taken for an answer.
    """
    answer = text.rpartition(_THOUGHT)[2]
    for candidate in (text, answer, *(match[1] for match in _FENCE.finditer(answer))):
        try:
            return json.loads(candidate, strict=False)
        except (ValueError, RecursionError):
            continue
    for match in islice(re.finditer(r"\{", answer), _MAX_TRIES):
        try:
            return _decode(answer, match.start())[0]
        except (ValueError, RecursionError):
            continue
    return NOTHING


def find_partial_json(text: str) -> dict[str, object] | None:
    """Return as much of a JSON object as has been answered so far; None for nothing yet."""
    if not text.lstrip().startswith("{"):
        text = text.rpartition(_THOUGHT)[2]
    if fence := _FENCE.search(text):
        text = fence[1]
    start = text.find("{")
    if start < 0:
        return None
    try:
        value = parse_partial_json(text[start:])
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
