"""The log of calls that ask for one with `debug=True`."""

from __future__ import annotations

import logging

__all__ = ["log"]

_logger = logging.getLogger("langchain_easyllm.huggingface")


def log(text: str, *values: object) -> None:
    """Log at level DEBUG, to the standard error where no handler is set up."""
    if not _logger.hasHandlers():
        _logger.addHandler(logging.StreamHandler())
    _logger.setLevel(logging.DEBUG)
    _logger.debug(text, *values)
