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
    if isinstance(message.content, str):
        return message
    from .content_blocks import to_text  # noqa: PLC0415 - seldom needed

    given = _given_blocks(message)
    if isinstance(given, str):
        return message.model_copy(update={"content": given})
    of_answer = _role_of(message) == "assistant"
    texts = [to_text(block, index, of_answer=of_answer) for block in given]
    return message.model_copy(update={"content": _joined(texts, given, of_answer=of_answer)})


def _role_of(message: BaseMessage) -> str | None:
    role = message.role if isinstance(message, ChatMessage) else message.type
    return _ROLES.get(role.removesuffix("MessageChunk").lower())


def _is_result(message: BaseMessage) -> bool:
    return _role_of(message) in ("tool", "function")


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
    reasoning = message.additional_kwargs.get("reasoning_content") or _reasoning_of(message)
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


def _reasoning_of(message: AIMessage) -> str:
    """Return the reasoning in content blocks, of which a message may have been made anew."""
    if isinstance(message.content, str):
        return ""
    blocks = [block for block in message.content if isinstance(block, Mapping)]
    texts = [block.get("reasoning") for block in blocks if block.get("type") == "reasoning"]
    return "".join(text for text in texts if isinstance(text, str))


def _call(call: ToolCall, number: int) -> dict[str, object]:
    arguments = json.dumps(call["args"], ensure_ascii=False)
    function = {"name": call["name"], "arguments": arguments}
    return {"type": "function", "id": call["id"] or f"call_{number}", "function": function}


def _blocks(message: BaseMessage, index: int) -> str | list[dict[str, object]]:
    """Convert content blocks; text alone becomes a plain string, which every server accepts.

    An answer of which nothing is left stays a message without text: the roles alternate so.
    """
    given = _given_blocks(message)
    if isinstance(given, str):
        return given
    pairs = [(block, part) for block in given if (part := _part(block, message, index))]
    parts = [part for _, part in pairs]
    if not all(part["type"] == "text" for part in parts):
        return parts
    texts, blocks = [str(part["text"]) for part in parts], [block for block, _ in pairs]
    return _joined(texts, blocks, of_answer=_role_of(message) == "assistant")


def with_traceable_images(messages: list[BaseMessage]) -> list[BaseMessage]:
    """Return messages that langchain-core can trace: it raises where an image has no `mime_type`.

    Raises:
        ConfigurationError: If such an image cannot be sent.
    """
    if all(isinstance(message.content, str) for message in messages):
        return messages
    return [_with_traceable_images(message, index) for index, message in enumerate(messages)]


def _with_traceable_images(message: BaseMessage, index: int) -> BaseMessage:
    blocks = message.content
    if isinstance(blocks, str) or all(map(_is_traceable, blocks)):
        return message
    parts = [b if _is_traceable(b) else _part(b, message, index) for b in blocks]
    return message.model_copy(update={"content": [part for part in parts if part is not None]})


def _is_traceable(block: str | Mapping[str, Any]) -> bool:
    if isinstance(block, str) or block.get("type") != "image":
        return True
    kind = block.get("source_type")
    if kind == "id" or any(key in block for key in ("url", "file_id", "source")):
        return True
    return "mime_type" in block and ("base64" in block or (kind == "base64" and "data" in block))


def transcript(messages: Sequence[BaseMessage]) -> str:
    """Return messages as lines of text, for a count of tokens where no template can be used."""
    answered = _answered(messages)
    converted = [_convert(message, index, answered) for index, message in enumerate(messages)]
    return "\n".join([_line(message) for message in converted])


def _line(message: Mapping[str, object]) -> str:
    content, calls = message.get("content"), message.get("tool_calls")
    parts = cast("list[Mapping[str, object]]", content if isinstance(content, list) else ())
    text = content if isinstance(content, str) else "\n".join(str(p.get("text", "")) for p in parts)
    line = f"{message['role']}: {text}"
    return f"{line}\n{json.dumps(calls, ensure_ascii=False)}" if calls else line


def _given_blocks(message: BaseMessage) -> str | list[str | dict[str, Any]]:
    from ..prompts.content import result_content  # noqa: PLC0415 - seldom needed

    content: object = message.content
    if _is_result(message):
        content = result_content(content)
    return cast("str | list[str | dict[str, Any]]", content)


def _joined(
    texts: Sequence[str], blocks: Sequence[str | Mapping[str, Any]], *, of_answer: bool
) -> str:
    from ..prompts.content import join_answer, join_texts  # noqa: PLC0415 - seldom needed

    return join_answer(texts, blocks) if of_answer else join_texts(texts)


def _part(
    block: str | Mapping[str, Any], message: BaseMessage, index: int
) -> dict[str, object] | None:
    """Convert a block, or return None where it says nothing to this model.

    One of a tool's result is JSON to the model if nothing else.
    """
    from ..prompts.content import dump_block  # noqa: PLC0415 - seldom needed
    from .content_blocks import to_part  # noqa: PLC0415 - seldom needed

    try:
        part = to_part(block, index, of_answer=_role_of(message) == "assistant")
    except ConfigurationError:
        if not _is_result(message):
            raise
        part = None
    return part or ({"type": "text", "text": dump_block(block)} if _is_result(message) else None)
