"""LangChain messages as messages of the chat protocol."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    InvalidToolCall,
    ToolCall,
    ToolMessage,
    convert_to_openai_data_block,
    is_data_content_block,
)
from langchain_core.messages.tool import tool_call

from .._protocols.openai import THINKING_BLOCK
from .._protocols.reasoning import with_reasoning
from ..errors import ConfigurationError

_ROLES = {
    "human": "user",
    "user": "user",
    "ai": "assistant",
    "assistant": "assistant",
    "system": "system",
    "developer": "developer",
    "tool": "tool",
    "function": "function",
}
# Blocks that are not sent: reasoning goes back by a field of its own, calls by tool_calls.
_NOT_SENT = frozenset(
    {
        *("reasoning", "thinking", "redacted_thinking"),
        *("tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call"),
    }
)
# Blocks that OpenAI-style servers accept unchanged.
_AS_IS = frozenset(
    {"image_url", "input_audio", "audio_url", "video_url", "video", "file", "refusal"}
)


def to_chat_messages(messages: Sequence[BaseMessage]) -> list[dict[str, object]]:
    if not messages:
        raise ConfigurationError("There are no messages: send at least one.")
    answered = _answered(messages)
    converted = [_convert(message, index, answered) for index, message in enumerate(messages)]
    if not any(message.get("content") or message.get("tool_calls") for message in converted):
        raise ConfigurationError("Every message is empty: send some text.")
    return converted


def with_failures(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return messages that describe failures in their text, which a prompt has no field for.

    Calls that could not be run but were answered become calls.
    """
    answered = _answered(messages)
    return [_with_failure(message, answered) for message in messages]


def _with_failure(message: BaseMessage, answered: Collection[str]) -> BaseMessage:
    if isinstance(message, ToolMessage) and message.status == "error":
        return message.model_copy(update={"content": _as_failure(message.content)})
    if isinstance(message, AIMessage) and message.invalid_tool_calls:
        return message.model_copy(update={"tool_calls": _calls(message, answered)})
    return message


def _answered(messages: Sequence[BaseMessage]) -> Collection[str]:
    return {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}


def _calls(message: AIMessage, answered: Collection[str]) -> list[ToolCall]:
    """Return the calls to send: all that could be run, and the others that were answered.

    A server expects an answer to every call, and arguments that are JSON.
    """
    failed = [call for call in message.invalid_tool_calls if call["id"] in answered]
    return [*message.tool_calls, *map(_repaired, failed)]


def _repaired(call: InvalidToolCall) -> ToolCall:
    from .._tool_formats.call_syntax import parse_arguments  # noqa: PLC0415 - seldom needed

    args = parse_arguments(call["args"] or "") or {}
    return tool_call(name=call["name"] or "", args=args, id=call["id"])


def only_text(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return messages of plain text, for a conversation that becomes one string.

    Content that would be lost is refused.
    """
    return [_only_text(message, index) for index, message in enumerate(messages)]


def _only_text(message: BaseMessage, index: int) -> BaseMessage:
    content = message.content
    if isinstance(content, str):
        return message
    from ..prompts.content import block_type, result_content  # noqa: PLC0415 - seldom needed

    kept = result_content(content) if _is_result(message) else content
    for block in kept if isinstance(kept, list) else ():
        kind = "text" if isinstance(block, str) else block_type(block)
        if kind != "text" and kind not in _NOT_SENT:
            raise ConfigurationError(
                f"Message {index} holds a block of type {kind!r}, and an LLM takes text only: "
                "use EasyLLMChat with api='chat'."
            )
    return message.model_copy(update={"content": _blocks(message, index)})


def _is_result(message: BaseMessage) -> bool:
    role = message.role if isinstance(message, ChatMessage) else message.type
    return _ROLES.get(role.removesuffix("MessageChunk").lower()) in ("tool", "function")


def _convert(message: BaseMessage, index: int, answered: Collection[str]) -> dict[str, object]:
    role = _role(message, index)
    content = message.content
    result: dict[str, object] = {
        "role": role,
        "content": content if isinstance(content, str) else _blocks(message, index),
    }
    if message.name:
        result["name"] = message.name
    if isinstance(message, AIMessage):
        _add_answer(message, result, answered)
    elif isinstance(message, ToolMessage):
        result["tool_call_id"] = message.tool_call_id
        if message.status == "error":
            result["content"] = _as_failure(result["content"])
    return result


def _as_failure(content: object) -> object:
    """Add to the text that a tool failed: the protocol has no field for it."""
    if isinstance(content, list):
        return [{"type": "text", "text": "Error:"}, *content]
    return content if "error" in str(content).lower() else f"Error: {content}"


def _role(message: BaseMessage, index: int) -> str:
    if isinstance(message, ChatMessage):
        word = message.role
    else:
        word = message.additional_kwargs.get("__openai_role__") or message.type
    role = _ROLES.get(word.removesuffix("MessageChunk").lower())
    if role is None:
        known = ", ".join(sorted(set(_ROLES.values())))
        raise ConfigurationError(f"Message {index} has the unknown role {word!r}: use {known}.")
    return role


def _add_answer(message: AIMessage, result: dict[str, object], answered: Collection[str]) -> None:
    """Add an earlier answer's tool calls, and its reasoning in the field that the server used."""
    if calls := _calls(message, answered):
        result["tool_calls"] = [_call(call, number) for number, call in enumerate(calls)]
        result["content"] = result["content"] or None
    details = message.additional_kwargs.get("reasoning_details")
    if details:
        result["reasoning_details"] = details
    reasoning = message.additional_kwargs.get("reasoning_content")
    name = message.response_metadata.get("reasoning_field")
    if not reasoning or name in (None, "reasoning_details"):
        return
    if name == THINKING_BLOCK:
        thinking = {"type": "thinking", "thinking": [{"type": "text", "text": reasoning}]}
        said = result["content"]
        text = [{"type": "text", "text": said}] if isinstance(said, str) and said else said or []
        result["content"] = [thinking, *cast("list[object]", text)]
    elif (written := with_reasoning(name, reasoning, str(result["content"] or ""))) is not None:
        result["content"] = written
    else:
        result[name] = reasoning


def _call(call: ToolCall, number: int) -> dict[str, object]:
    arguments = json.dumps(call["args"], ensure_ascii=False)
    function = {"name": call["name"], "arguments": arguments}
    return {"type": "function", "id": call["id"] or f"call_{number}", "function": function}


def _blocks(message: BaseMessage, index: int) -> str | list[dict[str, object]]:
    """Convert content blocks; text alone becomes a plain string, which every server accepts."""
    from ..prompts.content import join_texts, result_content  # noqa: PLC0415 - seldom needed

    convert, content = _block, cast("object", message.content)
    if _is_result(message):
        convert, content = _result_block, result_content(content)
    if isinstance(content, str):
        return content
    given = cast("list[str | dict[str, Any]]", content)
    blocks = [b for block in given if (b := convert(block, index)) is not None]
    if not all(block["type"] == "text" for block in blocks):
        return blocks
    texts = [str(block["text"]) for block in blocks]
    return "".join(texts) if isinstance(message, AIMessage) else join_texts(texts)


def _result_block(block: str | Mapping[str, Any], index: int) -> dict[str, object] | None:
    """Convert a block of a tool's result, which is JSON to the model if nothing else."""
    from ..prompts.content import dump_block  # noqa: PLC0415 - seldom needed

    try:
        return _block(block, index)
    except (ConfigurationError, KeyError, ValueError):
        return {"type": "text", "text": dump_block(block)}


def _block(block: str | Mapping[str, Any], index: int) -> dict[str, object] | None:
    if isinstance(block, str):
        return {"type": "text", "text": block}
    from ..prompts.content import block_type  # noqa: PLC0415 - as above

    kind = block_type(block)
    if kind in _NOT_SENT:
        return None
    if kind == "text":
        return {"type": "text", "text": block.get("text", "")}
    if kind == "image_url" and isinstance(url := block.get("image_url"), str):
        return {"type": "image_url", "image_url": {"url": url}}
    if kind == "image" and isinstance(source := block.get("source"), Mapping):  # Anthropic's
        url = source.get("url") or f"data:{source.get('media_type')};base64,{source.get('data')}"
        return {"type": "image_url", "image_url": {"url": url}}
    if kind in _AS_IS and kind in block:
        return dict(block)
    if is_data_content_block(dict(block)):
        return convert_to_openai_data_block(dict(block))
    raise ConfigurationError(
        f"Message {index} has content of the unknown type {kind!r}: "
        "use text, image, audio or file blocks."
    )
