"""`transformers serve`. Sources: its source code, and the running program, version 5.

It samples only where a `generation_config` has `do_sample`: the model's own, or one in the request,
a JSON text whose unset values are the model's.
"""

from __future__ import annotations

from .profile import GENERATION_CONFIG, TEMPLATE_KWARGS, ApiProfile, ServerProfile, same

_IN_CONFIG = {
    **same("do_sample", "top_k", "typical_p", "min_p", "repetition_penalty"),
    "min_tokens": "min_new_tokens",
}
# It ignores the rest, and reads `frequency_penalty` as a repetition penalty less one.
_FIELDS = {
    **same("temperature", "top_p", "max_tokens", "stop", "seed"),
    **{name: GENERATION_CONFIG + key for name, key in _IN_CONFIG.items()},
}

TRANSFORMERS_SERVE = ServerProfile(
    name="transformers serve",
    lists_served_models=False,  # it lists those of the Hub's cache
    chat=ApiProfile(
        fields={
            **_FIELDS,
            **same("logit_bias"),
            **dict.fromkeys(("thinking", "reasoning_effort"), TEMPLATE_KWARGS),
        },
        samples_by_config=True,
    ),
    completions=ApiProfile(
        fields={**_FIELDS, "logit_bias": GENERATION_CONFIG + "sequence_bias"},
        samples_by_config=True,
    ),
    max_stops=None,
    renders_own_template=True,
    # It refuses `tool_choice`: what it does is `auto` with tools and `none` without.
    tool_choices=(),
    parallel_tool_calls=False,
    strict_tools=False,
    blocks_in_tool_messages=True,
)
