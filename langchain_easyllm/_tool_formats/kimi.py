"""Kimi K2's calls: an id that holds the name, and JSON, between special tokens.

https://huggingface.co/moonshotai/Kimi-K2-Instruct-0905 (`chat_template.jinja`, and the card's page
on tool calls): the id of a call is `functions.NAME:N`, N counts the calls of a conversation.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Conversation, Extra
from ..prompts.special_tokens import SpecialTokens
from ..prompts.templates.kimi_k2 import (
    ARGUMENTS,
    CALL,
    CALL_END,
    SECTION,
    SECTION_END,
    list_tools,
    write_calls,
)
from .base import OfferedTools, Turn, Turns, TurnToolCallFormat, add_to_system, dump
from .call_syntax import CallMarker
from .headed_json import HeadedJson

_TOOLS = f"""\
You can use these tools:
{{tools}}
To use one, answer only with:
{SECTION}{CALL}functions.tool_name:0{ARGUMENTS}\
{{{{argument: value}}}}{CALL_END}{SECTION_END}"""


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
        turns.insert(0, ("tools", list_tools(tools)))

    def calls_turn(self, text: str, extra: Extra, _: TemplateToolSupport, /) -> Turn:
        return "assistant", f"{text}{write_calls(extra.calls)}"

    def result_turn(self, text: str, extra: Extra, support: TemplateToolSupport, /) -> Turn:
        result = f"## Return of {extra.call_id or extra.name or 'the tool'}\n{text}"
        if "tool" in support.forms:  # the name of the tool is the name of its role
            return "tool", f"{extra.name or 'tool'}<|im_middle|>{result}"
        return "user", result

    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        if constrained:
            return ""
        return f"{SECTION}{CALL}functions." + (
            f"{offered.only}:0{ARGUMENTS}" if offered.only else ""
        )


_SYNTAX = HeadedJson(
    head=re.compile(
        rf"(?:functions\.)?([^\s<>{{]{{1,200}}?)(?::\d{{1,6}})?\s{{0,9}}{re.escape(ARGUMENTS)}\s{{0,9}}"
    ),
    name=re.compile(rf"{re.escape(CALL)}\s*(?:functions\.)?([^\s<>{{:]{{1,200}})"),
)

KIMI = _Kimi(
    name="kimi-k2",
    markers=(
        CallMarker((SECTION, CALL), "anywhere", 2, CALL_END, marked=True, syntax=_SYNTAX),
        CallMarker((CALL,), "anywhere", 1, CALL_END, marked=True, syntax=_SYNTAX),
    ),
    trailers=(SECTION_END,),
    stop=("## Return of functions.",),
    special_tokens=SpecialTokens((SECTION, SECTION_END, CALL, CALL_END, ARGUMENTS)),
    template_marks=(ARGUMENTS,),
)
"""`<|tool_call_begin|>functions.name:0<|tool_call_argument_begin|>{...}`."""
