"""Mistral's calls since version 11 of its tokenizer: the name apart from the arguments.

`[TOOL_CALLS]` stands before each call, `[ARGS]` before its arguments; some versions put the call's
id between them, others leave out `[ARGS]`. A result is plain text.
"""

from __future__ import annotations

import re

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Extra
from ..prompts.special_tokens import SpecialTokens
from .base import OfferedTools, Turn, dump
from .call_syntax import CallMarker
from .headed_json import HeadedJson
from .mistral import MISTRAL, MistralFormat


class _MistralV11(MistralFormat):
    def calls_turn(self, text: str, extra: Extra, support: TemplateToolSupport, /) -> Turn:
        calls = [f"[TOOL_CALLS]{call.name}[ARGS]{dump(call.arguments)}" for call in extra.calls]
        return "calls" if "calls" in support.forms else "assistant", text + "".join(calls)

    def result_turn(self, text: str, _: Extra, support: TemplateToolSupport, /) -> Turn:
        if "tool" in support.forms:
            return "tool", text
        return "user", f"[TOOL_RESULTS]{text}[/TOOL_RESULTS]"

    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        named = f"{offered.only}[ARGS]" if offered.only and not constrained else ""
        return f"[TOOL_CALLS]{named}"


_SYNTAX = HeadedJson(
    head=re.compile(
        r"([\w.\-]{1,200})\s{0,9}(?:\[CALL_ID\]\s{0,9}[\w\-]{0,64}\s{0,9})?(?:\[ARGS\]\s{0,9})?(?=\{)"
    ),
    name=re.compile(r"\[TOOL_CALLS\]\s*([\w.\-]{1,200})"),
)

MISTRAL_V11 = _MistralV11(
    name="mistral-v11",
    markers=(
        *MISTRAL.markers,  # to which a decoder can be constrained
        CallMarker(
            ("[TOOL_CALLS]",), "anywhere", 1, marked=True, syntax=_SYNTAX, first=re.compile(r"\w")
        ),
    ),
    stop=MISTRAL.stop,
    special_tokens=SpecialTokens((*MISTRAL.special_tokens.tokens, "[ARGS]", "[CALL_ID]")),
    template_marks=("[TOOL_CALLS]", "[ARGS]"),
)
"""`[TOOL_CALLS]name[ARGS]{...}`."""
