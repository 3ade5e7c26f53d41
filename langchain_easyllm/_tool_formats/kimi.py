"""Kimi K2's calls: an id that holds the name, and JSON, between special tokens.

https://huggingface.co/moonshotai/Kimi-K2-Instruct-0905 (`chat_template.jinja`, and the card's page
on tool calls): the id of a call is `functions.NAME:N`, N counts the calls of a conversation.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Conversation, Extra
from ..prompts.special_tokens import SpecialTokens
from .base import OfferedTools, Turn, Turns, TurnToolCallFormat, add_to_system, dump
from .call_syntax import CallMarker
from .headed_json import HeadedJson

_SECTION, _SECTION_END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
_CALL, _CALL_END = "<|tool_call_begin|>", "<|tool_call_end|>"
_ARGUMENTS = "<|tool_call_argument_begin|>"

_TOOLS = f"""\
You can use these tools:
{{tools}}
To use one, answer only with:
{_SECTION}{_CALL}functions.tool_name:0{_ARGUMENTS}\
{{{{argument: value}}}}{_CALL_END}{_SECTION_END}"""


class _Kimi(TurnToolCallFormat):
    def render(
        self, conversation: Conversation, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> Conversation:
        return super().render(self.for_template(conversation), offered, support)

    def for_template(self, conversation: Conversation) -> Conversation:
        ids: dict[str | None, str] = {}
        names: dict[str | None, str] = {}
        extras: dict[int, Extra] = {}
        number = 0
        for index, extra in sorted(conversation.extras.items()):
            calls = []
            for call in extra.calls:
                own = re.fullmatch(rf"functions\.{re.escape(call.name)}:\d+", call.id or "")
                written = own[0] if own else f"functions.{call.name}:{number}"
                ids[call.id], names[call.id] = written, call.name
                calls.append(replace(call, id=written))
                number += 1
            extras[index] = replace(extra, calls=tuple(calls))
            if conversation.roles[index] in ("tool", "function"):
                given = extra.call_id
                name = extra.name or names.get(given)
                extras[index] = replace(extra, name=name, call_id=ids.get(given, given))
        return Conversation(conversation.roles, conversation.texts, extras)

    def describe(
        self, turns: Turns, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> None:
        tools = list(offered.tools)
        if "tools" not in support.forms:
            text = _TOOLS.format(tools="\n".join(map(dump, tools)))
            add_to_system(turns, text, offered.instruction, support.default_system)
            return
        if offered.instruction:
            add_to_system(turns, "", offered.instruction, support.default_system)
        listed = json.dumps(tools, ensure_ascii=False, separators=(",", ":"), default=str)
        turns.insert(0, ("tools", listed))

    def calls_turn(self, text: str, extra: Extra, _: TemplateToolSupport, /) -> Turn:
        calls = [
            f"{_CALL}{call.id}{_ARGUMENTS}{_to_json(call.arguments)}{_CALL_END}"
            for call in extra.calls
        ]
        return "assistant", f"{text}{_SECTION}{''.join(calls)}{_SECTION_END}"

    def result_turn(self, text: str, extra: Extra, support: TemplateToolSupport, /) -> Turn:
        result = f"## Return of {extra.call_id or extra.name or 'the tool'}\n{text}"
        if "tool" in support.forms:  # the name of the tool is the name of its role
            return "tool", f"{extra.name or 'tool'}<|im_middle|>{result}"
        return "user", result

    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        if constrained:
            return ""
        return f"{_SECTION}{_CALL}functions." + (
            f"{offered.only}:0{_ARGUMENTS}" if offered.only else ""
        )


def _to_json(arguments: object) -> str:
    return arguments if isinstance(arguments, str) else dump(arguments)


_SYNTAX = HeadedJson(
    head=re.compile(
        rf"(?:functions\.)?([^\s<>{{]{{1,200}}?)(?::\d{{1,6}})?\s{{0,9}}{re.escape(_ARGUMENTS)}\s{{0,9}}"
    ),
    name=re.compile(rf"{re.escape(_CALL)}\s*(?:functions\.)?([^\s<>{{:]{{1,200}})"),
)

KIMI = _Kimi(
    name="kimi-k2",
    markers=(
        CallMarker((_SECTION, _CALL), "anywhere", 2, _CALL_END, marked=True, syntax=_SYNTAX),
        CallMarker((_CALL,), "anywhere", 1, _CALL_END, marked=True, syntax=_SYNTAX),
    ),
    trailers=(_SECTION_END,),
    stop=("## Return of functions.",),
    special_tokens=SpecialTokens((_SECTION, _SECTION_END, _CALL, _CALL_END, _ARGUMENTS)),
    template_marks=(_ARGUMENTS,),
)
"""`<|tool_call_begin|>functions.name:0<|tool_call_argument_begin|>{...}`."""
