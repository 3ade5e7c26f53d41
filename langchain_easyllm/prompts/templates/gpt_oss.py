"""gpt-oss's template, which writes OpenAI's Harmony format.

https://huggingface.co/openai/gpt-oss-20b (`chat_template.jinja`). The system message of a
conversation is the developer's; the template writes the system block itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import PromptError
from ..conversation import Conversation, Extra
from ..spec import ChatTemplateSpec, RenderOptions, dump
from ..special_tokens import SpecialTokens
from .typescript import namespace_of

_SYSTEM = """\
<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.
Knowledge cutoff: 2024-06
Current date: {date}

Reasoning: {effort}

# Valid channels: analysis, commentary, final. Channel must be included for every message.{tools}\
<|end|>"""
_CALLS_GO = "\nCalls to these tools must go to the commentary channel: 'functions'."
_CHANNELS = ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>")


def _write(conversation: Conversation, options: RenderOptions) -> str:
    roles, texts = conversation.roles, conversation.texts
    parts = [
        _SYSTEM.format(
            date=options.date,
            effort=options.reasoning_effort or "medium",
            tools=_CALLS_GO if options.tools else "",
        )
    ]
    start = 1 if roles[0] == "system" else 0
    parts.append(_developer(texts[0] if start else "", options.tools))
    called = ""  # the name of the tool that was called last
    for index in range(start, len(roles)):
        text, extra = texts[index], conversation.extras.get(index, Extra())
        if roles[index] == "user":
            parts.append(f"<|start|>user<|message|>{text}<|end|>")
        elif roles[index] == "tool":
            parts.append(
                f"<|start|>functions.{called} to=assistant<|channel|>commentary<|message|>"
                f"{dump(text)}<|end|>"
            )
        elif roles[index] == "assistant":
            _check(index, text)
            if extra.calls:
                called = extra.calls[0].name
                final = _is_final_answer_after(index, conversation)
                parts.append(_call(text, extra, final=final))
            else:
                last = index == len(roles) - 1 and not options.answer
                parts.append(_answer(text, extra, last=last))
    return "".join(parts) + ("<|start|>assistant" if options.answer else "")


def _developer(text: str, tools: Sequence[Mapping[str, object]]) -> str:
    instructions = f"# Instructions\n\n{text}\n\n" if text else ""
    described = f"# Tools\n\n{namespace_of(tools)}" if tools else ""
    if not instructions and not described:
        return ""
    return f"<|start|>developer<|message|>{instructions}{described}<|end|>"


def _check(index: int, text: str) -> None:
    """Refuse what the official template refuses: an answer that has its channels in its text."""
    if any(channel in text for channel in _CHANNELS):
        raise PromptError(
            f"Message {index} (assistant) holds Harmony's channels in its text, which the gpt-oss "
            "prompt refuses: keep the text of the final channel as its content."
        )


def _is_final_answer_after(index: int, conversation: Conversation) -> bool:
    following = range(index + 1, len(conversation.roles))
    return any(
        conversation.roles[i] == "assistant" and not conversation.extras.get(i, Extra()).calls
        for i in following
    )


def _analysis(text: str) -> str:
    return f"<|start|>assistant<|channel|>analysis<|message|>{text}<|end|>" if text else ""


def _call(text: str, extra: Extra, *, final: bool) -> str:
    """Write a call; what the model thought before it is left out behind a later final answer."""
    call = extra.calls[0]
    thought = "" if final else _analysis(text or extra.reasoning)
    return (
        f"{thought}<|start|>assistant to=functions.{call.name}<|channel|>commentary json"
        f"<|message|>{dump(call.arguments)}<|call|>"
    )


def _answer(text: str, extra: Extra, *, last: bool) -> str:
    thought = _analysis(extra.reasoning) if last else ""
    end = "<|return|>" if last else "<|end|>"
    return f"{thought}<|start|>assistant<|channel|>final<|message|>{text}{end}"


GPT_OSS = ChatTemplateSpec(
    name="gpt-oss",
    turns={},
    writer=_write,
    roles=frozenset({"system", "user", "assistant", "tool"}),
    writes_calls=True,
    writes_tools=True,
    writes_details=True,
    one_call=True,
    one_system=True,
    result_after_call=True,
    efforts=("low", "medium", "high"),
    date_format="%Y-%m-%d",
    stop=("<|return|>", "<|call|>"),
    special_tokens=SpecialTokens(
        (
            *("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>"),
            *("<|return|>", "<|call|>", "<|startoftext|>", "<|endoftext|>", "<|endofprompt|>"),
            "<|reserved_",  # numbered
        )
    ),
    tool_format="gpt-oss",
)
