"""Chats rendered here as their server renders them, by the template that it publishes.

A rendering is used in the server's place once the two were found equal for a conversation of the
same shape: the roles that it has, those at its ends, and whether one stands twice in a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

from .._protocols.reasoning import CLOSE, OPEN
from .._servers.capabilities import ServerCapabilities
from ..errors import EasyLLMError
from .prefill import MARK
from .prompt import published_template

_Json = Mapping[str, object]
_PLAIN_KEYS = frozenset({"role", "content"})
_PLAIN_ROLES = frozenset({"system", "user", "assistant"})
# Keys of a body on which the prompt may depend, whatever the server.
_OTHER_KEYS = frozenset({"tools", "chat_template_kwargs", "response_format", "documents"})


class LocalRendering(NamedTuple):
    """One conversation, rendered here."""

    key: tuple[object, ...]  # the model, and the shape of the conversation
    texts: tuple[str, ...]  # what the server may make of it: with a BOS and without

    def verified(self, capabilities: ServerCapabilities) -> str | None:
        """Return what the server would make of the conversation; None if that is not known."""
        which = capabilities.rendered_alike.get(self.key)
        return None if which is None else self.texts[which]

    def verify(self, prompt: str, capabilities: ServerCapabilities) -> None:
        """Note what the server made of the conversation."""
        which = self.texts.index(prompt) if prompt in self.texts else None
        capabilities.rendered_alike.setdefault(self.key, which)


def render_here(body: _Json, name: str, published: _Json) -> LocalRendering | None:
    """Render a chat request's body; None if it holds more than plain texts, or if that fails."""
    messages = cast("Sequence[_Json]", body["messages"])
    if not _OTHER_KEYS.isdisjoint(body) or not all(map(_is_plain, messages)):
        return None
    roles = [str(message["role"]) for message in messages]
    continues = bool(body.get("continue_final_message"))
    if continues:
        last = messages[-1]
        messages = [*messages[:-1], {**last, "content": f"{last['content']}{MARK} "}]
    try:
        template = published_template(published)
        if template is None:
            return None
        text = template.render(
            messages,
            add_generation_prompt=not continues,
            roles="strict",
            special_tokens="allow",
        )
    except EasyLLMError:
        return None
    if continues:
        text, _, after = text.rpartition(MARK)
        text = text if after[:1] == " " else text.rstrip()
    repeats = any(one == other for one, other in pairwise(roles))
    late = "system" in roles[1:]
    key = (name, roles[0], roles[-1], frozenset(roles), repeats, late, continues)
    return LocalRendering(key, (text, text.removeprefix(template.bos or "")))


def _is_plain(message: _Json) -> bool:
    text = message.get("content")
    if message.keys() != _PLAIN_KEYS or not isinstance(text, str) or not text.strip():
        return False
    return message["role"] in _PLAIN_ROLES and OPEN not in text and CLOSE not in text
