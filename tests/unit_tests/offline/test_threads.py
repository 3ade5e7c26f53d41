"""One pass at a time, on one thread; everything else in the process keeps its threads."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from langchain_easyllm.offline.llama import one_thread
from langchain_easyllm.offline.loading import loading


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


@pytest.mark.parametrize("hold", [one_thread, loading])
def test_a_forked_process_can_compute_and_load(hold):
    """A lock that is copied while it is held would be held for ever in the copy."""
    inside, over = threading.Event(), threading.Event()

    def work() -> None:
        with hold():
            inside.set()
            over.wait(0.2)

    holder = threading.Thread(target=work)
    holder.start()
    inside.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on: there are threads
        child = os.fork()
    if not child:
        signal.alarm(5)
        with hold():
            os._exit(0)
    over.set()
    holder.join()
    assert os.waitpid(child, 0)[1] == 0
