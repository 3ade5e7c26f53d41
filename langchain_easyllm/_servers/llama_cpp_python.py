"""llama-cpp-python's server. Sources: its request models, and the running program."""

from __future__ import annotations

from .llama_cpp import EXPRESSIONS, LLAMA_CPP
from .profile import (
    CHAT_FIELDS,
    COMPLETIONS_FIELDS,
    DEFAULT_MAX_TOKENS,
    ApiProfile,
    ConstraintFormat,
    ServerProfile,
    TokenizeRoute,
    ToolChoiceForm,
    VersionRoute,
    same,
    without,
)

_MORE = {**same("top_k", "min_p", "min_tokens"), "repetition_penalty": "repeat_penalty"}
_ALONE = ("logit_bias", "min_tokens")

LLAMA_CPP_PYTHON = ServerProfile(
    name="llama-cpp-python",
    owned_by=("me",),  # it says nothing more of itself
    first_model_answers=True,
    chat=ApiProfile(
        fields={**without(CHAT_FIELDS, "n"), **_MORE, "grammar": "response_format"},
        unread=("user",),
        alone=_ALONE,
        constraint=ConstraintFormat.JSON_OBJECT,
        expressions=EXPRESSIONS,
        constrains=True,
        min_top_logprobs=1,
    ),
    completions=ApiProfile(
        fields={
            **without(COMPLETIONS_FIELDS, "n", "best_of"),
            **_MORE,
            "response_format": "grammar",
            "grammar": "grammar",
        },
        unread=("user",),
        alone=_ALONE,
        constraint=ConstraintFormat.NONE,
        expressions=EXPRESSIONS,
        default_max_tokens=DEFAULT_MAX_TOKENS,  # it stops after 16 tokens otherwise
    ),
    max_stops=None,
    # It constrains decoding for a named tool only.
    tool_choices=frozenset(ToolChoiceForm) - {ToolChoiceForm.REQUIRED},
    parallel_tool_calls=False,
    text_with_calls=True,
    counts_streams=False,
    tokenize=TokenizeRoute("/extras/tokenize", "input"),
    version_route=VersionRoute("/openapi.json", "info.version"),
    embedding=LLAMA_CPP.embedding,
)
