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
    """Return how much longer ten times the chunks take: about 10 if linear, 100 if quadratic.

    What disturbs a measurement makes it longer, never shorter: what is near 10 is not repeated.
    """
    few = min(_time(work, chunks) for _ in range(3))
    many = _time(work, [*chunks] * 10)
    for _ in range(2):
        if many < 15 * few:
            break
        many = min(many, _time(work, [*chunks] * 10))
    return many / few


def _time(work: Callable[[Sequence[str]], object], chunks: Sequence[str]) -> float:
    start = time.thread_time()  # what else runs on the machine takes none of it
    work(chunks)
    return time.thread_time() - start
