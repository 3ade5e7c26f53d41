"""Qwen3-Coder's calls: XML tags with plain values, typed by the tool's schema.

https://huggingface.co/Qwen/Qwen3-Coder-30B-A3B-Instruct (`chat_template.jinja`). The models often
leave `<tool_call>` out, so `<function=` at the start of a line begins a call as well. Where a call
has to be made, decoding is constrained to JSON, as vLLM does it: a schema cannot describe the tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Extra
from ..prompts.special_tokens import SpecialTokens
from ..prompts.tool_calls import to_text, xml_parameters
from .base import OfferedTools, Turn, Turns, add_to_system
from .call_syntax import CallMarker, Tool, function_of, properties_of
from .hermes import HERMES, TOOL_RESPONSE, HermesFormat
from .json_schema import as_mapping
from .tagged_values import TaggedSyntax

_SYSTEM = "You are Qwen, a helpful AI assistant that can interact with a computer to solve tasks."
_TOOLS = """\
# Tools

You have access to the following functions:

<tools>{tools}
</tools>

If you choose to call a function ONLY reply in the following format with NO suffix:

<tool_call>
<function=example_function_name>
<parameter=example_parameter_1>
value_1
</parameter>
<parameter=example_parameter_2>
This is the value for the second parameter
that can span
multiple lines
</parameter>
</function>
</tool_call>

<IMPORTANT>
Reminder:
- Function calls MUST follow the specified format: an inner <function=...></function> block must \
be nested within <tool_call></tool_call> XML tags
- Required parameters MUST be specified
- You may provide optional reasoning for your function call in natural language BEFORE the \
function call, but NOT after
- If there is no function call available, answer the question like normal with your current \
knowledge and do not tell the user about function calls
</IMPORTANT>"""


class _Qwen3Coder(HermesFormat):
    result_gap = ""

    def describe(
        self, turns: Turns, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> None:
        text = _TOOLS.format(tools="".join(map(_described, offered.tools)))
        default = support.default_system
        default = _SYSTEM if default is None else default
        add_to_system(turns, text, offered.instruction, default)

    def calls_turn(self, text: str, extra: Extra, _: TemplateToolSupport, /) -> Turn:
        return "assistant", xml_parameters(text, extra.calls)

    def result_turn(self, text: str, _: Extra, __: TemplateToolSupport, /) -> Turn:
        return "user", f"{TOOL_RESPONSE.format(result=text)}\n"

    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        if constrained:
            return ""
        return "<tool_call>\n<function=" + (f"{offered.only}>\n" if offered.only else "")


def _described(tool: Tool) -> str:
    function = function_of(tool)
    parameters = function.get("parameters")
    lines = ["\n<function>", *_tags(function, "name", "description"), "\n<parameters>"]
    for name, schema in properties_of(tool).items():
        lines += ["\n<parameter>", f"\n<name>{name}</name>", *_tags(schema, "type", "description")]
        lines += [*_other_tags(schema, "name", "type", "description"), "\n</parameter>"]
    lines += [*_other_tags(parameters, "type", "properties"), "\n</parameters>"]
    lines += _other_tags(function, "type", "name", "description", "parameters")
    return "".join([*lines, "\n</function>"])


def _tags(value: object, *keys: str) -> Iterator[str]:
    known = as_mapping(value)
    return (f"\n<{key}>{str(known[key]).strip()}</{key}>" for key in keys if key in known)


def _other_tags(value: object, *handled: str) -> Iterator[str]:
    for key, item in as_mapping(value).items():
        if key not in handled:
            yield f"\n<{key}>{to_text(item)}</{key}>"


_XML = TaggedSyntax(
    head=re.compile(r"<function=([^<>\n]{1,200})>"),
    tag=re.compile(r"<parameter=([^<>\n]{1,200})>|</function>|</tool_call>"),
    value_end="</parameter>",
    outer_end="</tool_call>",
    after=("<parameter=", "</function>", "</tool_call>"),
    own_lines=True,
)

QWEN3_CODER = _Qwen3Coder(
    name="qwen3-coder",
    markers=(
        CallMarker(
            ("<tool_call>", "<function="), "anywhere", 1, "</tool_call>", marked=True, syntax=_XML
        ),
        CallMarker(("<function=",), "line", 0, "</tool_call>", syntax=_XML),
        *HERMES.markers,  # which the same models write at times
    ),
    stop=HERMES.stop,
    special_tokens=SpecialTokens(
        (*HERMES.special_tokens.tokens, "<function=", "</function>", "<parameter=", "</parameter>")
    ),
    template_marks=("<function=",),
)
"""`<function=name>` and `<parameter=key>` in `<tool_call>` tags."""
