"""Tools on the chat protocol: how a request offers them, on each server.

The choice of a tool takes one of four forms: the model decides (`auto`), none, one at least
(`required`), or one by its name. A server that lacks a form is told the same thing in another one.
Sources: the OpenAPI document and the sources of Text Generation Inference 3, vLLM, llama.cpp,
llama-cpp-python and `transformers serve`, and OpenAI's API reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import cast

from .._servers.profile import Dialect, ServerInfo
from ..errors import ConfigurationError
from .request import Message, ProtocolRequest, Tool, ToolChoice

__all__ = [
    "CHOICES",
    "Form",
    "can_offer",
    "has_native_form",
    "to_tool_fields",
    "to_tool_messages",
    "tool_name",
]


class Form(StrEnum):
    """What a choice of tool says."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


_ALL = frozenset(Form)

CHOICES: Mapping[Dialect, frozenset[Form]] = MappingProxyType(
    {
        Dialect.TGI: _ALL,
        Dialect.VLLM: _ALL,
        # It reads a word only: a name is said by offering one tool and requiring a call.
        Dialect.LLAMA_CPP: _ALL - {Form.NAMED},
        # It constrains decoding for a named tool only.
        Dialect.LLAMA_CPP_PYTHON: _ALL - {Form.REQUIRED},
        # It refuses `tool_choice`: what it does is `auto` with tools and `none` without.
        Dialect.TRANSFORMERS: frozenset(),
        Dialect.ROUTER: _ALL,
        Dialect.OPENAI: _ALL,
    }
)
"""Forms of `tool_choice` that each server has."""

# Servers that are told whether calls may be parallel. The others ignore or refuse the key; that
# only one call counts is enforced here in any case.
_PARALLEL = frozenset({Dialect.VLLM, Dialect.LLAMA_CPP, Dialect.ROUTER, Dialect.OPENAI})


def tool_name(tool: Tool) -> str:
    """Return the name of a tool, or of a choice that names one, in OpenAI's shape."""
    return cast("Mapping[str, str]", tool["function"])["name"]


def has_native_form(choice: ToolChoice | None, tools: Sequence[Tool], dialect: Dialect) -> bool:
    """Whether a server can be told a choice among these tools, in whatever form."""
    forms = CHOICES[dialect]
    form = _form(choice)
    if form in forms or form in (Form.AUTO, Form.NONE):
        return True
    if form is Form.NAMED:
        return Form.REQUIRED in forms
    return Form.NAMED in forms and len(tools) == 1


def can_offer(tool: Tool, dialect: Dialect) -> bool:
    """Whether a server can be told a tool with its schema."""
    try:
        _to_tool(tool, dialect)
    except ConfigurationError:
        return False
    return True


def to_tool_fields(call: ProtocolRequest, server: ServerInfo) -> dict[str, object]:
    """Return the keys of a chat request that offer its tools.

    Raises:
        ConfigurationError: If the server cannot be told the choice, or a tool's schema.
    """
    dialect = server.dialect
    tools, choice = _as_told(call, dialect)
    if not tools:
        return {}
    fields: dict[str, object] = {"tools": [_to_tool(tool, dialect) for tool in tools]}
    if choice is not None:
        fields["tool_choice"] = choice
    if call.parallel_tool_calls is not None and dialect in _PARALLEL:
        fields["parallel_tool_calls"] = call.parallel_tool_calls
    return fields


def _form(choice: ToolChoice | None) -> Form:
    if choice is None:
        return Form.AUTO
    return Form(choice) if isinstance(choice, str) else Form.NAMED


def _as_told(call: ProtocolRequest, dialect: Dialect) -> tuple[Sequence[Tool], ToolChoice | None]:
    """Return the tools to offer and the choice among them in a form that the server has."""
    tools, choice, forms = call.tools, call.tool_choice, CHOICES[dialect]
    form = _form(choice)
    if choice is None or form in forms:
        return tools, choice
    if form is Form.AUTO:
        return tools, None
    if form is Form.NONE:
        return (), None
    if not has_native_form(choice, tools, dialect):
        raise ConfigurationError(_unforced(form, dialect))
    if form is Form.NAMED:
        named = tool_name(cast("Tool", choice))
        return [tool for tool in tools if tool_name(tool) == named], Form.REQUIRED.value
    return tools, {"type": "function", "function": {"name": tool_name(tools[0])}}


def _unforced(form: Form, dialect: Dialect) -> str:
    one = Form.NAMED in CHOICES[dialect]
    instead = "name one tool, or offer one only" if one else "leave tool_choice at 'auto'"
    return (
        f"tool_choice cannot force a call ({form.value}) on this server ({dialect.value}), which "
        f"leaves it to the model: {instead}."
    )


def _to_tool(tool: Tool, dialect: Dialect) -> Tool:
    function = cast("Mapping[str, object]", tool["function"])
    if function.get("strict") and dialect is Dialect.TRANSFORMERS:
        raise ConfigurationError(
            f"strict cannot be expressed on this server ({dialect.value}), which does not "
            "constrain arguments: leave it out."
        )
    parameters = function.get("parameters")
    if dialect is not Dialect.TGI or not isinstance(parameters, Mapping):
        return tool
    # Its grammar takes a tool's properties without the definitions that they refer to.
    inlined = _inline(parameters, parameters, (), tool_name(tool))
    return {**tool, "function": {**function, "parameters": inlined}}


_DEFINITIONS = ("$defs", "definitions")


def _inline(value: object, root: Mapping[str, object], above: tuple[str, ...], name: str) -> object:
    """Return a schema with what it refers to in place."""
    if isinstance(value, list):
        return [_inline(item, root, above, name) for item in value]
    if not isinstance(value, Mapping):
        return value
    place = value.get("$ref")
    if isinstance(place, str):
        if place in above:
            raise ConfigurationError(
                f"The schema of tool {name!r} refers to itself ({place}), which this server (tgi) "
                "cannot hold: flatten it."
            )
        found = _inline(_resolve(place, root, name), root, (*above, place), name)
        beside = {k: _inline(v, root, above, name) for k, v in value.items() if k != "$ref"}
        return {**found, **beside} if isinstance(found, dict) else found
    return {
        key: _inline(item, root, above, name)
        for key, item in value.items()
        if not (value is root and key in _DEFINITIONS)
    }


def _resolve(place: str, root: Mapping[str, object], name: str) -> object:
    found: object = root
    for part in place.removeprefix("#/").split("/"):
        found = found.get(part.replace("~1", "/")) if isinstance(found, Mapping) else None
    if found is None:
        raise ConfigurationError(
            f"The schema of tool {name!r} refers to {place!r}, which is not in it: add it to $defs."
        )
    return found


# Servers that take content blocks in an answer of a tool; elsewhere it has to be text.
_BLOCKS_IN_TOOLS = frozenset({Dialect.TGI, Dialect.VLLM, Dialect.LLAMA_CPP, Dialect.TRANSFORMERS})


def to_tool_messages(messages: Sequence[Message], dialect: Dialect) -> Sequence[Message]:
    """Return a conversation with its calls and their answers as a server wants them.

    Images in an answer of a tool become a user message of their own, after the answers that belong
    together, where the server takes text only there. TGI reads a message as text or as calls,
    never as both, and llama-cpp-python wants a text beside calls, be it empty.
    """
    if not any(message.get("tool_calls") or message["role"] == "tool" for message in messages):
        return messages
    told: list[Message] = []
    moved: list[object] = []
    for message in messages:
        if moved and message.get("role") != "tool":
            told.append({"role": "user", "content": [*moved]})
            moved.clear()
        if message.get("role") == "tool" and dialect not in _BLOCKS_IN_TOOLS:
            message, blocks = _text_only(message)  # noqa: PLW2901 - the same message, told anew
            moved += blocks
        if dialect is Dialect.LLAMA_CPP_PYTHON and message.get("content") is None:
            message = {**message, "content": ""}  # noqa: PLW2901 - as above
        told += _apart(message) if dialect is Dialect.TGI else (message,)
    if moved:
        told.append({"role": "user", "content": moved})
    return told


def _text_only(message: Message) -> tuple[Message, list[object]]:
    content = message.get("content")
    if not isinstance(content, list):
        return message, []
    blocks = cast("list[Mapping[str, object]]", content)
    texts = [str(block["text"]) for block in blocks if block.get("type") == "text"]
    rest: list[object] = [block for block in blocks if block.get("type") != "text"]
    text = "\n".join(texts) or "The answer follows."
    return {**message, "content": text}, rest


def _apart(message: Message) -> Iterator[Message]:
    calls = message.get("tool_calls")
    if not calls:
        yield message
        return
    if message.get("content"):
        yield {key: value for key, value in message.items() if key != "tool_calls"}
    yield {key: value for key, value in message.items() if key != "content"}
