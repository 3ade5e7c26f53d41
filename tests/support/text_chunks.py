"""Text in chunks, and how long work on it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise

from hypothesis import strategies as st

__all__ = ["chunks_of", "time_growth"]


@st.composite
def chunks_of(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> list[str]:
    """Draw a text and cut it anywhere; some chunks are empty."""
    text = draw(texts)
    cuts = draw(st.lists(st.integers(0, len(text)), max_size=len(text) + 2).map(sorted))
    return [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]


def time_growth(work: Callable[[Sequence[str]], object], chunks: Sequence[str]) -> float:
    """Return how much longer ten times the chunks take: about 10 if linear, 100 if quadratic."""
    return _best_time(work, [*chunks] * 10) / _best_time(work, chunks)


def _best_time(work: Callable[[Sequence[str]], object], chunks: Sequence[str]) -> float:
    times = []
    for _ in range(3):
        start = time.thread_time()  # what else runs on the machine takes none of it
        work(chunks)
        times.append(time.thread_time() - start)
    return min(times)
