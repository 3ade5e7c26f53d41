"""The template of a model family, as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from .special_tokens import SpecialTokens


@dataclass(frozen=True, slots=True)
class RoleTemplate:
    before: str
    after: str
    trim: bool = False  # the content, by `str.strip`
    as_json: bool = False  # the content as a JSON string
    skip_empty: bool = False

    def write(self, text: str) -> str:
        if self.trim:
            text = text.strip()
        if self.skip_empty and not text:
            return ""
        if self.as_json:
            text = json.dumps(text, ensure_ascii=False)
        return f"{self.before}{text}{self.after}"


@dataclass(frozen=True, slots=True)
class CallForm:
    """How a template writes the tool calls of an assistant message."""

    before: str
    arguments: str  # the JSON key of the arguments, beside `name`
    after: str
    alone: bool = False  # one call only, and no text beside it


@dataclass(frozen=True, slots=True)
class ToolForm:
    """A template's own syntax for tools."""

    turns: Mapping[str, RoleTemplate]  # of `tools` (descriptions), `calls` and `tool` (results)
    # Of the system message at the start, where it differs.
    system_template: RoleTemplate | None = None
    space: str = " "  # between a special token and the JSON that follows it


@dataclass(frozen=True, kw_only=True)
class ChatTemplateSpec:
    name: str
    turns: Mapping[str, RoleTemplate]
    special_tokens: SpecialTokens
    stop: tuple[str, ...]
    bos: str | None = None  # the BOS that the template writes
    start: str = ""
    answer: str = ""  # opens the assistant's answer at the end
    end: str = ""  # ends the prompt where no answer is opened
    # Of a system message at the start, where it differs.
    system_template: RoleTemplate | None = None
    default_system: str | None = None  # system text where none is given
    strict_alternation: bool = False  # users at even positions, others at odd ones
    # Roles that such a template accepts at odd positions, and does not write.
    ignored_roles: frozenset[str] = frozenset()
    # The user message that takes in the text of a system message at the start, and how.
    system_in: Literal["first", "last", "nowhere"] = "first"
    system_block: tuple[str, str] = ("", "\n\n")
    trim_block: bool = False  # the first user message together with the system text
    system_first: bool = False  # a system message only at the start
    # Texts after even and odd messages, where position decides and not the role; the default
    # system text comes first, and the last system message replaces it.
    separators: tuple[str, str] | None = None
    strip_start: bool = False  # whitespace at the start of the prompt
    calls: CallForm | None = None
    tool_gap: str | None = None  # between neighbouring tool messages, which it writes as one
    tool_format: str = "react"  # that the models know
    tool_form: ToolForm | None = None

    @cached_property
    def with_tools(self) -> ChatTemplateSpec:
        """The same family with its own syntax for tools, where roles need not alternate."""
        form = self.tool_form
        if form is None:
            return self
        return replace(
            self,
            turns={**self.turns, **form.turns},
            system_template=form.system_template or self.system_template,
            calls=None,
            strict_alternation=False,
        )

    @cached_property
    def known(self) -> frozenset[str]:
        """The roles that the template accepts anywhere."""
        return frozenset(self.turns) | self.ignored_roles

    @cached_property
    def roles_at_line_start(self) -> frozenset[str]:
        """Roles whose content is written at the start of a line."""
        turns = self.turns.items()
        return frozenset({r for r, t in turns if not t.before or t.before.endswith("\n")})

    @cached_property
    def role_affixes(self) -> dict[str, tuple[str, str, bool]] | None:
        """Each role's affixes, for speed; None where `RoleTemplate.write` is needed."""
        turns = self.turns
        if any(turn.as_json or turn.skip_empty for turn in turns.values()):
            return None
        return {role: (turn.before, turn.after, turn.trim) for role, turn in turns.items()}
