"""One pass at a time, on one thread; everything else in the process keeps its threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from langchain_easyllm.offline._threads import one_thread


def blas_threads() -> set[int]:
    return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}


def test_blas_has_one_thread_inside_and_its_own_number_again_outside():
    with threadpool_limits(limits=3, user_api="blas"):
        outside = blas_threads()
        with one_thread():
            assert blas_threads() <= {1}
        assert blas_threads() == outside
        with pytest.raises(ZeroDivisionError), one_thread():
            _ = 1 / 0
        assert blas_threads() == outside


def test_passes_take_turns():
    inside: list[int] = []
    most = 0

    def work(index: int) -> None:
        nonlocal most
        with one_thread():
            inside.append(index)
            most = max(most, len(inside))
            sum(range(20_000))
            inside.remove(index)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(64)))
    assert most == 1
