"""The libraries of the extra `offline`, and the error of one that is missing."""

from __future__ import annotations

from contextlib import AbstractContextManager

from .._extras import needs_libraries
from ..errors import ConfigurationError

_MODULES = frozenset(
    {"llguidance", "numpy", "safetensors", "starlette", "threadpoolctl", "tokenizers", "uvicorn"}
)


class MissingExtraError(ConfigurationError, ImportError):
    """A library of the extra `offline` is not installed."""


def needs_extra() -> AbstractContextManager[None]:
    """Turn the error of a missing library into one with the command that installs it."""
    return needs_libraries(_MODULES, "The offline models", "offline", MissingExtraError)
