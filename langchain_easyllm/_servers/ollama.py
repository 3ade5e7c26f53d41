"""Ollama. Sources: its OpenAI compatibility layer and the documentation of that.

It says of each model whose it is: "library" means its own, and other names are those of users. At
the root it says its own name.
`/api/show` names the model's template too, but in Go's template language.
"""

from __future__ import annotations

from .profile import (
    CHAT_FIELDS,
    OPENAI_FIELDS,
    ApiProfile,
    EmbeddingProfile,
    ServerProfile,
    without,
)

OLLAMA = ServerProfile(
    name="ollama",
    owned_by=("library",),  # the namespace of the models that it publishes itself
    chat=ApiProfile(
        fields={
            **without(CHAT_FIELDS, "n"),
            "grammar": "response_format",
            "thinking": "reasoning_effort",
            "reasoning_effort": "reasoning_effort",
        },
        constrains=True,
    ),
    # It renders a prompt in the model's own template once more.
    completions=ApiProfile(
        fields={
            **without(OPENAI_FIELDS, "n"),
            "logprobs": "logprobs",
            "top_logprobs": "logprobs",
        },
    ),
    generate=None,  # `/api/generate` is a protocol of its own
    max_stops=None,
    thinking={True: "medium", False: "none"},
    # Newer versions take the others, too, for the nearest of these.
    efforts=("none", "low", "medium", "high"),
    tool_choices=(),  # it ignores `tool_choice`
    parallel_tool_calls=False,
    strict_tools=False,
    embedding=EmbeddingProfile("ollama"),
    rerank={},
)
