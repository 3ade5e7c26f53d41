"""MiniMax-M2's calls: XML tags with plain values, typed by the tool's schema.

https://huggingface.co/MiniMaxAI/MiniMax-M2 (`chat_template.jinja`).
"""

from __future__ import annotations

import re

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Extra
from ..prompts.special_tokens import SpecialTokens
from ..prompts.templates.minimax_m2 import describe_tools, write_calls
from .base import OfferedTools, Turn, Turns, TurnToolCallFormat, add_to_system
from .call_syntax import CallMarker
from .tagged_values import TaggedSyntax


class _MiniMax(TurnToolCallFormat):
    result_gap = "\n"

    def describe(
        self, turns: Turns, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> None:
        text = describe_tools(offered.tools)
        add_to_system(turns, text, offered.instruction, support.default_system)

    def calls_turn(self, text: str, extra: Extra, _: TemplateToolSupport, /) -> Turn:
        return "assistant", f"{text}{write_calls(extra.calls)}"

    def result_turn(self, text: str, _: Extra, support: TemplateToolSupport, /) -> Turn:
        return "tool" if "tool" in support.forms else "user", f"<response>{text}</response>"

    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        if constrained:
            return ""
        named = f'{offered.only}">\n' if offered.only else ""
        return f'<minimax:tool_call>\n<invoke name="{named}'


_SYNTAX = TaggedSyntax(
    head=re.compile(r'<invoke name="([^"<>\n]{1,200})">'),
    tag=re.compile(r'<parameter name="([^"<>\n]{1,200})">|</invoke>|</minimax:tool_call>'),
    value_end="</parameter>",
    outer_end="</minimax:tool_call>",
    after=("<parameter name=", "</invoke>", "</minimax:tool_call>"),
)

MINIMAX = _MiniMax(
    name="minimax-m2",
    markers=(
        CallMarker(
            ("<minimax:tool_call>", "<invoke name="), "anywhere", 1, marked=True, syntax=_SYNTAX
        ),
        CallMarker(("<invoke name=",), "line", 0, syntax=_SYNTAX),
    ),
    trailers=("</minimax:tool_call>",),
    stop=("]~b]tool",),
    special_tokens=SpecialTokens(
        (
            *("<minimax:tool_call>", "</minimax:tool_call>", "<tools>", "</tools>"),
            *("<invoke name=", "</invoke>", "<parameter name=", "</parameter>"),
            *("<response>", "</response>", "<tool>", "</tool>"),
        )
    ),
    template_marks=("<minimax:tool_call>", "<invoke name="),
)
"""`<invoke name="...">` and `<parameter name="...">` in `<minimax:tool_call>` tags."""
