"""Whose error it is: the row's, which is noted; the job's, which ends it; or the server's."""

from __future__ import annotations

import asyncio
import builtins
import re
from enum import Enum

from langchain_core import exceptions as core

from ..errors import (
    ConfigurationError,
    ConnectionError,
    EasyLLMError,
    EndpointPausedError,
    GenerationError,
    PromptError,
    ProtocolError,
    RefusalError,
    ServerError,
    StructuredOutputError,
)

LONGEST = 500
"""Characters of an error that a row's column keeps."""

_LONGEST_REASON = 160

_OF_ROW = (
    PromptError,
    RefusalError,
    StructuredOutputError,
    core.OutputParserException,
    core.ModelInvalidRequestError,
)
_OF_JOB = (
    ConfigurationError,
    EndpointPausedError,
    core.ModelAuthenticationError,
    core.ModelPermissionDeniedError,
    core.ModelNotFoundError,
)
_TIMEOUTS = core.ModelTimeoutError, builtins.TimeoutError, asyncio.TimeoutError
_OF_SERVER = (
    ServerError,
    GenerationError,
    ProtocolError,
    core.ModelRateLimitError,
    core.ModelConnectionError,
    core.ModelAPIError,
    builtins.ConnectionError,
    *_TIMEOUTS,
)


class Fault(Enum):
    """Whose error it is."""

    ROW = "row"
    JOB = "job"
    SERVER = "server"


def fault_of(error: Exception, *, was_answered: bool) -> Fault:
    """Return whose error it is; `was_answered`, whether the server has answered anything so far.

    Errors of other packages are known by langchain-core's classes, and by their HTTP status.
    """
    if isinstance(error, _OF_ROW):
        return Fault.ROW
    if isinstance(error, _OF_JOB):
        return Fault.JOB
    if isinstance(error, core.ModelRateLimitError):
        # A quota that is used up does not come back.
        return Fault.SERVER if getattr(error, "is_retryable", True) else Fault.JOB
    if isinstance(error, ConnectionError) and not error.is_retryable and not was_answered:
        return Fault.JOB  # a name that is not known, a certificate that is not trusted
    if isinstance(error, _OF_SERVER):
        return Fault.SERVER
    return _fault_of_status(status_of(error))


def _fault_of_status(status: int | None) -> Fault:
    if status in {401, 402, 403, 404, 410}:
        return Fault.JOB
    if status is not None and (status >= 500 or status in {408, 425, 429}):
        return Fault.SERVER
    return Fault.ROW


def status_of(error: Exception) -> int | None:
    """Return the HTTP status of an error, whichever package's it is."""
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int):
            return status
    return None


def may_be_the_rows(error: Exception) -> bool:
    """Whether a server's error may be about what it was sent, and not about the server."""
    if isinstance(error, (GenerationError, ProtocolError, *_TIMEOUTS)):
        return True
    return status_of(error) == 500


def is_rate_limit(error: Exception) -> bool:
    return isinstance(error, core.ModelRateLimitError) or status_of(error) == 429


def tries_of(error: Exception) -> int:
    """How often a row may fail so, while others are answered, before the error is its own."""
    if isinstance(error, _TIMEOUTS):
        return 2  # each has taken long
    return 4 if may_be_the_rows(error) else 10


_POSITION = re.compile(r"^Text \d+ \(.*?\) was refused: ", re.DOTALL)
_VECTOR = re.compile(r"^The vector of text \d+ \(.*?\) (?=is all zeros|has )", re.DOTALL)
_NUMBERED = re.compile(r"^Text \d+ ")
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|\d(?:[\d.:]*\d)?")


def storable(text: str) -> str:
    """Return a text that Arrow can hold: one with halves of characters has none (UTF-8)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def describe(error: BaseException) -> str:
    """Return what a row's `error` says: the class, and the message in one line."""
    text = error.message if isinstance(error, EasyLLMError) else str(error)
    # Where it is, is said by the row that it is in.
    text = _VECTOR.sub("The vector ", _POSITION.sub("", storable(text)))
    text = _NUMBERED.sub("The text ", " ".join(text.split()))
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def reason_of(description: str) -> str:
    """Return what a description has in common with others of its kind."""
    return _VARIABLE.sub("…", description)[:_LONGEST_REASON]
