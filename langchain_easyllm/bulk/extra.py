"""The libraries of the extra `bulk`, and the error of one that is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ConfigurationError

_MODULES = frozenset({"numpy", "pyarrow"})


@contextmanager
def needs_arrow() -> Iterator[None]:
    """Turn the error of a missing library into one with the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _MODULES:
            raise
        raise ConfigurationError(
            f"Bulk jobs need {missing}, which is not installed: run "
            'pip install "langchain-easyllm[bulk]".'
        ) from error
