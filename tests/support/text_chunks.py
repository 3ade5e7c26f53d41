"""Text in pieces, and how long work on it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise

from hypothesis import strategies as st

__all__ = ["growth", "pieces_of"]


@st.composite
def pieces_of(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> list[str]:
    """Draw a text and cut it anywhere; some pieces are empty."""
    text = draw(texts)
    cuts = draw(st.lists(st.integers(0, len(text)), max_size=len(text) + 2).map(sorted))
    return [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]


def growth(work: Callable[[Sequence[str]], object], pieces: Sequence[str]) -> float:
    """Return how much longer ten times the pieces take: about 10 if linear, 100 if quadratic."""
    return _best_time(work, [*pieces] * 10) / _best_time(work, pieces)


def _best_time(work: Callable[[Sequence[str]], object], pieces: Sequence[str]) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        work(pieces)
        times.append(time.perf_counter() - start)
    return min(times)
