"""SmolLM3's template, which writes a dated system block and leaves it open.

https://huggingface.co/HuggingFaceTB/SmolLM3-3B (`chat_template.jinja`). Flags in the system message
switch thinking, or replace the block. It leaves earlier tool calls out, which are written here as
the model makes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..conversation import Conversation
from ..spec import ChatTemplateSpec, RenderOptions
from ..special_tokens import SpecialTokens
from .qwen3 import CALL_SYNTAX, CALLS, MARKUP

_METADATA = """\
## Metadata

Knowledge Cutoff Date: June 2025
Today Date: {date}
Reasoning Mode: {mode}

## Custom Instructions

"""
_DEFAULT = "You are a helpful AI assistant named SmolLM, trained by Hugging Face."
_DEFAULT_THINKING = (
    f"{_DEFAULT} Your role as an assistant involves thoroughly exploring questions through a "
    "systematic thinking process before providing the final precise and accurate solutions. This "
    "requires engaging in a comprehensive cycle of analysis, summarizing, exploration, "
    "reassessment, reflection, backtracking, and iteration to develop well-considered thinking "
    "process. Please structure your response into two main sections: Thought and Solution using "
    "the specified format: <think> Thought section </think> Solution section. In the Thought "
    "section, detail your reasoning process in steps. Each step should include detailed "
    "considerations such as analysing questions, summarizing relevant findings, brainstorming new "
    "ideas, verifying the accuracy of the current steps, refining any errors, and revisiting "
    "previous steps. In the Solution section, based on various attempts, explorations, and "
    "reflections from the Thought section, systematically present the final solution that you deem "
    "correct. The Solution section should be logical, accurate, and concise and detail necessary "
    "steps needed to reach the conclusion."
)
_TOOLS = f"""\
### Tools

You may call one or more functions to assist with the user query.
You are provided with function signatures within <tools></tools> XML tags:

<tools>
{{tools}}
</tools>

{CALL_SYNTAX}

<|im_end|>
"""


def _write(conversation: Conversation, options: RenderOptions) -> str:
    roles, texts = conversation.roles, conversation.texts
    system = texts[0] if roles[0] == "system" else ""
    thinks = options.thinking is not False
    if "/no_think" in system:
        thinks = False
    elif "/think" in system:
        thinks = True
    opened = "<|im_start|>assistant\n" + ("" if thinks else "<think>\n\n</think>\n")
    parts = ["<|im_start|>system\n", _system(system, options, thinks=thinks)]
    for role, text in zip(roles, texts, strict=True):
        if role == "assistant":
            parts += (opened, text.lstrip("\n"), "<|im_end|>\n")
        elif role != "system":
            parts.append(f"<|im_start|>user\n{text}<|im_end|>\n")
    return "".join(parts) + (opened if options.answer else "")


def _system(text: str, options: RenderOptions, *, thinks: bool) -> str:
    own = text.replace("/no_think", "").replace("/think", "").rstrip()
    if "/system_override" in text:
        return own.replace("/system_override", "").rstrip() + "<|im_end|>\n"
    head = _METADATA.format(date=options.date, mode="/think" if thinks else "/no_think")
    default = _DEFAULT_THINKING if thinks else _DEFAULT
    return f"{head}{own or default}\n\n{_tools(options.tools)}"


def _tools(tools: Sequence[Mapping[str, object]]) -> str:
    # The official template prints them as Python does.
    return _TOOLS.format(tools="\n".join(map(str, tools))) if tools else ""


SMOLLM3 = ChatTemplateSpec(
    name="smollm3",
    turns={},
    writer=_write,
    roles=frozenset({"system", "user", "assistant", "tool"}),
    calls=CALLS,
    writes_tools=True,
    one_system=True,
    thinking=True,
    date_format="%d %B %Y",
    stop=("<|im_end|>",),
    special_tokens=SpecialTokens(
        (
            *("<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|end_of_text|>"),
            *("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>"),
            *("<|python_tag|>", "<|finetune_right_pad_id|>", "<|reserved_special_token_"),
        )
    ),
    markup=MARKUP,
    tool_format="hermes",
)
