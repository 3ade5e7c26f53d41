"""MLX-LM's `mlx_lm.server`. Source: its source code, August 2026.

It answers unknown routes with a plain "Not Found", and its list names the models of the Hub's cache
and nobody who owns them.
"""

from __future__ import annotations

from .profile import (
    CHAT_FIELDS,
    OPENAI_FIELDS,
    TEMPLATE_KWARGS,
    ApiProfile,
    ServerProfile,
    same,
    without,
)

_MORE = same("top_k", "repetition_penalty", "min_p")
_OMITTED = {"top_k": (-1,)}

MLX_LM = ServerProfile(
    name="mlx-lm",
    lists_served_models=False,
    chat=ApiProfile(
        fields={
            **without(CHAT_FIELDS, "n", "response_format", "user"),
            **_MORE,
            **dict.fromkeys(("thinking", "reasoning_effort"), TEMPLATE_KWARGS),
        },
        omitted=_OMITTED,
        min_top_logprobs=1,  # without them, it names no tokens
    ),
    # Its `logprobs` is true or false here as well, which OpenAI's number is not.
    completions=ApiProfile(
        fields={**without(OPENAI_FIELDS, "n", "user"), **_MORE}, omitted=_OMITTED
    ),
    generate=None,
    max_stops=None,
    renders_own_template=True,
    tool_choices=(),  # it ignores `tool_choice`
    parallel_tool_calls=False,
    strict_tools=False,
    generates_only=True,
)
