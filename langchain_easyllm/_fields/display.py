"""How objects are shown: by what was given to them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

_ADDED = "lc_versions"
"""What langchain-core adds to `metadata`."""


def _without_query(url: object) -> object:
    """Return an address, or several, without its query, which may hold a key."""
    if isinstance(url, tuple):
        return tuple(map(_without_query, url))
    address, mark, _ = url.partition("?") if isinstance(url, str) else (url, "", "")
    return f"{address}?***" if mark else address


class Displayed(BaseModel):
    """Shows the fields that were given, and looks the same printed."""

    def __repr_args__(self) -> Any:  # noqa: ANN401 - langchain-core's type
        for name, value in super().__repr_args__():
            shown = value
            if name == "metadata" and isinstance(value, dict):
                shown = {key: one for key, one in value.items() if key != _ADDED}
            if name == "base_url":
                shown = _without_query(value)
            if not isinstance(shown, dict) or shown:
                yield name, shown

    def __str__(self) -> str:
        return repr(self)
