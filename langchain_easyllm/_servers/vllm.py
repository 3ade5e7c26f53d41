"""vLLM. Sources: the request models of its OpenAI-compatible server."""

from __future__ import annotations

from .profile import (
    CHAT_FIELDS,
    CLIENT_SIDE,
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

_MORE = {
    **same("top_k", "repetition_penalty", "min_p", "min_tokens", "ignore_eos"),
    "truncate": "truncate_prompt_tokens",
    "grammar": "response_format",
}
_OMITTED = {"top_p": (0,)}
# Before version 0.11 it has the `guided_` keys only, since version 0.12 only the others. It ignores
# a key that it does not know, and the versions that have both prefer the newer.
_EXPRESSIONS = {
    "regex": {"structured_outputs": {"regex": ...}, "guided_regex": ...},
    "choice": {"structured_outputs": {"choice": ...}, "guided_choice": ...},
    "ebnf": {"structured_outputs": {"grammar": ...}, "guided_grammar": ...},
}

VLLM = ServerProfile(
    name="vllm",
    owned_by=("vllm",),
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
    max_stops=4,  # since version 0.32, unless `VLLM_MAX_STOP_STRINGS` says otherwise
    renders_own_template=True,
    strict_on_request=True,
    blocks_in_tool_messages=True,
    tokenize=TokenizeRoute(
        "/tokenize",
        "prompt",
        special_field="add_special_tokens",
        names_model=True,
        names_field="token_strs",
        names_extra={"return_token_strs": True},
    ),
    chat_tokenize=ChatTokenizeRoute(
        "/tokenize",
        keys=(
            *("model", "messages", "tools", "chat_template", "chat_template_kwargs"),
            *("add_generation_prompt", "continue_final_message", "add_special_tokens"),
        ),
    ),
    continuation=CONTINUE,
    version_route=VersionRoute("/version"),
    busy_route=BusyRoute("/metrics", "vllm:num_requests_running"),
    rerank={"truncate": "truncate_prompt_tokens", "raw_scores": "use_activation"},
    scores_pairs=True,
    embedding=EmbeddingProfile(
        "vllm",
        {
            "embeddings": {
                "normalize": CLIENT_SIDE,
                "truncate": "truncate_prompt_tokens",
                "dimensions": "dimensions",
            }
        },
    ),
)
