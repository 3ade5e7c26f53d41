"""The template of a model family, as data."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from .conversation import Conversation, ToolCall
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


CallWriter = Callable[[str, Sequence[ToolCall]], str]
"""Writes an assistant message that makes calls: its text and the calls, as one text."""


@dataclass(frozen=True, slots=True)
class CallForm:
    """How a template writes the tool calls of an assistant message, each as a JSON object."""

    before: str
    arguments: str  # the JSON key of the arguments, beside `name`
    after: str

    def __call__(self, text: str, calls: Sequence[ToolCall]) -> str:
        written = text
        for call in calls:
            value = dump({"name": call.name, self.arguments: call.arguments})
            written += f"{self.before}{value}{self.after}"
        return written if text else written.removeprefix("\n")


def dump(value: object) -> str:
    """Write JSON as chat templates do."""
    return json.dumps(value, ensure_ascii=False, default=str)


def text_or_json(value: object) -> str:
    """Write a text as it is, such as arguments that could not be read, and the rest as JSON."""
    return value if isinstance(value, str) else dump(value)


@dataclass(frozen=True, slots=True)
class ToolForm:
    """A template's own syntax for tools."""

    turns: Mapping[str, RoleTemplate]  # of `tools` (descriptions), `calls` and `tool` (results)
    # Of the system message at the start, where it differs.
    system_template: RoleTemplate | None = None
    space: str = " "  # between a special token and the JSON that follows it


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What a template is given beside the conversation."""

    answer: bool = True  # whether the assistant's answer is opened at the end
    thinking: bool | None = None  # None where the template decides
    reasoning_effort: str | None = None
    date: str = ""  # as the template writes it
    tools: Sequence[Mapping[str, object]] = ()  # in OpenAI's shape, where it describes them itself


TemplateWriter = Callable[[Conversation, RenderOptions], str]
"""A template as a function. Special tokens in the conversation are escaped already."""

NO_TOKENS = SpecialTokens(())


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
    # `"turn"`: it is a turn of its own.
    system_in: Literal["first", "last", "nowhere", "turn"] = "first"
    system_block: tuple[str, str] = ("", "\n\n")
    trim_block: bool = False  # the first user message together with the system text
    system_first: bool = False  # a system message only at the start
    # Texts after even and odd messages, where position decides and not the role; the default
    # system text comes first, and the last system message replaces it.
    separators: tuple[str, str] | None = None
    strip_start: bool = False  # whitespace at the start of the prompt
    calls: CallWriter | None = None
    lone_call: bool = False  # a message makes one call only, and has no text beside it
    tool_gap: str | None = None  # between neighbouring tool messages, which it writes as one
    tool_format: str = "react"  # that the models know
    tool_form: ToolForm | None = None
    markup: SpecialTokens = NO_TOKENS  # tags that users and tools must not forge, but others write
    # The template as a function, where no table can express it; it writes all that follows `start`,
    # and `turns` may be empty.
    writer: TemplateWriter | None = None
    roles: frozenset[str] = frozenset()  # the roles that it accepts beside those of `turns`
    writes_calls: bool = False  # whether it writes tool calls itself
    writes_tools: bool = False  # whether it describes tools itself
    one_call: bool = False  # a message makes one call only
    result_after_call: bool = False  # a tool's result only after a call
    writes_details: bool = False  # whether it writes reasoning, or names of speakers
    one_system: bool = False  # whether it leaves out system messages other than the first
    joins_system: bool = False  # whether an assistant's text may stand behind system text itself
    answer_after_system: bool = True  # whether it opens an answer after a system message alone
    # What `render` may switch. `{date}` in a default system text, and before the system text,
    # stands for the date.
    thinking: bool = False  # whether there is a switch for thinking
    thinking_system: str | None = None  # the default system text where the model is to think
    efforts: tuple[str, ...] = ()  # of reasoning, that may be chosen
    date_format: str = ""  # as in `strftime`
    fixed_date: str = ""  # the date where none is given, if it is not the day's

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
            lone_call=False,
            strict_alternation=False,
        )

    @cached_property
    def known(self) -> frozenset[str]:
        """The roles that the template accepts anywhere."""
        return frozenset(self.turns) | self.ignored_roles | self.roles

    @cached_property
    def switches(self) -> frozenset[str]:
        """The parameters of `render` that the template has a switch for."""
        found = {"thinking": self.thinking, "reasoning_effort": self.efforts}
        found["date"] = bool(self.date_format)
        return frozenset({name for name, has in found.items() if has})

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
