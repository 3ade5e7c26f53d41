"""Every check by its name, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from .._nearest import did_you_mean
from ..errors import ConfigurationError
from .constraint_checks import regex, schema
from .load_checks import cancellation, concurrency
from .report import Finding
from .subject import Subject
from .text_checks import (
    first_token,
    many_stops,
    plain,
    prompt,
    reasoning,
    stop,
    stream,
    stream_usage,
    usage,
)
from .tool_checks import tools_auto, tools_named, tools_none, tools_required
from .vector_checks import embeddings, rerank, tokenize

Check: TypeAlias = Callable[[Subject], Finding]

CHECKS: Mapping[str, Check] = {
    "plain": plain,
    "prompt": prompt,
    "stream": stream,
    "first-token": first_token,
    "stop": stop,
    "many-stops": many_stops,
    "usage": usage,
    "stream-usage": stream_usage,
    "tools-auto": tools_auto,
    "tools-required": tools_required,
    "tools-named": tools_named,
    "tools-none": tools_none,
    "schema": schema,
    "regex": regex,
    "reasoning": reasoning,
    "tokenize": tokenize,
    "cancellation": cancellation,
    "concurrency": concurrency,
    "embeddings": embeddings,
    "rerank": rerank,
}

FIRST = "plain"
"""Without it, the other checks of text are not tried."""

STREAM = "stream"

WITH_STREAM = frozenset(
    {"first-token", "stop", "many-stops", "stream-usage", "reasoning", "cancellation"}
)
"""Checks that cannot do without a stream that works."""

WITHOUT_CHAT = frozenset({FIRST, "prompt", "embeddings", "rerank"})
"""Checks that do not need the chat model."""


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """Return the checks of these names or groups (`tools`), all of them for none.

    Raises:
        ConfigurationError: If there is none of a name.
    """
    if not names:
        return tuple(CHECKS)
    for name in names:
        if not _of(name):
            hint = did_you_mean(name, [*CHECKS, "tools"], f"there are {', '.join(CHECKS)}.")
            raise ConfigurationError(f"There is no check {name!r}: {hint}")
    wanted = {check for name in names for check in _of(name)}
    return tuple(name for name in CHECKS if name in wanted)


def _of(name: str) -> list[str]:
    if name in CHECKS:  # "stream" is that check, and not "stream-usage" besides
        return [name]
    return [check for check in CHECKS if check.startswith(f"{name}-")]
