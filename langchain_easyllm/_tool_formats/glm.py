"""GLM-4.5's calls: a name, and a key and a value in tags for each argument.

https://huggingface.co/zai-org/GLM-4.5 (`chat_template.jinja`). Strings stand as they are, all other
values as JSON, so the tool's schema tells which is which.
"""

from __future__ import annotations

import re

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Extra
from ..prompts.special_tokens import SpecialTokens
from ..prompts.templates.glm_4_5 import describe_tools, write_call
from .base import OfferedTools, Turn, Turns, TurnToolCallFormat, add_to_system
from .call_syntax import CallMarker
from .hermes import HERMES, TOOL_RESPONSE
from .tagged_values import TaggedSyntax


class _Glm(TurnToolCallFormat):
    result_gap = "\n"

    def describe(
        self, turns: Turns, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> None:
        text = describe_tools(offered.tools)
        if support.tool_format == self.name:  # whose template writes two system messages
            turns.insert(0, ("system", text))
            text = ""
        if text or offered.instruction:
            add_to_system(turns, text, offered.instruction, support.default_system)

    def calls_turn(self, text: str, extra: Extra, _: TemplateToolSupport, /) -> Turn:
        said = [text.strip()] if text.strip() else []
        return "assistant", "\n".join([*said, *map(write_call, extra.calls)])

    def result_turn(self, text: str, _: Extra, support: TemplateToolSupport, /) -> Turn:
        return "tool" if "tool" in support.forms else "user", TOOL_RESPONSE.format(result=text)

    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        return "" if constrained else f"<tool_call>{offered.only or ''}"


_SYNTAX = TaggedSyntax(
    head=re.compile(r"(?:<tool_call>)?\s*([^\s<>{}\[\]]{1,200})"),
    tag=re.compile(r"<arg_key>([^<>\n]{1,200})</arg_key>\s{0,20}<arg_value>|</tool_call>"),
    value_end="</arg_value>",
    outer_end="</tool_call>",
    after=("<arg_key>", "</tool_call>"),
)

GLM = _Glm(
    name="glm-4.5",
    markers=(
        CallMarker(
            ("<tool_call>",),
            "anywhere",
            1,
            "</tool_call>",
            marked=True,
            syntax=_SYNTAX,
            first=re.compile(r"[^<>{}\[\]]"),
        ),
        *HERMES.markers,
    ),
    stop=("<tool_response>", "<|observation|>"),
    special_tokens=SpecialTokens(
        (
            *HERMES.special_tokens.tokens,
            *("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
        )
    ),
    template_marks=("<arg_key>", "<arg_value>"),
)
"""`<tool_call>name` with `<arg_key>` and `<arg_value>`."""
