"""What is wrong with a call, in the names that EasyLLM's clients have for things."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ConfigurationError

__all__ = ["easyllms_words"]

# What the package's own classes are told, and what helps the caller of these clients.
_WORDS = (
    (re.compile(r"\brepetition_penalty\b"), "frequency_penalty"),
    (re.compile(r"\breturn_full_text\b"), "echo"),
    (re.compile(r"\bbase_url\b"), "api_base"),
    (re.compile(r"\buse api='.*, or drop it"), "set prompt_builder, or drop it"),
    (re.compile(r" model_kwargs sends any key as it is\."), ""),
)


@contextmanager
def easyllms_words() -> Iterator[None]:
    """Say what the package's own classes complain of in the words of EasyLLM's clients.

    Raises:
        ConfigurationError: In place of one whose words are others.
    """
    try:
        yield
    except ConfigurationError as error:
        said = str(error)
        for theirs, ours in _WORDS:
            said = theirs.sub(ours, said)
        if said == str(error):
            raise
        raise ConfigurationError(said) from None
