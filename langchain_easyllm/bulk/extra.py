"""The libraries of the extra `bulk`, and the error of one that is missing."""

from __future__ import annotations

from contextlib import AbstractContextManager

from .._extras import needs_libraries

_MODULES = frozenset({"numpy", "pyarrow"})


def needs_arrow() -> AbstractContextManager[None]:
    """Turn the error of a missing library into one with the command that installs it."""
    return needs_libraries(_MODULES, "Bulk jobs", "bulk")
