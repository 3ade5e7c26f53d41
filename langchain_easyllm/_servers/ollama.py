"""Ollama. Sources: its OpenAI compatibility layer, its API's types, and their documentation.

It says of each model whose it is: "library" means its own, and other names are those of users. At
the root it says its own name.
`/api/show` names the model's template too, but in Go's template language.
"""

from __future__ import annotations

from .profile import (
    CHAT_FIELDS,
    CLIENT_SIDE,
    OPENAI_FIELDS,
    ApiProfile,
    ConstraintFormat,
    EmbeddingProfile,
    PromptRoute,
    ServerProfile,
    VersionRoute,
    same,
    without,
)

OLLAMA = ServerProfile(
    name="ollama",
    owned_by=("library",),  # the namespace of the models that it publishes itself
    chat=ApiProfile(
        fields={
            **without(CHAT_FIELDS, "n", "logit_bias", "user"),
            "grammar": "response_format",
            "thinking": "reasoning_effort",
            "reasoning_effort": "reasoning_effort",
        },
        constrains=True,
    ),
    # Its own route takes a prompt as it is; `/v1/completions` renders it in the model's template.
    completions=ApiProfile(
        fields={
            **without(OPENAI_FIELDS, "n", "max_tokens", "logit_bias", "user"),
            **same("top_k", "typical_p", "min_p"),
            "max_tokens": "num_predict",
            "repetition_penalty": "repeat_penalty",
            "logprobs": "top_logprobs",
            "top_logprobs": "top_logprobs",
            "return_full_text": CLIENT_SIDE,
            "response_format": "format",
            "grammar": "format",
        },
        constraint=ConstraintFormat.SCHEMA,
        constrains=True,
        prompt_route=PromptRoute.OLLAMA,
    ),
    generate=None,  # TGI's
    version_route=VersionRoute("/api/version"),
    max_stops=None,
    thinking={True: "medium", False: "none"},
    # Newer versions take the others, too, for the nearest of these.
    efforts=("none", "low", "medium", "high"),
    tool_choices=(),  # it ignores `tool_choice`
    parallel_tool_calls=False,
    strict_tools=False,
    embedding=EmbeddingProfile("ollama"),
)
