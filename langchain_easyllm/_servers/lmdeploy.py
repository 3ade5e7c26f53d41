"""LMDeploy's `api_server`. Source: its request models and handlers, version 0.9 and later."""

from __future__ import annotations

from .profile import (
    CHAT_FIELDS,
    DEFAULT_MAX_TOKENS,
    OPENAI_FIELDS,
    ApiProfile,
    Continuation,
    ServerProfile,
    TokenizeRoute,
    same,
    without,
)

_MORE = same("top_k", "repetition_penalty", "min_p", "ignore_eos")
# Declared, and read by nobody; `logit_bias` by one of its two engines, which is not the usual one.
_UNREAD = ("frequency_penalty", "presence_penalty", "logit_bias")
_OMITTED = {"top_p": (0,), "top_k": (-1,)}

LMDEPLOY = ServerProfile(
    name="lmdeploy",
    owned_by=("lmdeploy",),
    first_model_answers=True,
    chat=ApiProfile(
        fields={
            **without(CHAT_FIELDS, *_UNREAD),
            **_MORE,
            "grammar": "response_format",
            "thinking": "enable_thinking",
            "min_tokens": "min_new_tokens",
            **same("reasoning_effort"),
        },
        unread=("user",),
        omitted=_OMITTED,
        expressions={"regex": {"response_format": {"type": "regex_schema", "regex_schema": ...}}},
        constrains=True,
        min_top_logprobs=1,
    ),
    # It ignores `n`, `echo` and `response_format` here, and fails on `logprobs`.
    completions=ApiProfile(
        fields={**without(OPENAI_FIELDS, "n", *_UNREAD), **_MORE},
        unread=("user",),
        omitted=_OMITTED,
        default_max_tokens=DEFAULT_MAX_TOKENS,
    ),
    generate=None,  # its `/generate` is a protocol of its own
    max_stops=None,
    efforts=("low", "medium", "high"),
    renders_own_template=True,
    thinking={True: True, False: False},  # newer versions have it in `chat_template_kwargs`, too
    tool_choices=(),  # it hands all tools, or the named one, to the model, which need not call
    strict_tools=False,
    tokenize=TokenizeRoute(
        "/v1/encode",
        "input",
        {"do_preprocess": False},
        special_field="add_bos",
        ids_field="input_ids",
    ),
    continuation=Continuation(),  # it does so by itself
    generates_only=True,
)
