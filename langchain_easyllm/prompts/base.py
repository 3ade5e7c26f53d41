"""What every prompt is: a name, its stops, its BOS and `render`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

__all__ = ["ChatPrompt", "PromptError", "RoleMode", "TokenMode"]

RoleMode = Literal["fold", "strict"]
"""What to do with a conversation that the template cannot express: retell it, or raise."""

TokenMode = Literal["escape", "allow", "error"]
"""What to do with control tokens of the template inside message content."""


class PromptError(ValueError):
    """A conversation, a template or a name that no prompt can be made of."""


@dataclass(frozen=True)
class ChatPrompt(ABC):
    """Turns a conversation into the one string that a text API is sent.

    Attributes:
        name: What the prompt is called, for messages and for `get_prompt`.
        stop: Texts that end the model's answer; they are added to every request.
        bos: The begin-of-sequence token that the rendered string starts with, or None. A server
            that tokenizes a raw prompt adds its own, so one of the two has to go.
    """

    name: str
    stop: tuple[str, ...] = ()
    bos: str | None = None

    @abstractmethod
    def render(
        self,
        messages: object,
        *,
        add_generation_prompt: bool = True,
        roles: RoleMode = "fold",
        special_tokens: TokenMode = "escape",
    ) -> str:
        """Render a conversation.

        Args:
            messages: A string (one user turn), or a list of LangChain messages, `(role, text)`
                pairs or role/content dicts.
            add_generation_prompt: Whether to open the assistant's answer at the end.
            roles: `"fold"` (default) retells what the template cannot express; `"strict"` raises.
            special_tokens: `"escape"` (default) neutralises the template's control tokens inside
                message content, `"allow"` leaves them, `"error"` raises.

        Returns:
            The prompt.

        Raises:
            PromptError: If the conversation is empty, holds an unknown role or content that is not
                text, or cannot be rendered in the chosen modes.
        """

    def __call__(self, messages: object) -> str:
        """Render with the defaults, so that a prompt works wherever a builder function does."""
        return self.render(messages)
