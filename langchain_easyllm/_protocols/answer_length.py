"""Fields about where an answer ends, and what they exclude."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ConfigurationError
from .constraints import CONSTRAINT_FIELDS

LENGTH_FIELDS = frozenset({"min_tokens", "ignore_eos"})


def check_length(params: Mapping[str, object]) -> None:
    """Refuse fields of a request of which one cannot be had beside another."""
    least, most = params.get("min_tokens"), params.get("max_tokens")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        raise ConfigurationError(
            f"min_tokens={least} is more than max_tokens={most}: raise one or lower the other."
        )
    if params.get("ignore_eos"):
        for name in sorted(CONSTRAINT_FIELDS):
            if params.get(name) is not None:
                raise ConfigurationError(
                    f"ignore_eos=True lets the answer go on where {name} lets it end: give one of "
                    "them."
                )
