"""DeepSeek-V3.1's calls: a name and JSON between special tokens, and those of V3 and R1.

https://huggingface.co/deepseek-ai/DeepSeek-V3.1: the format is its chat template's, the words that
describe tools its model card's, as the template has none. V3 and R1 write `function` in place of
the name, then the name, and the arguments in a code fence.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Conversation, Extra
from ..prompts.spec import text_or_json
from ..prompts.special_tokens import SpecialTokens
from ..prompts.templates.deepseek_v3_1 import (
    CALL,
    CALL_END,
    CALLS,
    CALLS_END,
    OUTPUT,
    OUTPUT_END,
    OUTPUTS,
    OUTPUTS_END,
    SEPARATOR,
    write_calls,
)
from .base import OfferedTools, Turn, Turns, TurnToolCallFormat, add_to_system, dump
from .call_syntax import CallMarker, Tool, function_of
from .headed_json import HeadedJson

_TOOLS = f"""\
## Tools
You have access to the following tools:

{{tools}}

IMPORTANT: ALWAYS adhere to this exact format for tool use:
{CALLS}{CALL}tool_call_name{SEPARATOR}tool_call_arguments{CALL_END}\
{{{{additional_tool_calls}}}}{CALLS_END}

Where:
- `tool_call_name` must be an exact match to one of the available tools
- `tool_call_arguments` must be valid JSON that strictly follows the tool's Parameters Schema
- For multiple tool calls, chain them directly without separators or spaces"""


class _DeepSeek(TurnToolCallFormat):
    result_gap = ""

    def for_template(self, conversation: Conversation) -> Conversation:
        # The template writes arguments as they are.
        extras = {
            index: replace(
                extra,
                calls=tuple([replace(c, arguments=text_or_json(c.arguments)) for c in extra.calls]),
            )
            for index, extra in conversation.extras.items()
        }
        return Conversation(conversation.roles, conversation.texts, extras)

    def describe(
        self, turns: Turns, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> None:
        text = _TOOLS.format(tools="\n\n".join(map(_described, offered.tools)))
        add_to_system(turns, text, offered.instruction, support.default_system)

    def calls_turn(self, text: str, extra: Extra, _: TemplateToolSupport, /) -> Turn:
        return "assistant", f"{text}{write_calls(extra.calls)}"

    def result_turn(self, text: str, _: Extra, support: TemplateToolSupport, /) -> Turn:
        role = "tool" if "tool" in support.forms else "user"
        return role, f"{OUTPUT}{text}{OUTPUT_END}"

    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        if constrained:
            return ""
        return f"{CALLS}{CALL}" + (f"{offered.only}{SEPARATOR}" if offered.only else "")


def _described(tool: Tool) -> str:
    function = function_of(tool)
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    about = str(function.get("description") or "")
    return f"### {function['name']}\nDescription: {about}\n\nParameters: {dump(parameters)}"


_SYNTAX = HeadedJson(
    head=re.compile(
        rf"function{SEPARATOR}\s{{0,9}}([^\s<>{{`]{{1,200}})\s{{1,9}}```json\s{{0,9}}"
        rf"|(?!function{SEPARATOR}\s{{0,9}}[\w\-.]{{1,200}}\s{{0,9}}(?:`|\Z))"
        rf"([^\s<>{{`]{{1,200}})\s{{0,9}}{SEPARATOR}\s{{0,9}}"
    ),
    name=re.compile(rf"{CALL}\s*(?:function{SEPARATOR}\s*)?([^\s<>{{`]+)"),
)

DEEPSEEK = _DeepSeek(
    name="deepseek-v3.1",
    markers=(
        CallMarker((CALLS, CALL), "anywhere", 2, CALL_END, marked=True, syntax=_SYNTAX),
        CallMarker((CALL,), "anywhere", 1, CALL_END, marked=True, syntax=_SYNTAX),
    ),
    trailers=(CALLS_END, "<｜end▁of▁sentence｜>"),
    stop=(OUTPUT, OUTPUTS),
    special_tokens=SpecialTokens(
        (
            *(CALLS, CALLS_END, CALL, CALL_END, SEPARATOR, OUTPUT, OUTPUT_END),
            *(OUTPUTS, OUTPUTS_END),
        )
    ),
    template_marks=(CALL,),
)
"""`<｜tool▁call▁begin｜>name<｜tool▁sep｜>{...}`."""
