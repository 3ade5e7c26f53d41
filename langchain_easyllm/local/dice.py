"""torch's random numbers, which are one sequence for the whole process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["dice"]

_changed = threading.Condition()
_rolling = [0]


@contextmanager
def dice(seed: int | None, device: torch.device) -> Iterator[None]:
    """Generate inside of this.

    Several models may draw from the process's sequence at once. One with a seed has a sequence of
    its own, so that its answer depends on nothing else, and the others wait for it; the process's
    goes on behind it where it was.

    Args:
        seed: The seed, or None to draw from the process's sequence.
        device: Where it is drawn; each GPU has a sequence of its own.
    """
    if seed is None:
        with _shared():
            yield
        return
    import torch  # noqa: PLC0415 - heavy

    with _changed:
        _changed.wait_for(lambda: _rolling[0] == 0)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield


@contextmanager
def _shared() -> Iterator[None]:
    with _changed:
        _rolling[0] += 1
    try:
        yield
    finally:
        with _changed:
            _rolling[0] -= 1
            _changed.notify_all()
