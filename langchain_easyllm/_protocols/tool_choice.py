"""Tools on the chat protocol: how a request offers them, on each server.

Where a server lacks a form of `tool_choice`, the same thing is expressed in another form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from .._servers.profile import ServerInfo, ServerProfile, ToolChoiceForm
from ..errors import ConfigurationError
from .request import Message, ProtocolRequest, Tool, ToolChoice

__all__ = [
    "can_offer",
    "has_native_form",
    "to_tool_fields",
    "to_tool_messages",
    "tool_name",
]


def tool_name(tool: Tool) -> str:
    """Return the name of a tool, or of a choice that names one, in OpenAI's shape."""
    return cast("Mapping[str, str]", tool["function"])["name"]


def has_native_form(
    choice: ToolChoice | None, tools: Sequence[Tool], profile: ServerProfile
) -> bool:
    """Whether a server can express a choice among these tools, in whatever form."""
    forms = profile.tool_choices
    form = _form(choice)
    if form in forms or form in (ToolChoiceForm.AUTO, ToolChoiceForm.NONE):
        return True
    if form is ToolChoiceForm.NAMED:
        return ToolChoiceForm.REQUIRED in forms
    return ToolChoiceForm.NAMED in forms and len(tools) == 1


def can_offer(tool: Tool, profile: ServerProfile) -> bool:
    """Whether a server can express a tool with its schema."""
    try:
        _to_tool(tool, profile)
    except ConfigurationError:
        return False
    return True


def to_tool_fields(request: ProtocolRequest, server: ServerInfo) -> dict[str, object]:
    """Return the keys of a chat request that offer its tools.

    Raises:
        ConfigurationError: If the server cannot express the choice, or a tool's schema.
    """
    profile = server.profile
    tools, choice = _translated(request, profile)
    if not tools:
        return {}
    fields: dict[str, object] = {"tools": [_to_tool(tool, profile) for tool in tools]}
    if choice is not None:
        fields["tool_choice"] = choice
    if request.parallel_tool_calls is not None and profile.parallel_tool_calls:
        fields["parallel_tool_calls"] = request.parallel_tool_calls
    return fields


def _form(choice: ToolChoice | None) -> ToolChoiceForm:
    if choice is None:
        return ToolChoiceForm.AUTO
    return ToolChoiceForm(choice) if isinstance(choice, str) else ToolChoiceForm.NAMED


def _translated(
    request: ProtocolRequest, profile: ServerProfile
) -> tuple[Sequence[Tool], ToolChoice | None]:
    """Return the tools to offer and the choice among them in a form that the server has."""
    tools, choice, forms = request.tools, request.tool_choice, profile.tool_choices
    form = _form(choice)
    if choice is None or form in forms:
        return tools, choice
    if form is ToolChoiceForm.AUTO:
        return tools, None
    if form is ToolChoiceForm.NONE:
        return (), None
    if not has_native_form(choice, tools, profile):
        raise ConfigurationError(_unforced(form, profile))
    if form is ToolChoiceForm.NAMED:
        named = tool_name(cast("Tool", choice))
        return [tool for tool in tools if tool_name(tool) == named], ToolChoiceForm.REQUIRED.value
    return tools, {"type": "function", "function": {"name": tool_name(tools[0])}}


def _unforced(form: ToolChoiceForm, profile: ServerProfile) -> str:
    one = ToolChoiceForm.NAMED in profile.tool_choices
    instead = "name one tool, or offer one only" if one else "leave tool_choice at 'auto'"
    return (
        f"tool_choice cannot force a call ({form.value}) on this server ({profile.name}), which "
        f"leaves it to the model: {instead}."
    )


def _to_tool(tool: Tool, profile: ServerProfile) -> Tool:
    function = cast("Mapping[str, object]", tool["function"])
    if function.get("strict") and not profile.strict_tools:
        raise ConfigurationError(
            f"strict cannot be expressed on this server ({profile.name}), which does not "
            "constrain arguments: leave it out."
        )
    parameters = function.get("parameters")
    if not profile.inlines_refs or not isinstance(parameters, Mapping):
        return tool
    inlined = _inline(parameters, parameters, (), tool_name(tool))
    return {**tool, "function": {**function, "parameters": inlined}}


_DEFINITIONS = ("$defs", "definitions")


def _inline(value: object, root: Mapping[str, object], above: tuple[str, ...], name: str) -> object:
    """Return a schema with what it refers to in path."""
    if isinstance(value, list):
        return [_inline(item, root, above, name) for item in value]
    if not isinstance(value, Mapping):
        return value
    path = value.get("$ref")
    if isinstance(path, str):
        if path in above:
            raise ConfigurationError(
                f"The schema of tool {name!r} refers to itself ({path}), which this server (tgi) "
                "cannot hold: flatten it."
            )
        found = _inline(_resolve(path, root, name), root, (*above, path), name)
        siblings = {k: _inline(v, root, above, name) for k, v in value.items() if k != "$ref"}
        return {**found, **siblings} if isinstance(found, dict) else found
    return {
        key: _inline(item, root, above, name)
        for key, item in value.items()
        if not (value is root and key in _DEFINITIONS)
    }


def _resolve(path: str, root: Mapping[str, object], name: str) -> object:
    found: object = root
    for part in path.removeprefix("#/").split("/"):
        found = found.get(part.replace("~1", "/")) if isinstance(found, Mapping) else None
    if found is None:
        raise ConfigurationError(
            f"The schema of tool {name!r} refers to {path!r}, which is not in it: add it to $defs."
        )
    return found


def to_tool_messages(messages: Sequence[Message], profile: ServerProfile) -> Sequence[Message]:
    """Return a conversation with its calls and tool messages as a server wants them.

    Where tool messages may hold text only, their images become a user message of their own after
    the tool messages that belong together.
    """
    if not any(message.get("tool_calls") or message["role"] == "tool" for message in messages):
        return messages
    translated: list[Message] = []
    moved: list[object] = []
    for message in messages:
        if moved and message.get("role") != "tool":
            translated.append({"role": "user", "content": [*moved]})
            moved.clear()
        if message.get("role") == "tool" and not profile.blocks_in_tool_messages:
            message, blocks = _text_only(message)  # noqa: PLW2901 - the same message, rewritten
            moved += blocks
        if profile.text_with_calls and message.get("content") is None:
            message = {**message, "content": ""}  # noqa: PLW2901 - as above
        translated += _apart(message) if profile.splits_text_and_calls else (message,)
    if moved:
        translated.append({"role": "user", "content": moved})
    return translated


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
