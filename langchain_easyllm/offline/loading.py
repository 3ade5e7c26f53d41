"""Models are read one at a time, so that threads that need one at once share it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()


@contextmanager
def loading() -> Iterator[None]:
    """Wait until no other thread reads a model."""
    with _lock:
        yield


def _renew() -> None:
    global _lock  # noqa: PLW0603 - the thread that holds the old one is not in the copy
    _lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
