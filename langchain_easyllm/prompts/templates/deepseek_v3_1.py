"""DeepSeek V3.1's template.

https://huggingface.co/deepseek-ai/DeepSeek-V3.1 (`tokenizer_config.json`). System messages are
collected in front, and a lone `</think>` says that an answer does not think. It describes no tools.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..conversation import Conversation, Extra, ToolCall
from ..spec import ChatTemplateSpec, RenderOptions, text_or_json
from ..special_tokens import SpecialTokens
from .reasoning import END

_EOS = "<｜end▁of▁sentence｜>"
CALLS, CALLS_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
CALL, CALL_END = "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"
SEPARATOR = "<｜tool▁sep｜>"
OUTPUT, OUTPUT_END = "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"
OUTPUTS, OUTPUTS_END = "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>"


def _write(conversation: Conversation, options: RenderOptions) -> str:
    roles, texts = conversation.roles, conversation.texts
    pairs = list(zip(roles, texts, strict=True))
    parts = ["\n\n".join([text for role, text in pairs if role == "system"])]
    after_user = after_result = False
    for index, (role, text) in enumerate(pairs):
        if role == "user":
            parts.append(f"<｜User｜>{text}")
            after_user, after_result = True, False
        elif role == "tool":
            parts.append(f"{OUTPUT}{text}{OUTPUT_END}")
            after_user, after_result = False, True
        elif role == "assistant":
            calls = conversation.extras.get(index, Extra()).calls
            if after_user:
                parts.append("<｜Assistant｜></think>")
            if calls:
                answer = text + write_calls(calls)
            else:
                answer = text if after_result or END not in text else text.partition(END)[2]
            parts.append(answer + _EOS)
            after_user = after_result = False
    if options.answer and after_user:
        parts.append("<｜Assistant｜>" + ("<think>" if options.thinking else "</think>"))
    return "".join(parts)


def write_calls(calls: Sequence[ToolCall]) -> str:
    written = [f"{call.name}{SEPARATOR}{text_or_json(call.arguments)}" for call in calls]
    each = [f"{CALL}{call}{CALL_END}" for call in written]
    return f"{CALLS}{''.join(each)}{CALLS_END}"


DEEPSEEK_V3_1 = ChatTemplateSpec(
    name="deepseek-v3.1",
    turns={},
    writer=_write,
    roles=frozenset({"system", "user", "assistant", "tool"}),
    writes_calls=True,
    joins_system=True,
    thinking=True,
    start="<｜begin▁of▁sentence｜>",
    bos="<｜begin▁of▁sentence｜>",
    stop=(_EOS,),
    special_tokens=SpecialTokens(
        (
            *("<｜begin▁of▁sentence｜>", _EOS, "<｜▁pad▁｜>", "<｜User｜>", "<｜Assistant｜>"),
            *(CALLS, CALLS_END, SEPARATOR, CALL, CALL_END),
            *(OUTPUTS, OUTPUTS_END, OUTPUT, OUTPUT_END),
            *("<｜search▁begin｜>", "<｜search▁end｜>", "<|EOT|>", "<｜place▁holder▁no▁"),
            *("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
        )
    ),
    markup=SpecialTokens(("<think>", "</think>")),
    tool_format="deepseek-v3.1",
)
