"""LM Studio. Sources: the documentation of its OpenAI-compatible API, and its error messages.

Its program is not public: a field that its documentation does not list counts as one it lacks.
"""

from __future__ import annotations

from .profile import (
    CLIENT_SIDE,
    OPENAI_FIELDS,
    ApiProfile,
    ConstraintFormat,
    EmbeddingProfile,
    ServerProfile,
    ToolChoiceForm,
    same,
    without,
)

# It lists no `n`, no `user` and no log probabilities, and ignores them.
_FIELDS = {
    **without(OPENAI_FIELDS, "n", "user"),
    **same("top_k"),
    "repetition_penalty": "repeat_penalty",
}

LM_STUDIO = ServerProfile(
    name="lm studio",
    owned_by=("organization_owner",),
    chat=ApiProfile(
        fields={
            **_FIELDS,
            **same("response_format"),
            "grammar": "response_format",
            # It ignores `chat_template_kwargs`.
            **dict.fromkeys(("thinking", "reasoning_effort"), "reasoning_effort"),
        },
        constraint=ConstraintFormat.OPENAI_SCHEMA,
        constrains=True,
    ),
    completions=ApiProfile(fields=_FIELDS),
    generate=None,
    thinking={True: "medium", False: "none"},
    efforts=("none", "low", "medium", "high"),  # what it makes of others depends on its version
    # It refuses an object: a tool's name is expressed by offering one tool and requiring a call.
    tool_choices=frozenset(ToolChoiceForm) - {ToolChoiceForm.NAMED},
    parallel_tool_calls=False,
    strict_tools=False,
    embedding=EmbeddingProfile("lm studio", {"embeddings": {"normalize": CLIENT_SIDE}}),
)
