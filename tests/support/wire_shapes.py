"""What answers are made of: the paths of their keys, whatever the values."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx

__all__ = ["chunks_of", "data_of", "paths_of"]


def paths_of(value: object, start: str = "") -> frozenset[str]:
    """The paths of all keys in JSON, such as `choices[].message.content`."""
    return frozenset(_paths(value, start))


def _paths(value: object, start: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{start}.{key}" if start else str(key)
            yield path
            yield from _paths(inner, path)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, start + "[]")


def data_of(response: httpx.Response | bytes | str) -> list[str]:
    """The data of each event of a stream, in a form that every server but TGI has."""
    text = response.text if isinstance(response, httpx.Response) else response
    text = text if isinstance(text, str) else text.decode()
    events = text.split("\n\n")
    assert events.pop() == ""
    assert all(event.startswith("data: ") for event in events)
    return [event.removeprefix("data: ") for event in events]


def chunks_of(response: httpx.Response | bytes | str) -> list[frozenset[str]]:
    """The paths of each chunk of a stream, without `[DONE]` at its end."""
    *events, done = data_of(response)
    assert done == "[DONE]"
    return [paths_of(json.loads(event)) for event in events]
