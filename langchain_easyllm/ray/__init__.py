"""Bulk jobs on a cluster: columns of a Ray dataset in, the dataset with vectors or answers out.

Needs the extra: `pip install "langchain-easyllm[ray]"`. The parts load at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from .checkpoints import check_ids as check_ids
    from .checkpoints import checkpoint as checkpoint
    from .datasets import embed as embed
    from .datasets import run as run

_MODULES = {
    "check_ids": ".checkpoints",
    "checkpoint": ".checkpoints",
    "embed": ".datasets",
    "run": ".datasets",
}

__all__ = [*_MODULES]  # noqa: PLE0604
__getattr__, __dir__ = lazy_attributes(__name__, _MODULES)
