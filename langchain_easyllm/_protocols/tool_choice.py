"""Tools on the chat protocol: how a request offers them, on each server.

Where a server lacks a form of `tool_choice`, the same thing is expressed in another form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from .._servers.profile import ServerProfile, ToolChoiceForm
from .._tool_formats.call_syntax import tool_name
from .._tool_formats.json_schema import DEFINITIONS, resolve_ref
from ..errors import ConfigurationError
from .request import Message, ProtocolRequest, Tool, ToolChoice


def choose_tool(tool: Tool) -> ToolChoice:
    return {"type": "function", "function": {"name": tool_name(tool)}}


def has_native_form(
    choice: ToolChoice | None, tools: Sequence[Tool], profile: ServerProfile
) -> bool:
    """Whether a server can express a choice among these tools, in whatever form."""
    return _translated(choice, tools, profile) is not None


def can_offer(tool: Tool, profile: ServerProfile) -> bool:
    try:
        _to_tool(tool, profile)
    except ConfigurationError:
        return False
    return True


def to_tool_fields(request: ProtocolRequest, profile: ServerProfile) -> dict[str, object]:
    translated = _translated(request.tool_choice, request.tools, profile)
    if translated is None:
        raise ConfigurationError(_unforced(_form(request.tool_choice), profile))
    tools, choice = translated
    if not tools:
        return {}
    if adds_strict(request, profile):
        named = None if isinstance(choice, str) else tool_name(cast("Tool", choice))
        tools = [_strictly(tool) if named in (None, tool_name(tool)) else tool for tool in tools]
    fields: dict[str, object] = {"tools": [_to_tool(tool, profile) for tool in tools]}
    if choice is not None:
        fields["tool_choice"] = choice
    if request.parallel_tool_calls is not None and profile.parallel_tool_calls:
        fields["parallel_tool_calls"] = request.parallel_tool_calls
    return fields


def adds_strict(request: ProtocolRequest, profile: ServerProfile) -> bool:
    """Whether a forced call's tools are sent with `strict`, where the caller does not say."""
    forced = _form(request.tool_choice) in (ToolChoiceForm.REQUIRED, ToolChoiceForm.NAMED)
    excepted = request.loose_tools or request.prompted_tools
    return forced and profile.strict_on_request and not excepted


def _strictly(tool: Tool) -> Tool:
    function = cast("Mapping[str, object]", tool["function"])
    return {**tool, "function": {"strict": True, **function}}


def _form(choice: ToolChoice | None) -> ToolChoiceForm:
    if choice is None:
        return ToolChoiceForm.AUTO
    return ToolChoiceForm(choice) if isinstance(choice, str) else ToolChoiceForm.NAMED


def _translated(
    choice: ToolChoice | None, tools: Sequence[Tool], profile: ServerProfile
) -> tuple[Sequence[Tool], ToolChoice | None] | None:
    """Return the tools to offer and the choice in a form that the server has, or None."""
    forms, form = profile.tool_choices, _form(choice)
    if choice is None and profile.names_auto:
        return tools, form.value
    if choice is None or form in forms:
        return tools, choice
    if form is ToolChoiceForm.AUTO:
        return tools, None
    if form is ToolChoiceForm.NONE:
        return (), None
    if form is ToolChoiceForm.NAMED and ToolChoiceForm.REQUIRED in forms:
        named = tool_name(cast("Tool", choice))
        return [tool for tool in tools if tool_name(tool) == named], ToolChoiceForm.REQUIRED.value
    if form is ToolChoiceForm.REQUIRED and ToolChoiceForm.NAMED in forms and len(tools) == 1:
        return tools, choose_tool(tools[0])
    return None


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


def _inline(value: object, root: Mapping[str, object], above: tuple[str, ...], name: str) -> object:
    """Return a schema with its definitions in place of references to them."""
    if isinstance(value, list):
        return [_inline(item, root, above, name) for item in value]
    if not isinstance(value, Mapping):
        return value
    ref = value.get("$ref")
    if isinstance(ref, str):
        if ref in above:
            raise ConfigurationError(
                f"The schema of tool {name!r} refers to itself ({ref}), which this server (tgi) "
                "cannot hold: flatten it."
            )
        definition = resolve_ref(ref, root)
        if definition is None:
            raise ConfigurationError(
                f"The schema of tool {name!r} refers to {ref!r}, which is not in it: add it to "
                "$defs."
            )
        found = _inline(definition, root, (*above, ref), name)
        siblings = {k: _inline(v, root, above, name) for k, v in value.items() if k != "$ref"}
        return {**found, **siblings} if isinstance(found, dict) else found
    return {
        key: _inline(item, root, above, name)
        for key, item in value.items()
        if not (value is root and key in DEFINITIONS)
    }


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
