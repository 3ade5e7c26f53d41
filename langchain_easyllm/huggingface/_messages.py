"""Chat messages as EasyLLM's prompt builders and the servers' chat apis take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import ConfigurationError

__all__ = ["ChatMessage", "to_messages"]

_ROLES = ("assistant", "developer", "function", "system", "tool", "user")


class ChatMessage(dict[str, object]):
    """A message that builders written for EasyLLM read by attribute, and others as a dict."""

    @property
    def role(self) -> object:
        """Who speaks."""
        return self["role"]

    @property
    def content(self) -> object:
        """What is said."""
        return self["content"]


def to_messages(messages: object) -> list[ChatMessage]:
    """Return a conversation as messages of one form.

    Raises:
        ConfigurationError: If it is none, or says nothing.
    """
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence):
        raise ConfigurationError(
            "messages is a list of {'role': ..., 'content': ...}, not "
            f"{type(messages).__name__}; Completion.create(prompt=...) takes plain text."
        )
    if not messages:
        raise ConfigurationError("There are no messages: send one at least.")
    converted = [_to_message(place, message) for place, message in enumerate(messages)]
    if not any(message.content for message in converted):
        raise ConfigurationError("Every message is empty: send some text.")
    return converted


def _to_message(place: int, message: object) -> ChatMessage:
    if isinstance(message, Mapping):
        found = ChatMessage({"role": None, "content": None, **message})
    else:
        role, content = getattr(message, "role", None), getattr(message, "content", None)
        found = ChatMessage(role=role, content=content)
    if found.role not in _ROLES:
        raise ConfigurationError(
            f"Message {place} has the unknown role {found.role!r}: use {', '.join(_ROLES)}."
        )
    if not isinstance(found.content, str | Sequence | None):
        raise ConfigurationError(
            f"Message {place} has content of type {type(found.content).__name__}: give a text."
        )
    return found
