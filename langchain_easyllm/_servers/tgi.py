"""Text Generation Inference. Sources: the OpenAPI document and the source code of version 3."""

from __future__ import annotations

from dataclasses import replace

from .profile import (
    CHAT_FIELDS,
    OPENAI_FIELDS,
    ApiProfile,
    BusyRoute,
    ChatTokenizeRoute,
    ConstraintFormat,
    Continuation,
    GenerationApi,
    ServerProfile,
    TokenizeRoute,
    VersionRoute,
    same,
    without,
)

_UNREAD = ("logit_bias", "user")
_OMITTED = {"top_p": (0, 1), "typical_p": (0, 1), "top_k": (0, -1)}
# Some versions refuse temperature 0; a nucleus of one token is the same thing.
_GREEDY = {"top_p": 1e-6}

TGI = ServerProfile(
    name="tgi",
    chat=ApiProfile(
        # It reads `n` and `logit_bias` and ignores them: a field that does nothing is a field it
        # does not have.
        fields={**without(CHAT_FIELDS, "n", *_UNREAD), "grammar": "response_format"},
        omitted=_OMITTED,
        greedy=_GREEDY,
        constraint=ConstraintFormat.GRAMMAR,
        expressions={"regex": {"response_format": {"type": "regex", "value": ...}}},
        constrains=True,
    ),
    completions=ApiProfile(
        fields={
            **without(OPENAI_FIELDS, "n", "presence_penalty", *_UNREAD),
            **same("repetition_penalty"),
        },
        omitted=_OMITTED,
        greedy=_GREEDY,
        usage_option=False,
    ),
    prompt_api=GenerationApi.GENERATE,
    suggested_apis=tuple(GenerationApi),
    parallel_tool_calls=False,
    inlines_refs=True,  # its grammar takes a tool's properties without the definitions
    splits_text_and_calls=True,
    blocks_in_tool_messages=True,
    tokenize=TokenizeRoute(
        "/tokenize", "inputs", special_field="add_special_tokens", names_field="text"
    ),
    chat_tokenize=ChatTokenizeRoute("/chat_tokenize", "tokenize_response"),
    # It looks for the text in the rendered prompt, and writes what it says of tools behind it.
    continuation=Continuation(beside_tools=False, strips=True),
    generates_only=True,
    version_route=VersionRoute("/info", concurrency_key="max_concurrent_requests"),
    busy_route=BusyRoute("/metrics", "tgi_batch_current_size"),
)

TGI_2 = replace(TGI, continuation=None)
"""Before version 3."""
