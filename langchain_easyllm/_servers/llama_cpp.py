"""llama.cpp's `llama-server`. Sources: its documentation and request parser."""

from __future__ import annotations

from dataclasses import replace

from .profile import (
    CHAT_FIELDS,
    CLIENT_SIDE,
    COMPLETIONS_FIELDS,
    CONTINUE,
    TEMPLATE_KWARGS,
    ApiProfile,
    BusyRoute,
    ChatTokenizeRoute,
    ConstraintFormat,
    EmbeddingProfile,
    ServerProfile,
    TokenizeRoute,
    ToolChoiceForm,
    VersionRoute,
    same,
    without,
)

_MORE = {
    **same("top_k", "typical_p", "min_p", "ignore_eos"),
    "repetition_penalty": "repeat_penalty",
}
EXPRESSIONS = {"gbnf": {"grammar": ...}}

LLAMA_CPP = ServerProfile(
    name="llama.cpp",
    owned_by=("llamacpp", "llama.cpp"),
    first_model_answers=True,
    chat=ApiProfile(
        fields={
            **without(CHAT_FIELDS, "user"),
            **_MORE,
            "grammar": "response_format",
            "thinking": TEMPLATE_KWARGS,
            "reasoning_effort": TEMPLATE_KWARGS,
        },
        expressions=EXPRESSIONS,
        constrains=True,
    ),
    # It ignores a `response_format` here, and takes a schema as `json_schema`.
    completions=ApiProfile(
        fields={
            **without(COMPLETIONS_FIELDS, "best_of", "return_full_text", "user"),
            **_MORE,
            "response_format": "json_schema",
            "grammar": "json_schema",
        },
        constraint=ConstraintFormat.SCHEMA,
        expressions=EXPRESSIONS,
        constrains=True,
    ),
    max_stops=None,
    renders_own_template=True,
    closes_reasoning=True,
    # It reads a string only: a tool's name is expressed by offering one tool and requiring a call.
    tool_choices=frozenset(ToolChoiceForm) - {ToolChoiceForm.NAMED},
    blocks_in_tool_messages=True,
    tokenize=TokenizeRoute(
        "/tokenize",
        "content",
        special_field="add_special",
        names_field="piece",
        names_extra={"with_pieces": True},
    ),
    chat_tokenize=ChatTokenizeRoute("/apply-template", tokens=None),
    # It continues without the keys, too, unless it was started not to; they keep what is continued
    # out of a stream. It holds a constraint to the whole answer, and then fails.
    continuation=replace(CONTINUE, beside_constraints=False, repeats=True),
    template_route="/props",
    version_route=VersionRoute("/props", "build_info", "total_slots"),
    busy_route=BusyRoute("/slots", "is_processing"),
    drops_tools=True,
    # It ignores `dimensions`: a field that does nothing is a field it does not have.
    embedding=EmbeddingProfile("llama.cpp", {"embeddings": {"normalize": CLIENT_SIDE}}),
)
