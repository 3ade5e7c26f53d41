"""What the extra `offline` installs, and the error that says so where it is missing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ConfigurationError

__all__ = ["MissingExtraError", "needs_extra"]

_MODULES = frozenset({"llguidance", "numpy", "safetensors", "starlette", "tokenizers", "uvicorn"})
_THREADS = "OPENBLAS_NUM_THREADS"


class MissingExtraError(ConfigurationError, ImportError):
    """A library of the extra `offline` is not installed."""


@contextmanager
def needs_extra() -> Iterator[None]:
    """Import libraries of the extra inside of this.

    Where it is the first to import numpy, numpy's BLAS gets one thread: to share the products of a
    small model among threads costs more than it saves, on a busy machine ten times as much. An
    `OPENBLAS_NUM_THREADS` of the user's own stands.

    Raises:
        MissingExtraError: If one is missing, with the command that installs it.
    """
    first = "numpy" not in sys.modules and _THREADS not in os.environ
    if first:
        os.environ[_THREADS] = "1"  # OpenBLAS looks at it once, as it is loaded
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
    finally:
        if first:
            del os.environ[_THREADS]
