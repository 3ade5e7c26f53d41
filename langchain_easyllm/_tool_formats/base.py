"""What a convention for tools is: how they are described, called and answered in a prompt."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Conversation, Extra, ToolCall
from ..prompts.special_tokens import SpecialTokens

__all__ = [
    "OfferedTools",
    "Told",
    "Tool",
    "ToolCallFormat",
    "TurnToolCallFormat",
    "add_to_system",
    "call_schema",
    "dump",
    "function_of",
    "wish",
]


Tool = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class OfferedTools:
    """The tools of one request, and what the model is to do with them.

    Attributes:
        tools: The tools in OpenAI's shape; none where they must not be called.
        required: Whether the answer has to be a call.
        only: Name of the one tool that it has to call, or None.
    """

    tools: tuple[Tool, ...] = ()
    required: bool = False
    only: str | None = None

    @property
    def callable(self) -> tuple[Tool, ...]:
        """The tools that the answer may call."""
        if self.only is None:
            return self.tools
        return tuple([tool for tool in self.tools if function_of(tool).get("name") == self.only])


Told = list[tuple[str, str]]
"""Roles and texts, as they are being retold."""


@dataclass(frozen=True)
class ToolCallFormat(ABC):
    """How tools are told to a model.

    Attributes:
        name: The convention's name.
        stop: Texts at which the answer ends: where the model begins to invent a result.
        control: Texts of the convention that message content must not forge.
    """

    name: str
    stop: tuple[str, ...] = ()
    control: SpecialTokens = field(default_factory=lambda: SpecialTokens(()), repr=False)

    @abstractmethod
    def tell(
        self, talk: Conversation, use: OfferedTools, host: TemplateToolSupport
    ) -> Conversation:
        """Retell a conversation with tools as one of texts.

        Args:
            talk: The conversation, its texts escaped already; it is not changed.
            use: The tools.
            host: The template.

        Returns:
            The conversation, without extras.
        """

    @abstractmethod
    def opening(self, use: OfferedTools, *, constrained: bool) -> str:
        """Return what the answer is begun with, so that it goes on as a call.

        Args:
            use: The tools, one of which has to be called.
            constrained: Whether a grammar makes the rest the whole JSON of a call.
        """

    @abstractmethod
    def schema(self, use: OfferedTools) -> dict[str, object]:
        """Return the JSON schema of what an opening is to be followed by."""


class TurnToolCallFormat(ToolCallFormat):
    """A convention in which calls and results are turns of their own."""

    def tell(
        self, talk: Conversation, use: OfferedTools, host: TemplateToolSupport
    ) -> Conversation:
        """Retell; see `Convention.tell`."""
        told: Told = []
        for index, (role, text) in enumerate(zip(talk.roles, talk.texts, strict=True)):
            extra = talk.extras.get(index, Extra())
            if extra.calls:
                self.add_calls(told, text, extra.calls, host)
            elif role in ("tool", "function"):
                self.add_result(told, text, extra, host)
            else:
                told.append((role, text))
        self.add_tools(told, use, host)
        return Conversation([role for role, _ in told], [text for _, text in told])

    @abstractmethod
    def add_tools(self, told: Told, use: OfferedTools, host: TemplateToolSupport) -> None:
        """Put the description of the tools in its place."""

    @abstractmethod
    def add_calls(
        self, told: Told, text: str, calls: Sequence[ToolCall], host: TemplateToolSupport
    ) -> None:
        """Add an assistant's turn that makes calls."""

    @abstractmethod
    def add_result(self, told: Told, text: str, extra: Extra, host: TemplateToolSupport) -> None:
        """Add what a tool answered."""


def function_of(tool: Tool) -> Mapping[str, object]:
    """Return a tool's name, description and parameters."""
    function = tool.get("function")
    return function if isinstance(function, Mapping) else tool


def dump(value: object) -> str:
    """Write JSON as chat templates do."""
    return json.dumps(value, ensure_ascii=False, default=str)


def add_to_system(told: Told, text: str, host: TemplateToolSupport) -> None:
    """Add a text to the system message, or give one that also has the template's own text."""
    given = bool(told) and told[0][0] == "system"
    own = told.pop(0)[1] if given else host.default_system
    told.insert(0, ("system", f"{own}\n\n{text}" if own else text))


def wish(use: OfferedTools) -> str:
    """Return the sentence that asks for a call, or "" where the model is free."""
    if use.only is not None:
        return f"You must call the tool {use.only} now."
    return "You must call a tool now." if use.required else ""


def call_schema(use: OfferedTools, name: str, arguments: str) -> dict[str, object]:
    """Return the schema of one call: an object of a tool's name and its arguments.

    Args:
        use: The tools.
        name: The key of the tool's name.
        arguments: The key of the arguments.
    """
    shared: dict[str, object] = {}
    each: list[dict[str, object]] = []
    for tool in use.callable:
        function = function_of(tool)
        told = function.get("parameters") or {"type": "object", "properties": {}}
        each.append(
            {
                name: {"type": "string", "enum": [function["name"]]},
                arguments: _hoisted(told, f"{function['name']}.", shared),
            }
        )
    calls = [_object(properties) for properties in each]
    schema = calls[0]
    if len(calls) > 1:
        # TGI wants properties at the root, and knows no others beside them.
        names = [function_of(tool)["name"] for tool in use.callable]
        known: dict[str, object] = {
            name: {"type": "string", "enum": names},
            arguments: {"anyOf": [properties[arguments] for properties in each]},
        }
        schema = {**_object(known), "anyOf": calls}
    return {**schema, "$defs": shared} if shared else schema


def _object(properties: Mapping[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


_DEFINITIONS = ("$defs", "definitions")


def _hoisted(schema: object, prefix: str, shared: dict[str, object]) -> object:
    """Move a schema's definitions to the root that it becomes a part of."""
    if isinstance(schema, list):
        return [_hoisted(item, prefix, shared) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    for key in _DEFINITIONS:
        for name, definition in _mapping(schema.get(key)).items():
            shared[prefix + name] = _hoisted(definition, prefix, shared)
    kept = {k: v for k, v in schema.items() if k not in _DEFINITIONS or not isinstance(v, Mapping)}
    found = {key: _hoisted(value, prefix, shared) for key, value in kept.items()}
    ref = found.get("$ref")
    if isinstance(ref, str):
        for key in _DEFINITIONS:
            if ref.startswith(f"#/{key}/"):
                found["$ref"] = f"#/$defs/{prefix}{ref.removeprefix(f'#/{key}/')}"
    return found


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
