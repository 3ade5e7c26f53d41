"""MiniMax-M2's calls: XML tags with plain values, typed by the tool's schema.

https://huggingface.co/MiniMaxAI/MiniMax-M2 (`chat_template.jinja`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Extra, ToolCall
from ..prompts.special_tokens import SpecialTokens
from .base import OfferedTools, Turn, Turns, TurnToolCallFormat, add_to_system, dump
from .call_syntax import CallMarker, function_of
from .glm import to_text
from .tagged_values import TaggedSyntax

_TOOLS = """\
# Tools
You may call one or more tools to assist with the user query.
Here are the tools available in JSONSchema format:

<tools>
{tools}
</tools>

When making tool calls, use XML format to invoke tools and pass parameters:

<minimax:tool_call>
<invoke name="tool-name-1">
<parameter name="param-key-1">param-value-1</parameter>
<parameter name="param-key-2">param-value-2</parameter>
...
</invoke>
</minimax:tool_call>"""


class _MiniMax(TurnToolCallFormat):
    result_gap = "\n"

    def describe(
        self, turns: Turns, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> None:
        listed = [f"<tool>{dump(function_of(tool))}</tool>" for tool in offered.tools]
        text = _TOOLS.format(tools="\n".join(listed))
        add_to_system(turns, text, offered.instruction, support.default_system)

    def calls_turn(self, text: str, extra: Extra, _: TemplateToolSupport, /) -> Turn:
        calls = "".join(map(_call, extra.calls))
        return "assistant", f"{text}\n<minimax:tool_call>\n{calls}</minimax:tool_call>"

    def result_turn(self, text: str, _: Extra, support: TemplateToolSupport, /) -> Turn:
        return "tool" if "tool" in support.forms else "user", f"<response>{text}</response>"

    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        if constrained:
            return ""
        named = f'{offered.only}">\n' if offered.only else ""
        return f'<minimax:tool_call>\n<invoke name="{named}'


def _call(call: ToolCall) -> str:
    arguments = call.arguments
    if isinstance(arguments, Mapping):
        lines = [
            f'<parameter name="{key}">{to_text(value)}</parameter>\n'
            for key, value in arguments.items()
        ]
    else:  # of a call that could not be read
        lines = [f"{to_text(arguments)}\n"] if arguments else []
    return f'<invoke name="{call.name}">\n{"".join(lines)}</invoke>\n'


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
