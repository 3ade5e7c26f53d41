"""New locks for forked processes, which have no thread of their parent to release the old ones."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Renewable(Protocol):
    """An object with locks, which a thread may hold while the process forks."""

    def renew(self) -> None:
        """Make new locks, and drop what only the parent's threads can finish."""


_objects: weakref.WeakSet[Renewable] = weakref.WeakSet()


def renew_in_children(thing: Renewable) -> None:
    """Call an object's `renew` now, and in each process that is forked off this one."""
    thing.renew()
    _objects.add(thing)


def _renew_all() -> None:
    for thing in list(_objects):
        thing.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
