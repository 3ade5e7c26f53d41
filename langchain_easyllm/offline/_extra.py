"""The libraries of the extra `offline`, and the error of one that is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ConfigurationError

_MODULES = frozenset(
    {"llguidance", "numpy", "safetensors", "starlette", "threadpoolctl", "tokenizers", "uvicorn"}
)


class MissingExtraError(ConfigurationError, ImportError):
    """A library of the extra `offline` is not installed."""


@contextmanager
def needs_extra() -> Iterator[None]:
    """Turn the error of a missing library into one with the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _MODULES:
            raise
        raise MissingExtraError(
            f"The offline models need {missing}, which is not installed: run "
            'pip install "langchain-easyllm[offline]".'
        ) from error
