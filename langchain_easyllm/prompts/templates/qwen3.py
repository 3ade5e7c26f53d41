"""Qwen3's template, which thinks, and that of its 2507 form, which always does.

https://huggingface.co/Qwen/Qwen3-8B and https://huggingface.co/Qwen/Qwen3-Next-80B-A3B-Thinking
(`tokenizer_config.json`). Reasoning is written only in answers behind the last question.
"""

from __future__ import annotations

from functools import partial

from ..conversation import Conversation, Extra
from ..spec import CallForm, ChatTemplateSpec, RenderOptions, dump
from ..special_tokens import SpecialTokens
from .reasoning import split_reasoning

CALLS = CallForm("\n<tool_call>\n", "arguments", "\n</tool_call>")
"""Calls as Hermes' tags, each on lines of its own."""

STOP = ("<|im_end|>", "<|endoftext|>")

TOKENS = SpecialTokens(
    (
        *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|repo_name|>", "<|file_sep|>"),
        *("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"),
        *("<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>"),
        *("<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
        *("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
    )
)

MARKUP = SpecialTokens(
    (
        *("<think>", "</think>", "<tool_call>", "</tool_call>"),
        *("<tool_response>", "</tool_response>"),
    )
)
"""Tags that only the template and the model write."""

CALL_SYNTAX = """\
For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""

TOOLS = f"""\
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{{tools}}
</tools>

{CALL_SYNTAX}"""
"""Describes tools, one as JSON on each line."""

_TURN = "<|im_start|>{}\n{}<|im_end|>\n"
_RESULTS = "<tool_response>\n", "\n</tool_response>"


def _write(conversation: Conversation, options: RenderOptions, *, always: bool) -> str:
    roles, texts = conversation.roles, conversation.texts
    parts: list[str] = []
    if options.tools:
        lines = TOOLS.format(tools="\n".join([dump(tool) for tool in options.tools]))
        given = roles[0] == "system"
        parts.append(_TURN.format("system", f"{texts[0]}\n\n{lines}" if given else lines))
    question = _last_question(conversation)
    for index, role in enumerate(roles):
        if role == "assistant":
            extra = conversation.extras.get(index, Extra())
            last = index == len(roles) - 1
            text = _answer(texts[index], extra, after=index > question, last=last)
        elif role == "tool":
            before = "" if index and roles[index - 1] == "tool" else "<|im_start|>user"
            after = "" if roles[index + 1 : index + 2] == ["tool"] else "<|im_end|>\n"
            parts.append(f"{before}\n{texts[index].join(_RESULTS)}{after}")
            continue
        elif options.tools and index == 0 and role == "system":
            continue
        else:
            text = texts[index]
        parts.append(_TURN.format(role, text))
    if options.answer:
        parts.append("<|im_start|>assistant\n")
        if always:
            parts.append("<think>\n")
        elif options.thinking is False:
            parts.append("<think>\n\n</think>\n\n")
    return "".join(parts)


def _last_question(conversation: Conversation) -> int:
    """Return the index of the last user message that is no tool's result."""
    start, end = "<tool_response>", "</tool_response>"
    for index in range(len(conversation.roles) - 1, -1, -1):
        text = conversation.texts[index]
        if conversation.roles[index] == "user" and not (
            text.startswith(start) and text.endswith(end)
        ):
            return index
    return len(conversation.roles) - 1


def _answer(text: str, extra: Extra, *, after: bool, last: bool) -> str:
    reasoning, text = split_reasoning(text, extra)
    calls = CALLS(text, extra.calls)[len(text) :]
    if after and (last or reasoning):
        thought = reasoning.strip("\n")
        text = text.lstrip("\n")
        return f"<think>\n{thought}\n</think>\n\n{text}{calls}"
    return f"{text}{calls}"


def _qwen3(name: str, *, always: bool) -> ChatTemplateSpec:
    return ChatTemplateSpec(
        name=name,
        turns={},
        writer=partial(_write, always=always),
        roles=frozenset({"system", "user", "assistant", "tool"}),
        writes_calls=True,
        writes_tools=True,
        writes_details=True,
        stop=STOP,
        special_tokens=TOKENS,
        markup=MARKUP,
        tool_format="hermes",
        thinking=not always,
    )


QWEN3 = _qwen3("qwen3", always=False)
QWEN3_THINKING_2507 = _qwen3("qwen3-thinking-2507", always=True)
