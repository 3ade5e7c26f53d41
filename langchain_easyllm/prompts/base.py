"""The base class of prompts."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, TypedDict, Unpack

if TYPE_CHECKING:
    from .conversation import Conversation

RoleMode = Literal["fold", "strict"]
"""What to do with a conversation that the template cannot express: normalize it, or raise."""

TokenMode = Literal["escape", "allow", "error"]
"""What to do with special tokens of the template inside message content."""


class Switches(TypedDict, total=False):
    """What `ChatPrompt.render` passes on to a template that has a switch for it."""

    thinking: bool | None
    reasoning_effort: str | None
    date: dt.date | str | None


@dataclass(frozen=True, slots=True)
class TemplateToolSupport:
    """What a template has for tools."""

    tool_format: str = "react"  # name of the tool-call format that its models know
    # Roles that it has a form of its own for: `tools` (descriptions), `calls` (an assistant message
    # that makes calls) and `tool` (a result). The template writes the role and its end, the format
    # what is between them, with its own tags; in Kimi K2 and gpt-oss that is a part of the role.
    forms: frozenset[str] = frozenset()
    space: str = " "  # between a special token and the JSON that it announces
    default_system: str | None = None  # system text of the template's own
    template: str = ""  # source of one that may write tools itself: its format is found by it
    # Whether it writes calls and results itself, in `tool_format`, and descriptions too.
    writes_calls: bool = False
    writes_tools: bool = False


@dataclass(frozen=True)
class ChatPrompt(ABC):
    """Turns a conversation into the one string that a text API is sent.

    Attributes:
        name: The prompt's name, for error messages and for `get_prompt`.
        stop: Stop sequences, which are added to every request.
        bos: The begin-of-sequence token that the rendered string starts with, or None. A server
            that tokenizes a raw prompt adds its own, so one of the two must be removed.
        adds_bos: Whether the model's tokenizer adds that token to a raw prompt; None, the default,
            if that is not known: then it is taken to add it, unless it opens every turn.
    """

    name: str
    stop: tuple[str, ...] = ()
    bos: str | None = None
    adds_bos: bool | None = field(default=None, kw_only=True)

    may_block: ClassVar[bool] = False
    """Whether rendering may take long, so that an event loop must not wait for it."""

    @abstractmethod
    def render(
        self,
        messages: object,
        *,
        add_generation_prompt: bool = True,
        roles: RoleMode = "fold",
        special_tokens: TokenMode = "escape",
        thinking: bool | None = None,
        reasoning_effort: str | None = None,
        date: dt.date | str | None = None,
    ) -> str:
        """Render a conversation.

        Args:
            messages: A string (one user message), or a list of LangChain messages, `(role, text)`
                pairs or role/content dicts.
            add_generation_prompt: Whether to open the assistant's answer at the end.
            roles: `"fold"` (default) rewrites what the template cannot express (system text into a
                user message, tool messages as text, neighbours of one role merged); `"strict"`
                raises.
            special_tokens: `"escape"` (default) neutralises the template's special tokens inside
                message content, `"allow"` leaves them, `"error"` raises.
            thinking: Whether the model thinks before it answers. Default None: as the template does
                it.
            reasoning_effort: How much the model reasons, such as `"low"`. Default None: as the
                template does it.
            date: The date that the template writes, as a `date` or a text such as `"2026-02-03"`.
                Default None: today's in local time, or the template's own.

        Returns:
            The prompt.

        Raises:
            PromptError: If the conversation is empty, holds an unknown role or content that is not
                text, or cannot be rendered in the chosen modes; if `thinking`, `reasoning_effort`
                or `date` is given and the template has no switch for it (see `switches`).
        """

    @property
    def switches(self) -> frozenset[str]:
        """The names of `thinking`, `reasoning_effort` and `date`, as far as the template has them.

        By default none.
        """
        return frozenset()

    @property
    def efforts(self) -> tuple[str, ...] | None:
        """The values of `reasoning_effort` that the template has; None if it may be any.

        By default none if `switches` lacks it, else any.
        """
        return None if "reasoning_effort" in self.switches else ()

    @property
    def host(self) -> TemplateToolSupport:
        """What the template has for tools."""
        return TemplateToolSupport()

    def escape(self, text: str) -> str:
        """Put a space into the template's special tokens in a text; by default none are known."""
        return text

    def render_own_tools(
        self,
        conversation: Conversation,
        tools: Sequence[Mapping[str, object]],
        **switches: Unpack[Switches],
    ) -> str | None:
        """Render tools as the template itself does; None, the default, where it does not.

        Args:
            conversation: The conversation, escaped already.
            tools: The tools in OpenAI's shape; none where they are described in the conversation.
            switches: As for `render`.
        """
        del conversation, tools, switches
        return None

    def render_told(
        self, pairs: Sequence[tuple[str, str]], *, own_forms: bool, **switches: Unpack[Switches]
    ) -> str:
        """Render a conversation with tools that is already plain text.

        Args:
            pairs: The conversation as roles and texts, escaped already.
            own_forms: Whether it uses the roles of `TemplateToolSupport.forms`.
            switches: As for `render`.
        """
        del own_forms
        return self.render(list(pairs), special_tokens="allow", **switches)

    def __call__(self, messages: object) -> str:
        """Render with the defaults, so that a prompt works wherever a builder function does."""
        return self.render(messages)
