"""What the tests by random input share: how many examples, cuts, and a bound on growth."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

from hypothesis import HealthCheck, settings

__all__ = ["assert_linear", "assert_short", "cut", "examples", "spliced"]

T = TypeVar("T", str, bytes)


def examples(count: int) -> settings:
    """So many examples, and as many times more as the profile has (see `tests/conftest.py`)."""
    usual = 100
    return settings(
        max_examples=max(count * settings().max_examples // usual, 1),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def cut(text: T, places: Sequence[int]) -> list[T]:
    """Cut a text at places, which may be any numbers."""
    bounds = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in pairwise(bounds)]


def spliced(text: T, changes: Sequence[tuple[int, int, T]]) -> T:
    """Replace so many characters at a place by others, again and again."""
    for place, removed, put in changes:
        at = place % (len(text) + 1)
        text = text[:at] + put + text[at + removed :]
    return text


def assert_short(error: Exception) -> None:
    """Fail if an error says nothing, or more than anybody reads."""
    assert 0 < len(str(error)) < 5000


def assert_linear(work: Callable[[int], object], size: int = 300) -> None:
    """Fail if work on ten times the size takes far more than ten times as long."""
    for _ in range(3):
        small, large = _time(work, size), _time(work, size * 10)
        # What is over in a moment says nothing about growth on a busy machine.
        if large < 0.1 or large < 40 * small:
            return
    raise AssertionError(f"{size} took {small:.3f} s, {size * 10} took {large:.3f} s")


def _time(work: Callable[[int], object], size: int) -> float:
    started = time.thread_time()
    work(size)
    return time.thread_time() - started
