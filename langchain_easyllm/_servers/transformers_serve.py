"""`transformers serve`. Sources: its source code, and the running program, version 5."""

from __future__ import annotations

from .profile import TEMPLATE_KWARGS, ApiProfile, ServerProfile, same

# It ignores the rest, and reads `frequency_penalty` as a repetition penalty less one.
_FIELDS = same("temperature", "top_p", "max_tokens", "stop", "seed")

TRANSFORMERS_SERVE = ServerProfile(
    name="transformers serve",
    lists_served_models=False,  # it lists those of the Hub's cache
    chat=ApiProfile(
        fields={
            **_FIELDS,
            **same("logit_bias"),
            **dict.fromkeys(("thinking", "reasoning_effort"), TEMPLATE_KWARGS),
        }
    ),
    completions=ApiProfile(fields=_FIELDS),
    max_stops=None,
    renders_own_template=True,
    # It refuses `tool_choice`: what it does is `auto` with tools and `none` without.
    tool_choices=(),
    parallel_tool_calls=False,
    strict_tools=False,
    blocks_in_tool_messages=True,
)
