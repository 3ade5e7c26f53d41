"""What a model family's template is, as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from .special_tokens import SpecialTokens

__all__ = ["CallForm", "ChatTemplateSpec", "RoleTemplate", "ToolForm"]


@dataclass(frozen=True, slots=True)
class RoleTemplate:
    """How one role's messages are written.

    Attributes:
        before: Text before the content.
        after: Text after it.
        trim: Whether whitespace around the content is cut, as Python's `str.strip` does it.
        as_json: Whether the content is written as a JSON string.
        skip_empty: Whether a message without content is left out.
    """

    before: str
    after: str
    trim: bool = False
    as_json: bool = False
    skip_empty: bool = False

    def write(self, text: str) -> str:
        """Write one message of this role.

        Args:
            text: Its content.

        Returns:
            The content as the template writes it.
        """
        if self.trim:
            text = text.strip()
        if self.skip_empty and not text:
            return ""
        if self.as_json:
            text = json.dumps(text, ensure_ascii=False)
        return f"{self.before}{text}{self.after}"


@dataclass(frozen=True, slots=True)
class CallForm:
    """How a template writes the tool calls of an assistant message.

    Attributes:
        before: Text before each call.
        arguments: The JSON key of a call's arguments, beside `name`.
        after: Text after each call.
        alone: Whether it can only write one call, with no text beside it.
    """

    before: str
    arguments: str
    after: str
    alone: bool = False


@dataclass(frozen=True, slots=True)
class ToolForm:
    """What a template has of its own for tools.

    Attributes:
        turns: How descriptions (`tools`), an assistant's calls (`calls`) and results (`tool`) are
            written, as far as it has forms for them.
        lead: How the system message at the start is written beside tools; None for no difference.
        space: What stands between a control token and the JSON that it announces.
    """

    turns: Mapping[str, RoleTemplate]
    lead: RoleTemplate | None = None
    space: str = " "


@dataclass(frozen=True, kw_only=True)
class ChatTemplateSpec:
    """The template of one model family.

    Attributes:
        name: The family's name.
        turns: How each role is written.
        control: Control tokens of the template and its tokenizer.
        stop: Texts that end an answer.
        bos: The BOS that the template writes, or None.
        start: Text at the very start.
        answer: Text that opens the assistant's answer at the end.
        end: Text at the end where no answer is opened.
        lead: How a system message at the start is written, where it differs from `turns`.
        default_system: System text of the template's own, used where none is given; None for none.
        positional: Whether users have to speak at even positions, others at odd ones.
        dropped: Roles that a positional template accepts at odd positions and does not write.
        system_in: Where the text of a leading system message goes in a positional template.
        system_block: Texts around it there.
        trim_block: Whether the first user turn is trimmed together with the system text.
        system_first: Whether a system message may stand only at the start.
        separators: Texts after even and odd turns, where position decides and not the role; the
            default system text comes first, and the last system message replaces it.
        strip_start: Whether whitespace at the start of the prompt is cut.
        calls: How tool calls are written; None where the template has no form for them.
        tool_gap: Text between tool messages that follow each other in one turn; None for a turn
            of its own for each.
        tool_format: Name of the tool-call format that the models know.
        tool_form: Its own way to write that format; None where it is written in plain turns.
    """

    name: str
    turns: Mapping[str, RoleTemplate]
    control: SpecialTokens
    stop: tuple[str, ...]
    bos: str | None = None
    start: str = ""
    answer: str = ""
    end: str = ""
    lead: RoleTemplate | None = None
    default_system: str | None = None
    positional: bool = False
    dropped: frozenset[str] = frozenset()
    system_in: Literal["first", "last", "nowhere"] = "first"
    system_block: tuple[str, str] = ("", "\n\n")
    trim_block: bool = False
    system_first: bool = False
    separators: tuple[str, str] | None = None
    strip_start: bool = False
    calls: CallForm | None = None
    tool_gap: str | None = None
    tool_format: str = "react"
    tool_form: ToolForm | None = None

    @cached_property
    def with_tools(self) -> ChatTemplateSpec:
        """The same family with its own forms for tools, where users need not take turns."""
        form = self.tool_form
        if form is None:
            return self
        lead = form.lead or self.lead
        return replace(
            self, turns={**self.turns, **form.turns}, lead=lead, calls=None, positional=False
        )

    @cached_property
    def known(self) -> frozenset[str]:
        """The roles that the template accepts somewhere."""
        return frozenset(self.turns) | self.dropped

    @cached_property
    def line_roles(self) -> frozenset[str]:
        """Roles whose content stands at the start of a line."""
        turns = self.turns.items()
        return frozenset({r for r, t in turns if not t.before or t.before.endswith("\n")})

    @cached_property
    def around(self) -> dict[str, tuple[str, str, bool]] | None:
        """Texts around each role's content and whether it is trimmed; None where more is done."""
        turns = self.turns
        if any(turn.as_json or turn.skip_empty for turn in turns.values()):
            return None
        return {role: (turn.before, turn.after, turn.trim) for role, turn in turns.items()}
