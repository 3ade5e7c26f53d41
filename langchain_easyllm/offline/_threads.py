"""One pass through a network at a time, on one thread.

A token's products are too small to share. A BLAS that hands them to threads of its own waits for
them each time, which on a busy machine takes ten times as long; and passes in several threads at
once wait for Python's lock between their products, which halves what they get done together.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock

from ._extra import needs_extra

with needs_extra():
    from threadpoolctl import ThreadpoolController

__all__ = ["one_thread"]

_LOCK = Lock()

# A process is forked between two passes: a lock copied while it is held is held for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute alone, with every BLAS of the process limited to the calling thread."""
    with _LOCK, _blas().limit(limits=1):
        yield


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")
