"""SGLang. Sources: the request models and handlers of its OpenAI-compatible server."""

from __future__ import annotations

from .profile import (
    CHAT_FIELDS,
    COMPLETIONS_FIELDS,
    CONTINUE,
    DEFAULT_MAX_TOKENS,
    TEMPLATE_KWARGS,
    ApiProfile,
    BusyRoute,
    ChatTokenizeRoute,
    EmbeddingProfile,
    ServerProfile,
    TokenizeRoute,
    VersionRoute,
    same,
    without,
)

# It ignores every other key (`truncate`, `typical_p`, `best_of`, `watermark`) without a word.
_MORE = {
    **same("top_k", "repetition_penalty", "min_p", "min_tokens", "ignore_eos"),
    "grammar": "response_format",
}
_OMITTED = {"top_p": (0,), "top_k": (0,)}
_EXPRESSIONS = {"regex": {"regex": ...}, "ebnf": {"ebnf": ...}}

SGLANG = ServerProfile(
    name="sglang",
    owned_by=("sglang",),
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
        expressions=_EXPRESSIONS,
        constrains=True,
    ),
    completions=ApiProfile(
        fields={**without(COMPLETIONS_FIELDS, "best_of"), **_MORE},
        unread=("user",),
        omitted=_OMITTED,
        expressions=_EXPRESSIONS,
        constrains=True,
        default_max_tokens=DEFAULT_MAX_TOKENS,  # it stops after 16 tokens otherwise
    ),
    generate=None,  # its `/generate` is a protocol of its own
    max_stops=None,
    renders_own_template=True,
    strict_on_request=True,
    tokenize=TokenizeRoute("/v1/tokenize", "prompt", special_field="add_special_tokens"),
    # Older versions of the route take a prompt only.
    chat_tokenize=ChatTokenizeRoute(
        "/v1/tokenize",
        keys=(
            *("model", "messages", "tools", "tool_choice"),
            *("reasoning_effort", "chat_template_kwargs"),
        ),
    ),
    continuation=CONTINUE,
    version_route=VersionRoute("/get_server_info"),
    busy_route=BusyRoute("/metrics", "sglang:num_running_reqs"),
    embedding=EmbeddingProfile("sglang"),
)
