"""Hermes' tags, as Qwen2.5's chat template writes them.

https://huggingface.co/Qwen/Qwen2.5-7B-Instruct (`tokenizer_config.json`). Models that were not
trained on it get the same in fewer words, which are those that the offline model knows.
"""

from __future__ import annotations

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Extra
from ..prompts.special_tokens import SpecialTokens
from ..prompts.templates.qwen3 import TOOLS as QWEN_TOOLS
from .base import OfferedTools, Turn, Turns, TurnToolCallFormat, add_to_system, dump
from .call_syntax import CallMarker

TOOLS = """\
You can use these tools:
<tools>
{tools}
</tools>
To use one, answer only with:
<tool_call>
{{"name": tool name, "arguments": {{argument: value}}}}
</tool_call>"""
"""Describes tools, one as JSON on each line."""

TOOL_RESPONSE = "<tool_response>\n{result}\n</tool_response>"
"""A tool's result, as a user turn."""


class HermesFormat(TurnToolCallFormat):
    """Calls between `<tool_call>` tags, results between `<tool_response>` tags."""

    result_gap = "\n"

    def describe(
        self, turns: Turns, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> None:
        template = QWEN_TOOLS if support.tool_format == self.name else TOOLS
        text = template.format(tools="\n".join([dump(tool) for tool in offered.tools]))
        add_to_system(turns, text, offered.instruction, support.default_system)

    def calls_turn(self, text: str, extra: Extra, _: TemplateToolSupport, /) -> Turn:
        lines = [text] if text else []
        for call in extra.calls:
            value = dump({"name": call.name, "arguments": call.arguments})
            lines.append(f"<tool_call>\n{value}\n</tool_call>")
        return "assistant", "\n".join(lines)

    def result_turn(self, text: str, _: Extra, __: TemplateToolSupport, /) -> Turn:
        return "user", TOOL_RESPONSE.format(result=text)

    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        # A model begins the JSON again where only half a name is written for it.
        is_open = constrained or offered.only is None
        return "<tool_call>\n" + ("" if is_open else self.json_prefill(offered))


HERMES = HermesFormat(
    name="hermes",
    markers=(CallMarker(("<tool_call>",), "anywhere", 1, "</tool_call>", marked=True),),
    stop=("<tool_response>",),
    special_tokens=SpecialTokens(
        (
            *("<tools>", "</tools>", "<tool_call>", "</tool_call>"),
            *("<tool_response>", "</tool_response>"),
        )
    ),
    template_marks=("<tool_call>", "arguments"),
)
"""`<tool_call>` and `<tool_response>` tags."""
