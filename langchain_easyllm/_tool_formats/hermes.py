"""Hermes' tags, as Qwen2.5's chat template writes them.

https://huggingface.co/Qwen/Qwen2.5-7B-Instruct (`tokenizer_config.json`). Models that were not
trained on it are told the same in fewer words, which are those that the offline model knows.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Extra, ToolCall
from ..prompts.special_tokens import SpecialTokens
from .base import OfferedTools, Told, TurnToolCallFormat, add_to_system, call_schema, dump, wish

__all__ = ["HERMES", "TOOLS", "TOOL_RESPONSE"]


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

_QWEN_TOOLS = """\
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


class _Hermes(TurnToolCallFormat):
    def add_tools(self, told: Told, use: OfferedTools, host: TemplateToolSupport) -> None:
        """Describe the tools in the system message."""
        wording = _QWEN_TOOLS if host.convention == self.name else TOOLS
        text = wording.format(tools="\n".join([dump(tool) for tool in use.tools]))
        wanted = wish(use)
        add_to_system(told, f"{text}\n\n{wanted}" if wanted else text, host)

    def add_calls(
        self,
        told: Told,
        text: str,
        calls: Sequence[ToolCall],
        host: TemplateToolSupport,  # noqa: ARG002 - the tags are text everywhere
    ) -> None:
        """Write each call between tags, after the text."""
        lines = [text] if text else []
        for call in calls:
            said = dump({"name": call.name, "arguments": call.arguments})
            lines.append(f"<tool_call>\n{said}\n</tool_call>")
        told.append(("assistant", "\n".join(lines)))

    def add_result(
        self,
        told: Told,
        text: str,
        extra: Extra,  # noqa: ARG002 - results follow in the order of the calls
        host: TemplateToolSupport,  # noqa: ARG002 - as above
    ) -> None:
        """Write a result between tags, in one user turn with the one before."""
        said = TOOL_RESPONSE.format(result=text)
        if told and told[-1][0] == "user" and told[-1][1].endswith("</tool_response>"):
            said = f"{told.pop()[1]}\n{said}"
        told.append(("user", said))

    def opening(self, use: OfferedTools, *, constrained: bool) -> str:
        """Open the tag, and where no grammar does it, the call of the one tool."""
        if use.only is None or constrained:
            return "<tool_call>\n"
        return f'<tool_call>\n{{"name": {dump(use.only)}, "arguments": '

    def schema(self, use: OfferedTools) -> dict[str, object]:
        """Return the schema of one call."""
        return call_schema(use, "name", "arguments")


HERMES = _Hermes(
    "hermes",
    ("<tool_response>",),
    SpecialTokens(
        (
            *("<tools>", "</tools>", "<tool_call>", "</tool_call>"),
            *("<tool_response>", "</tool_response>"),
        )
    ),
)
"""`<tool_call>` and `<tool_response>` tags."""
