"""What a tool-call format is: how tools are described, called and answered, and calls read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from ..prompts import spec
from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Conversation, Extra
from ..prompts.special_tokens import SpecialTokens
from .call_syntax import AnswerReader, CallMarker, Tool, function_of, tool_name
from .json_schema import DEFINITIONS, as_mapping


@dataclass(frozen=True, slots=True)
class OfferedTools:
    """The tools of one request in OpenAI's format, and whether the answer has to call one."""

    tools: tuple[Tool, ...] = ()
    required: bool = False
    only: str | None = None  # the name of the tool that has to be called

    @property
    def callable(self) -> tuple[Tool, ...]:
        """The tools that the answer may call."""
        if self.only is None:
            return self.tools
        return tuple([tool for tool in self.tools if tool_name(tool) == self.only])

    @property
    def instruction(self) -> str:
        """The sentence that requires a call, or "" where the model is free."""
        if self.only is not None:
            return f"You must call the tool {self.only} now."
        return "You must call a tool now." if self.required else ""


Turn = tuple[str, str]
"""A role and a text, as they are rendered."""

Turns = list[Turn]


def to_turns(conversation: Conversation) -> Turns:
    return list(zip(conversation.roles, conversation.texts, strict=True))


def from_turns(turns: Turns) -> Conversation:
    return Conversation([role for role, _ in turns], [text for _, text in turns])


@dataclass(frozen=True, kw_only=True)
class ToolCallFormat(ABC):
    """One format of tool calls, in both directions."""

    name: str
    markers: tuple[CallMarker, ...] = field(repr=False)  # the more specific ones first
    trailers: tuple[str, ...] = ()  # what may follow the calls, and belongs to them
    stop: tuple[str, ...] = ()  # where the model begins to invent a result
    # texts of the format that message content must not forge
    special_tokens: SpecialTokens = field(default_factory=lambda: SpecialTokens(()), repr=False)
    template_marks: tuple[str, ...] = ()  # in a chat template that writes this format itself
    name_key: str = "name"  # the key of the tool's name in a JSON call
    arguments_key: str = "arguments"  # the key of its arguments
    final_action: str = ""  # the name of a call that stands for the answer itself, or ""

    @abstractmethod
    def render(
        self, conversation: Conversation, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> Conversation:
        """Return a conversation with tools, calls and results as one of texts, without extras.

        Its texts are escaped already; it is not changed.
        """

    @abstractmethod
    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        """Return what a required call begins with; constrained, it goes on by `schema`."""

    def schema(self, offered: OfferedTools) -> dict[str, object]:
        """Return the JSON schema of one call, to which decoding can be constrained."""
        return call_schema(offered, self.name_key, self.arguments_key)

    def is_written_by(self, template: str) -> bool:
        """Whether a chat template writes tools in this format itself."""
        marks = self.template_marks
        return bool(template and marks) and all(mark in template for mark in marks)

    def for_template(self, conversation: Conversation) -> Conversation:
        """Return a conversation as a template that writes this format itself wants it."""
        return conversation

    def new_answer_reader(self) -> AnswerReader | None:
        """Return a reader of what stands around calls; None if that is mere text."""
        return None

    def json_prefill(self, offered: OfferedTools) -> str:
        """Return how a JSON call begins, of the one tool where there is one."""
        if offered.only is None:
            return f'{{"{self.name_key}": "'
        return f'{{"{self.name_key}": {dump(offered.only)}, "{self.arguments_key}": '


class TurnToolCallFormat(ToolCallFormat):
    result_gap: ClassVar[str | None] = None  # between results in one turn; None for a turn each

    def render(
        self, conversation: Conversation, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> Conversation:
        turns: Turns = []
        after_result = False
        for index, turn in enumerate(to_turns(conversation)):
            extra = conversation.extras.get(index, Extra())
            is_result = turn[0] in ("tool", "function")
            if extra.calls:
                turns.append(self.calls_turn(turn[1], extra, support))
            elif is_result:
                role, text = self.result_turn(turn[1], extra, support)
                joined = after_result and self.result_gap is not None
                turns.append((role, f"{turns.pop()[1]}{self.result_gap}{text}" if joined else text))
            else:
                turns.append(turn)
            after_result = is_result
        if offered.tools:
            self.describe(turns, offered, support)
        return from_turns(turns)

    @abstractmethod
    def describe(
        self, turns: Turns, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> None:
        """Put the description of the tools in its place."""

    @abstractmethod
    def calls_turn(self, text: str, extra: Extra, support: TemplateToolSupport, /) -> Turn:
        """Render an assistant's message that makes calls."""

    @abstractmethod
    def result_turn(self, text: str, extra: Extra, support: TemplateToolSupport, /) -> Turn:
        """Render the result of a call."""


dump = spec.dump
"""Writes JSON as chat templates do."""


def add_to_system(turns: Turns, text: str, instruction: str, default: str | None) -> None:
    """Add texts to the system message, or give one that also has the default text."""
    given = bool(turns) and turns[0][0] == "system"
    own = turns.pop(0)[1] if given else default
    turns.insert(0, ("system", "\n\n".join(filter(None, (own, text, instruction)))))


def call_schema(offered: OfferedTools, name: str, arguments: str) -> dict[str, object]:
    """Return the schema of one call: an object with these keys for its name and arguments."""
    shared: dict[str, object] = {}
    each: list[dict[str, object]] = []
    for tool in offered.callable:
        function = function_of(tool)
        parameters = function.get("parameters") or {"type": "object", "properties": {}}
        each.append(
            {
                name: {"type": "string", "enum": [function["name"]]},
                arguments: _hoisted(parameters, f"{function['name']}.", shared),
            }
        )
    calls = [_object(properties) for properties in each]
    schema = calls[0]
    if len(calls) > 1:
        # TGI wants properties at the root, and knows no others beside them.
        names = [function_of(tool)["name"] for tool in offered.callable]
        known: dict[str, object] = {
            name: {"type": "string", "enum": names},
            arguments: {"anyOf": [properties[arguments] for properties in each]},
        }
        schema = {**_object(known), "anyOf": calls}
    return {**schema, "$defs": shared} if shared else schema


def _object(properties: Mapping[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _hoisted(schema: object, prefix: str, shared: dict[str, object]) -> object:
    """Move a schema's definitions to the root that it becomes a part of."""
    if isinstance(schema, list):
        return [_hoisted(item, prefix, shared) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    for key in DEFINITIONS:
        for name, definition in as_mapping(schema.get(key)).items():
            shared[prefix + name] = _hoisted(definition, prefix, shared)
    kept = {k: v for k, v in schema.items() if k not in DEFINITIONS or not isinstance(v, Mapping)}
    found = {key: _hoisted(value, prefix, shared) for key, value in kept.items()}
    ref = found.get("$ref")
    if isinstance(ref, str):
        for key in DEFINITIONS:
            if ref.startswith(f"#/{key}/"):
                found["$ref"] = f"#/$defs/{prefix}{ref.removeprefix(f'#/{key}/')}"
    return found
