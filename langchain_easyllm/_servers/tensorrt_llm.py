"""TensorRT-LLM's `trtllm-serve`. Source: the request models of its OpenAI-compatible server.

They refuse every key that they do not have.
"""

from __future__ import annotations

from .profile import (
    CHAT_FIELDS,
    COMPLETIONS_FIELDS,
    TEMPLATE_KWARGS,
    ApiProfile,
    ConstraintFormat,
    EmbeddingProfile,
    ServerProfile,
    VersionRoute,
    same,
    template_switch,
)

_MORE = {
    **same("top_k", "repetition_penalty", "best_of", "min_p", "min_tokens", "ignore_eos"),
    "truncate": "truncate_prompt_tokens",
    "grammar": "response_format",
}
_EXPRESSIONS = {
    "regex": {"response_format": {"type": "regex", "regex": ...}},
    "ebnf": {"response_format": {"type": "ebnf", "ebnf": ...}},
}
_OMITTED = {"top_p": (0,), "top_k": (0, -1)}

TENSORRT_LLM = ServerProfile(
    name="tensorrt-llm",
    owned_by=("tensorrt_llm",),
    first_model_answers=True,
    chat=ApiProfile(
        fields={
            **CHAT_FIELDS,
            **_MORE,
            **same("reasoning_effort"),
            "thinking": TEMPLATE_KWARGS,
        },
        unread=("user",),
        omitted=_OMITTED,
        # Older versions take OpenAI's `json_schema`, with its name, for the schema itself.
        constraint=ConstraintFormat.JSON,
        expressions=_EXPRESSIONS,
        constrains=True,
    ),
    completions=ApiProfile(
        fields={**COMPLETIONS_FIELDS, **_MORE},
        unread=("user",),
        omitted=_OMITTED,
        constraint=ConstraintFormat.JSON,
        expressions=_EXPRESSIONS,
        constrains=True,
    ),
    generate=None,
    max_stops=None,
    # It refuses a switch that the model's template does not read: one name only.
    thinking=template_switch("enable_thinking"),
    efforts=("none", "low", "medium", "high"),
    renders_own_template=True,
    names_auto=True,  # older versions take a request without a choice for "none"
    parallel_tool_calls=False,  # older versions refuse it, and no version obeys
    version_route=VersionRoute("/version"),
    embedding=EmbeddingProfile("tensorrt-llm"),
)
