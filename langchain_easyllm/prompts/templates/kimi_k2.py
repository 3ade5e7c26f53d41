"""Kimi K2's template.

https://huggingface.co/moonshotai/Kimi-K2-Instruct-0905 (`chat_template.jinja`). A message's name
stands in the place of its role, and a newline only behind the default system message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from ..conversation import Conversation, Extra, ToolCall
from ..spec import ChatTemplateSpec, RenderOptions, text_or_json
from ..special_tokens import SpecialTokens

_DEFAULT = (
    "<|im_system|>system<|im_middle|>You are Kimi, an AI assistant created by Moonshot AI."
    "<|im_end|>\n"
)
SECTION, SECTION_END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
CALL, CALL_END = "<|tool_call_begin|>", "<|tool_call_end|>"
ARGUMENTS = "<|tool_call_argument_begin|>"
_MARKS = {"user": "<|im_user|>", "assistant": "<|im_assistant|>"}


def _write(conversation: Conversation, options: RenderOptions) -> str:
    parts: list[str] = []
    if options.tools:
        listed = list_tools(options.tools)
        parts.append(f"<|im_system|>tool_declare<|im_middle|>{listed}<|im_end|>")
    if conversation.roles[0] != "system":
        parts.append(_DEFAULT)
    for index, role in enumerate(conversation.roles):
        extra = conversation.extras.get(index, Extra())
        text = conversation.texts[index]
        if extra.calls:
            text += write_calls(extra.calls)
        elif role == "tool":
            text = f"## Return of {extra.call_id or extra.name or 'tool'}\n{text}"
        mark = _MARKS.get(role, "<|im_system|>")
        parts.append(f"{mark}{extra.name or role}<|im_middle|>{text}<|im_end|>")
    if options.answer:
        parts.append("<|im_assistant|>assistant<|im_middle|>")
    return "".join(parts)


def list_tools(tools: Sequence[Mapping[str, object]]) -> str:
    return json.dumps(list(tools), ensure_ascii=False, separators=(",", ":"), default=str)


def write_calls(calls: Sequence[ToolCall]) -> str:
    written = [
        f"{CALL}{call.id or f'functions.{call.name}:{number}'}"
        f"{ARGUMENTS}{text_or_json(call.arguments)}{CALL_END}"
        for number, call in enumerate(calls)
    ]
    return f"{SECTION}{''.join(written)}{SECTION_END}"


KIMI_K2 = ChatTemplateSpec(
    name="kimi-k2",
    turns={},
    writer=_write,
    roles=frozenset({"system", "user", "assistant", "tool", "function"}),
    writes_calls=True,
    writes_tools=True,
    writes_details=True,
    stop=("<|im_end|>", "[EOS]"),
    special_tokens=SpecialTokens(
        (
            *("<|im_system|>", "<|im_user|>", "<|im_assistant|>", "<|im_middle|>", "<|im_end|>"),
            *(SECTION, SECTION_END, CALL, ARGUMENTS, CALL_END),
            *("<|media_start|>", "<|media_content|>", "<|media_end|>", "<|media_pad|>"),
            *("<|start_header_id|>", "<|end_header_id|>", "<|reserved_token_"),
            *("[BOS]", "[EOS]", "[EOT]", "[PAD]", "[UNK]"),
        )
    ),
    tool_format="kimi-k2",
)
