"""Llama 4's template.

https://huggingface.co/meta-llama/Llama-4-Scout-17B-16E-Instruct (`tokenizer_config.json`). Tools
stand in the first message, calls behind an empty pair of Python tags, results in turns of the role
`ipython`. It computes a date and never writes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..conversation import Conversation, Extra
from ..spec import ChatTemplateSpec, RenderOptions, dump
from ..special_tokens import SpecialTokens

_TURN = "<|header_start|>{}<|header_end|>\n\n{}<|eot|>"
TOOLS = (
    "Given the following functions, please respond with a JSON for a function call with its proper "
    "arguments that best answers the given prompt.\n\n"
    'Respond in the format {"name": function name, "parameters": dictionary of argument name and '
    "its value}.Do not use variables.\n\n"
)
"""Stands before the tools."""


def _write(conversation: Conversation, options: RenderOptions) -> str:
    roles, texts = conversation.roles, conversation.texts
    parts: list[str] = []
    start = 0
    if roles[0] == "system":
        environment = "Environment: ipython\n" if options.tools else ""
        parts.append(_TURN.format("system", environment + texts[0].strip()))
        start = 1
    if options.tools:
        # The template puts them before the first text, whosever it is.
        takes = start < len(roles) and not conversation.extras.get(start, Extra()).calls
        described = TOOLS + "".join([f"{list_tool(tool)}\n\n" for tool in options.tools])
        parts.append(_TURN.format("user", described + (texts[start].strip() if takes else "")))
        start += takes
    for index in range(start, len(roles)):
        role, text = roles[index], texts[index]
        calls = conversation.extras.get(index, Extra()).calls
        if calls:
            written = [f'{{"name": "{c.name}", "parameters": {dump(c.arguments)}}}' for c in calls]
            text = f"<|python_start|>{text}<|python_end|>{''.join(written)}"
        elif role == "tool":
            role, text = "ipython", dump(text)
        parts.append(_TURN.format(role, text))
    if options.answer:
        parts.append("<|header_start|>assistant<|header_end|>\n\n")
    return "".join(parts)


def list_tool(tool: Mapping[str, object]) -> str:
    return json.dumps(tool, ensure_ascii=False, indent=4, default=str)


LLAMA4 = ChatTemplateSpec(
    name="llama4",
    turns={},
    writer=_write,
    roles=frozenset({"system", "user", "assistant", "tool", "function"}),
    writes_calls=True,
    writes_tools=True,
    start="<|begin_of_text|>",
    bos="<|begin_of_text|>",
    stop=("<|eot|>", "<|end_of_text|>", "<|eom|>"),
    special_tokens=SpecialTokens(
        (
            *("<|begin_of_text|>", "<|end_of_text|>", "<|eot|>", "<|eom|>", "<|step|>"),
            *("<|header_start|>", "<|header_end|>", "<|python_start|>", "<|python_end|>"),
            *("<|image|>", "<|image_start|>", "<|image_end|>", "<|patch|>"),
            *("<|tile_x_separator|>", "<|tile_y_separator|>", "<|finetune_right_pad|>"),
            *("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"),
            *("<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"),
            # Numbered ones.
            *("<|reserved_special_token_", "<|text_post_train_reserved_special_token_"),
            *("<|vision_reserved_special_token_", "<|text_pre_train_reserved_special_token_"),
        )
    ),
    tool_format="llama3",
)
