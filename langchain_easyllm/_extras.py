"""Libraries of extras, and the error of one that is missing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from .errors import ConfigurationError


@contextmanager
def needs_libraries(
    libraries: Collection[str],
    purpose: str,
    extra: str,
    error: type[ConfigurationError] = ConfigurationError,
) -> Iterator[None]:
    """Turn the error of a missing library into one with the command that installs it.

    `purpose` begins its sentence, up to "need".
    """
    try:
        yield
    except ModuleNotFoundError as reason:
        missing = (reason.name or "").partition(".")[0]
        if missing not in libraries:
            raise
        raise error(
            f"{purpose} need {missing}, which is not installed: run "
            f'pip install "langchain-easyllm[{extra}]".'
        ) from reason
