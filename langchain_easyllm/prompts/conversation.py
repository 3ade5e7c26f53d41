"""Reads messages of every accepted form into roles and texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..errors import PromptError
from .content import (
    BlockError,
    block_type,
    join_answer,
    join_texts,
    nearest_type,
    prompt_text,
    result_content,
)

ROLES = {
    "user": "user",
    "human": "user",
    "HumanMessageChunk": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "system": "system",
    "developer": "system",
    "SystemMessageChunk": "system",
    "tool": "tool",
    "ToolMessageChunk": "tool",
    "function": "function",
    "FunctionMessageChunk": "function",
}
"""Every accepted role name, and the role it means."""

_KNOWN_ROLES = "known roles are user (human), assistant (ai), system (developer), tool, function"
_CHAT_TYPES = frozenset({"chat", "ChatMessageChunk"})
_HIDDEN_BLOCKS = frozenset({"reasoning", "reasoning_content", "thinking", "redacted_thinking"})
_REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: object
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Extra:
    """The rest of a message beside its role and text."""

    calls: tuple[ToolCall, ...] = ()
    name: str | None = None  # of the tool, or of the speaker
    call_id: str | None = None  # of the call that a tool message answers
    reasoning: str = ""  # of the assistant, where it is apart from the text


_PLAIN_ROLES = frozenset({"user", "system"})


@dataclass(slots=True)
class Conversation:
    """Messages as parallel lists, which makes rendering fast; extras by index, of few messages.

    The roles are `user`, `assistant`, `system`, `tool` and `function`.
    """

    roles: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    extras: dict[int, Extra] = field(default_factory=dict)


def read(messages: object, *, details: bool = False) -> Conversation:
    """Read a conversation of any form that `ChatPrompt.render` takes.

    Those are a string (one user message), a LangChain prompt value, or an iterable of LangChain
    messages, `(role, text)` pairs, role/content dicts or objects with these attributes. Names of
    speakers and the assistant's reasoning, which few templates write, are read for `details`.
    """
    if isinstance(messages, str):
        return Conversation(["user"], [messages])
    if hasattr(messages, "content"):
        raise PromptError("One message is no conversation: give a list of messages.")
    to_messages = getattr(messages, "to_messages", None)
    if callable(to_messages):
        messages = to_messages()
    if isinstance(messages, Mapping) or not isinstance(messages, Iterable):
        raise PromptError(f"Messages come as a string or a list, not as {type(messages).__name__}.")
    conversation = Conversation()
    add_role, add_text = conversation.roles.append, conversation.texts.append
    for index, message in enumerate(messages):
        if isinstance(message, dict):
            given, content = message.get("role"), message.get("content")
        else:
            given, content = _parts(message, index)
        role = ROLES.get(given) if isinstance(given, str) else None
        if role is None:
            raise PromptError(f"Message {index} has the unknown role {given!r}; {_KNOWN_ROLES}.")
        add_role(role)
        add_text(content if isinstance(content, str) else text_of(content, index, role))
        if role not in _PLAIN_ROLES:
            _read_extra(conversation, index, role, message)
        if details:
            _read_details(conversation, index, role, message, content)
    if not conversation.roles:
        raise PromptError("There are no messages to render; give at least one.")
    return conversation


def text_of(content: object, index: int, role: str) -> str:
    """Return the text of a message's content: None, a string, or a list of blocks.

    Of an assistant's blocks, only text is read: reasoning is not sent back, calls are read from
    `tool_calls`, and what other providers add says nothing to this model. The texts of an assistant
    are one text, but for documents in it, and all others stand apart.
    """
    if role in {"tool", "function"}:
        content = result_content(content)
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    blocks = [content] if isinstance(content, Mapping) else content
    if not isinstance(blocks, Iterable):
        kind = type(content).__name__
        raise PromptError(f"Message {index} ({role}) has content of type {kind}; text is needed.")
    given = list(blocks)
    texts = [_block_text(block, index, role) for block in given]
    return join_answer(texts, given) if role == "assistant" else join_texts(texts)


def _block_text(block: object, index: int, role: str) -> str:
    if isinstance(block, str):
        return block
    kind: object = type(block).__name__
    if isinstance(block, Mapping):
        kind = block_type(block)
        try:
            text = prompt_text(block, of_answer=role == "assistant")
        except BlockError as problem:
            raise PromptError(
                f"Message {index} ({role}) holds a block of type {kind!r:.50} that {problem}"
            ) from None
        if text is not None:
            return text
        if (near := nearest_type(kind)) and near.startswith("text"):
            raise PromptError(
                f"Message {index} ({role}) holds a block of type {kind!r:.50} that is not known: "
                f"did you mean {near!r}?"
            )
    raise PromptError(
        f"Message {index} ({role}) holds a block of type {kind!r:.50}, and a prompt holds only "
        'text; use api="chat" for a server that takes such messages.'
    )


def _parts(message: object, index: int) -> tuple[object, object]:
    if isinstance(message, (tuple, list)):
        if len(message) != 2:
            raise PromptError(f"Message {index} has {len(message)} parts; a pair is (role, text).")
        return message[0], message[1]
    given = getattr(message, "type", None)
    if given is None or given in _CHAT_TYPES:
        given = getattr(message, "role", None)
    if given is None and isinstance(message, Mapping):
        return message.get("role"), message.get("content")
    return given, getattr(message, "content", None)


def _field(source: object, name: str) -> object:
    if isinstance(source, Mapping):
        return source.get(name)
    return getattr(source, name, None)


def _read_extra(conversation: Conversation, index: int, role: str, message: object) -> None:
    if role == "assistant":
        calls = _field(message, "tool_calls")
        if isinstance(calls, (list, tuple)) and calls:
            conversation.extras[index] = Extra(calls=tuple([_call(call) for call in calls]))
    else:
        name, call_id = _field(message, "name"), _field(message, "tool_call_id")
        conversation.extras[index] = Extra(
            name=name if isinstance(name, str) else None,
            call_id=call_id if isinstance(call_id, str) else None,
        )


def _read_details(
    conversation: Conversation, index: int, role: str, message: object, content: object
) -> None:
    name = _field(message, "name")
    reasoning = _reasoning(message, content) if role == "assistant" else ""
    if reasoning or (name and isinstance(name, str)):
        extra = conversation.extras.get(index, Extra())
        name = name if isinstance(name, str) else None
        conversation.extras[index] = replace(extra, name=name, reasoning=reasoning)


def _reasoning(message: object, content: object) -> str:
    """Return the reasoning of an assistant's message, from wherever servers and LangChain put it.

    OpenAI-style messages have a key for it, LangChain's have blocks or additional fields.
    """
    blocks = content if isinstance(content, (list, tuple)) else ()
    hidden = [b for b in blocks if isinstance(b, Mapping) and block_type(b) in _HIDDEN_BLOCKS]
    found = [block.get(key) for block in hidden for key in _REASONING_KEYS]
    texts = [text for text in found if isinstance(text, str)]
    if texts:
        return "".join(texts)
    source = message if isinstance(message, Mapping) else _field(message, "additional_kwargs")
    if isinstance(source, Mapping):
        for key in _REASONING_KEYS:
            text = source.get(key)
            if isinstance(text, str) and text:
                return text
    return ""


def _call(call: object) -> ToolCall:
    """Read a call in LangChain's format (`name`, `args`) or OpenAI's (`function` with both)."""
    inner = _field(call, "function") or call
    arguments = _field(inner, "args")
    if arguments is None:
        arguments = _field(inner, "arguments")
    name = str(_field(inner, "name") or "")
    if isinstance(arguments, str):
        arguments = _parse_arguments(arguments)
    elif problem := _problem_of(arguments):
        raise PromptError(f"The arguments of the call of {name[:100]!r} {problem}.")
    call_id = _field(call, "id")
    return ToolCall(name, arguments, call_id if isinstance(call_id, str) else None)


def _parse_arguments(text: str) -> object:
    """Parse a call's arguments; a model's invalid JSON is kept as it is."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if _problem_of(value) else value


_MAX_DEPTH = 100
_KEY_TYPES = (str, int, float, type(None))


def _problem_of(value: object) -> str | None:
    """Return why a value cannot be written as JSON, where `default=str` does not help."""
    left = [(value, 0)]
    while left:
        part, depth = left.pop()
        if depth > _MAX_DEPTH:
            return f"are nested more than {_MAX_DEPTH} deep"
        if isinstance(part, Mapping):
            if not all(isinstance(key, _KEY_TYPES) for key in part):
                return "have a key that JSON cannot have"
            left += [(inner, depth + 1) for inner in part.values()]
        elif isinstance(part, (list, tuple)):
            left += [(inner, depth + 1) for inner in part]
    return None


def escaped(conversation: Conversation, escape: Callable[[str], str]) -> Conversation:
    extras = {index: _escaped_extra(extra, escape) for index, extra in conversation.extras.items()}
    return Conversation(conversation.roles, [escape(text) for text in conversation.texts], extras)


def escaped_values(value: object, escape: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, Mapping):
        return {
            _escaped_key(key, escape): escaped_values(item, escape) for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [escaped_values(item, escape) for item in value]
    return value


def _escaped_key(key: object, escape: Callable[[str], str]) -> object:
    """Escape a name that a template may write into a tag, whose `>` could complete a token."""
    if not isinstance(key, str):
        return escaped_values(key, escape)
    return escape(f"{key}>").removesuffix(">")


def _escaped_extra(extra: Extra, escape: Callable[[str], str]) -> Extra:
    def optional(text: str | None) -> str | None:
        return escape(text) if text else text

    calls = [
        ToolCall(
            str(_escaped_key(call.name, escape)),
            escaped_values(call.arguments, escape),
            optional(call.id),
        )
        for call in extra.calls
    ]
    return Extra(
        tuple(calls), optional(extra.name), optional(extra.call_id), escape(extra.reasoning)
    )
