"""Bulk jobs on one machine: columns of texts in, Parquet parts with vectors or answers out.

Needs the extra: `pip install "langchain-easyllm[bulk]"`. The parts load at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from .batches import embed_batches as embed_batches
    from .batches import run_batches as run_batches
    from .jobs import embed as embed
    from .jobs import run as run
    from .result import BulkResult as BulkResult

_MODULES = {
    "BulkResult": ".result",
    "embed": ".jobs",
    "embed_batches": ".batches",
    "run": ".jobs",
    "run_batches": ".batches",
}

__all__ = [*_MODULES]  # noqa: PLE0604
__getattr__, __dir__ = lazy_attributes(__name__, _MODULES)
