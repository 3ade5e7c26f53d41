"""What a model's configuration says of lengths and ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import TextGenerationPipeline

__all__ = ["DEFAULT_LIMIT", "Limits", "limits_of"]

DEFAULT_LIMIT = 1024
"""Most new tokens where neither the caller nor the model says it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model's configuration says of lengths and ends.

    Attributes:
        new_tokens: Most new tokens; None where nothing says it.
        context: Most tokens of prompt and answer; None if unknown.
        ends: Ids of the tokens that end an answer.
    """

    new_tokens: int | None
    context: int | None
    ends: frozenset[int]


def limits_of(pipeline: TextGenerationPipeline, options: Mapping[str, object]) -> Limits:
    """Return a pipeline's limits.

    Args:
        pipeline: The pipeline; what it was made with goes before the model's own.
        options: Options of one call, which go before both.
    """
    config = pipeline.model.generation_config.to_diff_dict()
    made_with = getattr(pipeline, "_generate_kwargs", {})
    said = {**config, **made_with, **options}
    ends = said.get("eos_token_id")
    listed = ends if isinstance(ends, list) else [ends]
    new = said.get("max_new_tokens")
    context = getattr(pipeline.model.config, "max_position_embeddings", None)
    return Limits(
        new_tokens=new if isinstance(new, int) else None,
        context=context if isinstance(context, int) else None,
        ends=frozenset(end for end in listed if isinstance(end, int)),
    )
