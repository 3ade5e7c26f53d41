"""MiniMax-M2's template, which always thinks.

https://huggingface.co/MiniMaxAI/MiniMax-M2 (`chat_template.jinja`). Reasoning is written only in
answers behind the last question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..conversation import Conversation, Extra, ToolCall
from ..spec import ChatTemplateSpec, RenderOptions, dump
from ..special_tokens import SpecialTokens
from ..tool_calls import tagged_arguments
from .reasoning import END, last_user, split_reasoning

_DEFAULT = "You are MiniMax-M2, a helpful AI assistant built by MiniMax. Knowledge cutoff: 2025-06."
_CALLS = "<minimax:tool_call>", "</minimax:tool_call>"
_TOOLS = """\
# Tools
You may call one or more tools to assist with the user query.
Here are the tools available in JSONSchema format:

<tools>
{tools}</tools>

When making tool calls, use XML format to invoke tools and pass parameters:

<minimax:tool_call>
<invoke name="tool-name-1">
<parameter name="param-key-1">param-value-1</parameter>
<parameter name="param-key-2">param-value-2</parameter>
...
</invoke>
</minimax:tool_call>"""


def _write(conversation: Conversation, options: RenderOptions) -> str:
    roles, texts = conversation.roles, conversation.texts
    question = last_user(conversation)
    system = texts[0] if roles[0] == "system" else ""
    tools = f"\n\n{describe_tools(options.tools)}" if options.tools else ""
    parts = [f"]~b]system\n{system or _DEFAULT}{tools}[e~[\n"]
    for index, (role, text) in enumerate(zip(roles, texts, strict=True)):
        if role == "user":
            parts.append(f"]~b]user\n{text}[e~[\n")
        elif role == "assistant":
            extra = conversation.extras.get(index, Extra())
            parts.append(f"]~b]ai\n{_answer(text, extra, after=index > question)}[e~[\n")
        elif role == "tool":
            before = "" if roles[index - 1] == "tool" else "]~b]tool"
            after = "" if roles[index + 1 : index + 2] == ["tool"] else "[e~[\n"
            parts.append(f"{before}\n<response>{text}</response>{after}")
    return "".join(parts) + ("]~b]ai\n<think>\n" if options.answer else "")


def describe_tools(tools: Sequence[Mapping[str, object]]) -> str:
    listed = [f"<tool>{dump(tool.get('function', tool))}</tool>\n" for tool in tools]
    return _TOOLS.format(tools="".join(listed))


def _answer(text: str, extra: Extra, *, after: bool) -> str:
    reasoning, answer = split_reasoning(text, extra)
    if not extra.reasoning and END in text:
        answer = answer.rstrip("\n")
    thought = f"<think>\n{reasoning}\n</think>\n\n" if after and reasoning else ""
    if not extra.calls:
        return thought + answer
    return f"{thought}{answer}{write_calls(extra.calls)}"


def write_calls(calls: Sequence[ToolCall]) -> str:
    """Write calls as they follow a text."""
    begin, end = _CALLS
    return f"\n{begin}\n{''.join(map(_call, calls))}{end}"


def _call(call: ToolCall) -> str:
    arguments = tagged_arguments(call, '<parameter name="{}">{}</parameter>\n')
    return f'<invoke name="{call.name}">\n{arguments}</invoke>\n'


MINIMAX_M2 = ChatTemplateSpec(
    name="minimax-m2",
    turns={},
    writer=_write,
    roles=frozenset({"system", "user", "assistant", "tool"}),
    writes_calls=True,
    writes_tools=True,
    writes_details=True,
    one_system=True,
    result_after_call=True,
    start="]~!b[",  # no server adds it
    stop=("[e~[",),
    special_tokens=SpecialTokens(
        (
            # Without the last bracket, which a text would get from the end of its turn.
            *("]~!b", "]~b]", "[e~", "]!p~", "]!d~"),
            *("<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>"),
        )
    ),
    markup=SpecialTokens(
        (*_CALLS, "<think>", "</think>", "<response>", "</response>", "<invoke name=", "</invoke>")
    ),
    tool_format="minimax-m2",
)
