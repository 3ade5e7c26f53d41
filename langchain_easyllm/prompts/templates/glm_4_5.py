"""GLM-4.5's template.

https://huggingface.co/zai-org/GLM-4.5 (`chat_template.jinja`). Every answer has a think block,
which is empty but behind the last question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..conversation import Conversation, Extra, ToolCall
from ..spec import ChatTemplateSpec, RenderOptions, dump
from ..special_tokens import SpecialTokens
from ..tool_calls import tagged_arguments
from .reasoning import last_user, split_reasoning

_TOOLS = """\
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

For each function call, output the function name and arguments within the following XML format:
<tool_call>{{function-name}}
<arg_key>{{arg-key-1}}</arg_key>
<arg_value>{{arg-value-1}}</arg_value>
<arg_key>{{arg-key-2}}</arg_key>
<arg_value>{{arg-value-2}}</arg_value>
...
</tool_call>"""

_EMPTY = "\n<think></think>"


def _write(conversation: Conversation, options: RenderOptions) -> str:
    roles = conversation.roles
    question = last_user(conversation)
    silent = options.thinking is False
    parts = [f"<|system|>\n{describe_tools(options.tools)}"] if options.tools else []
    for index, (role, text) in enumerate(zip(roles, conversation.texts, strict=True)):
        if role == "user":
            flag = "/nothink" if silent and not text.endswith("/nothink") else ""
            parts.append(f"<|user|>\n{text}{flag}")
        elif role == "assistant":
            extra = conversation.extras.get(index, Extra())
            parts.append(f"<|assistant|>{_answer(text, extra, after=index > question)}")
        elif role == "tool":
            first = index == 0 or roles[index - 1] != "tool"
            mark = "<|observation|>" if first else ""
            parts.append(f"{mark}\n<tool_response>\n{text}\n</tool_response>")
        else:
            parts.append(f"<|system|>\n{text}")
    if options.answer:
        parts.append("<|assistant|>" + (_EMPTY if silent else ""))
    return "".join(parts)


def describe_tools(tools: Sequence[Mapping[str, object]]) -> str:
    return _TOOLS.format(tools="\n".join([dump(tool) for tool in tools]))


def _answer(text: str, extra: Extra, *, after: bool) -> str:
    reasoning, text = split_reasoning(text, extra)
    block = f"\n<think>{reasoning.strip()}</think>" if after and reasoning else _EMPTY
    content = f"\n{text.strip()}" if text.strip() else ""
    return block + content + "".join([f"\n{write_call(call)}" for call in extra.calls])


def write_call(call: ToolCall) -> str:
    form = "<arg_key>{}</arg_key>\n<arg_value>{}</arg_value>\n"
    return f"<tool_call>{call.name}\n{tagged_arguments(call, form)}</tool_call>"


GLM_4_5 = ChatTemplateSpec(
    name="glm-4.5",
    turns={},
    writer=_write,
    roles=frozenset({"system", "user", "assistant", "tool"}),
    writes_calls=True,
    writes_tools=True,
    writes_details=True,
    thinking=True,
    start="[gMASK]<sop>",  # no server adds these
    stop=("<|user|>", "<|observation|>", "<|endoftext|>"),
    special_tokens=SpecialTokens(
        (
            *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>", "<|endoftext|>"),
            *("[gMASK]", "[sMASK]", "[MASK]", "<sop>", "<eop>"),
            *("<|begin_of_image|>", "<|end_of_image|>", "<|image|>"),
            *("<|begin_of_video|>", "<|end_of_video|>", "<|video|>"),
            *("<|begin_of_audio|>", "<|end_of_audio|>", "<|begin_of_transcription|>"),
            *("<|end_of_transcription|>", "<|code_prefix|>", "<|code_middle|>", "<|code_suffix|>"),
        )
    ),
    markup=SpecialTokens(
        (
            *("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>"),
            *("</tool_response>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
        )
    ),
    tool_format="glm-4.5",
)
