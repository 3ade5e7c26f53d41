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
from ..prompts.special_tokens import SpecialTokens
from .base import OfferedTools, Turn, Turns, TurnToolCallFormat, add_to_system, dump
from .call_syntax import CallMarker, Tool, function_of
from .headed_json import HeadedJson

_CALLS, _CALLS_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
_CALL, _CALL_END = "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"
_SEPARATOR = "<｜tool▁sep｜>"
_OUTPUT, _OUTPUT_END = "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"

_TOOLS = f"""\
## Tools
You have access to the following tools:

{{tools}}

IMPORTANT: ALWAYS adhere to this exact format for tool use:
{_CALLS}{_CALL}tool_call_name{_SEPARATOR}tool_call_arguments{_CALL_END}\
{{{{additional_tool_calls}}}}{_CALLS_END}

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
                calls=tuple([replace(c, arguments=_to_json(c.arguments)) for c in extra.calls]),
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
        calls = [
            f"{_CALL}{call.name}{_SEPARATOR}{_to_json(call.arguments)}{_CALL_END}"
            for call in extra.calls
        ]
        return "assistant", f"{text}{_CALLS}{''.join(calls)}{_CALLS_END}"

    def result_turn(self, text: str, _: Extra, support: TemplateToolSupport, /) -> Turn:
        role = "tool" if "tool" in support.forms else "user"
        return role, f"{_OUTPUT}{text}{_OUTPUT_END}"

    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        if constrained:
            return ""
        return f"{_CALLS}{_CALL}" + (f"{offered.only}{_SEPARATOR}" if offered.only else "")


def _to_json(arguments: object) -> str:
    return arguments if isinstance(arguments, str) else dump(arguments)


def _described(tool: Tool) -> str:
    function = function_of(tool)
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    about = str(function.get("description") or "")
    return f"### {function['name']}\nDescription: {about}\n\nParameters: {dump(parameters)}"


_SYNTAX = HeadedJson(
    head=re.compile(
        rf"function{_SEPARATOR}\s{{0,9}}([^\s<>{{`]{{1,200}})\s{{1,9}}```json\s{{0,9}}"
        rf"|(?!function{_SEPARATOR}\s{{0,9}}[\w\-.]{{1,200}}\s{{0,9}}(?:`|\Z))"
        rf"([^\s<>{{`]{{1,200}})\s{{0,9}}{_SEPARATOR}\s{{0,9}}"
    ),
    name=re.compile(rf"{_CALL}\s*(?:function{_SEPARATOR}\s*)?([^\s<>{{`]+)"),
)

DEEPSEEK = _DeepSeek(
    name="deepseek-v3.1",
    markers=(
        CallMarker((_CALLS, _CALL), "anywhere", 2, _CALL_END, marked=True, syntax=_SYNTAX),
        CallMarker((_CALL,), "anywhere", 1, _CALL_END, marked=True, syntax=_SYNTAX),
    ),
    trailers=(_CALLS_END, "<｜end▁of▁sentence｜>"),
    stop=(_OUTPUT, "<｜tool▁outputs▁begin｜>"),
    special_tokens=SpecialTokens(
        (
            *(_CALLS, _CALLS_END, _CALL, _CALL_END, _SEPARATOR, _OUTPUT, _OUTPUT_END),
            *("<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>"),
        )
    ),
    template_marks=(_CALL,),
)
"""`<｜tool▁call▁begin｜>name<｜tool▁sep｜>{...}`."""
