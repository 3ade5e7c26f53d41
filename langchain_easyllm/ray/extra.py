"""The libraries of the extra `ray`, and the error of one that is missing."""

from __future__ import annotations

from contextlib import AbstractContextManager

from .._extras import needs_libraries

_MODULES = frozenset({"numpy", "pyarrow", "ray"})


def needs_ray() -> AbstractContextManager[None]:
    """Turn the error of a missing library into one with the command that installs it."""
    return needs_libraries(_MODULES, "Bulk jobs on Ray", "ray")
