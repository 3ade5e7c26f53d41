"""From the messages of a chat request to the prompt of the bundled model.

The template is Zephyr's. Tools, calls, results and schemas are told as in the model's training
(`wordings`): the tools and the schema in the system turn, a call as `<tool_call>` text of the
assistant, a result as a turn of the user.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import orjson

from ..prompts import PROMPT_MAPPING, PromptError
from .fields import ANY, OBJECT, STRING, Json, list_of, read_fields
from .refusals import Refusal, invalid
from .wordings import CALL_END, CALL_START, SCHEMA, TOOL_RESPONSE, TOOLS

__all__ = ["Turn", "read_messages", "render", "told_schema", "told_tools"]

Turn = tuple[str, str]
"""Role and text."""

_MESSAGE = {
    "role": STRING,
    "content": ANY,
    "name": STRING,
    "tool_calls": list_of(OBJECT, "a list of objects"),
    "tool_call_id": STRING,
    # What OpenAI's and other servers' answers bring along when they are sent back.
    "refusal": ANY,
    "audio": ANY,
    "annotations": ANY,
    "function_call": ANY,
    "reasoning": ANY,
    "reasoning_content": ANY,
}
_CALL = {"id": STRING, "type": STRING, "index": ANY, "function": OBJECT}
_FUNCTION = {"name": STRING, "arguments": ANY, "description": ANY}
_ROLES = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}


def read_messages(messages: Sequence[Json]) -> list[Turn]:
    """Return the turns of a conversation.

    Raises:
        Refusal: For an empty conversation or a message that cannot be told as text.
    """
    if not messages:
        raise Refusal("Template error: there are no messages", "template_error")
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        where = f"messages[{index}]."
        fields = read_fields(message, _MESSAGE, required=("role",), where=where)
        role, text = _turn(fields, where)
        # Results of several calls make one turn, as one turn made the calls.
        if turns and role == "tool" == turns[-1][0]:
            role, text = "tool", f"{turns.pop()[1]}\n{text}"
        turns.append((role, text))
    return [("user" if role == "tool" else role, text) for role, text in turns]


def told_tools(tools: Iterable[Json]) -> str:
    """Return the words that describe tools to the model.

    Args:
        tools: Name, description and parameters of each.
    """
    described = (
        {
            "name": tool["name"],
            "description": tool.get("description") or "",
            "parameters": _in_order(cast("Json", tool.get("parameters") or {})),
        }
        for tool in tools
    )
    return TOOLS.format(tools="\n".join(_dump(tool) for tool in described))


def told_schema(schema: Json) -> str:
    """Return the words that ask for a JSON object."""
    return SCHEMA.format(schema=_dump(schema))


def render(turns: Sequence[Turn], told: str | None = None) -> str:
    """Return the prompt.

    Args:
        turns: The conversation.
        told: What the system turn says after a system message of the caller's own.

    Raises:
        Refusal: If the template cannot express the conversation.
    """
    turns = list(turns)
    if told:
        own = f"{turns.pop(0)[1]}\n\n" if turns[0][0] == "system" else ""
        turns.insert(0, ("system", own + told))
    try:
        return PROMPT_MAPPING["zephyr"].render(turns)
    except PromptError as error:
        raise Refusal(f"Template error: {error}", "template_error") from error


def _turn(message: Json, where: str) -> Turn:
    if "content" not in message and "tool_calls" not in message:
        raise invalid(f"missing field `{where}content`")
    text = _text(message.get("content"), where)
    role = cast("str", message["role"])
    if role == "tool":
        return "tool", TOOL_RESPONSE.format(result=text)
    if role not in _ROLES:
        raise Refusal(f"Template error: `{where}role` {role!r} is not known", "template_error")
    calls = [_call(call, where) for call in cast("list[Json]", message.get("tool_calls", []))]
    return _ROLES[role], "\n".join([*([text] if text else []), *calls])


def _call(call: Json, where: str) -> str:
    place = f"{where}tool_calls."
    known = read_fields(call, _CALL, required=("function",), where=place)
    place += "function."
    function = cast("Json", known["function"])
    said = read_fields(function, _FUNCTION, required=("name",), where=place)
    arguments = said.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments or "{}")
        except orjson.JSONDecodeError as error:
            raise invalid(f"`{place}arguments` must be JSON: {error}") from error
    return CALL_START + _dump({"name": said["name"], "arguments": arguments}) + CALL_END


def _text(content: object, where: str) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise invalid(f"`{where}content` must be a string or a list of parts")
    return "".join(_part(part, where) for part in content)


def _part(part: object, where: str) -> str:
    fields = part if isinstance(part, Mapping) else {}
    text = fields.get("text")
    if not isinstance(text, str):
        kind = fields.get("type", type(part).__name__)
        raise invalid(f"`{where}content`: {kind} is not supported, the model reads text only")
    return text


def _in_order(parameters: Json) -> Json:
    """Return a schema with its keys as the model has seen them, and without pydantic's titles."""
    first = ("type", "properties", "required")
    kept = {key: parameters[key] for key in first if key in parameters}
    rest = {key: value for key, value in parameters.items() if key not in (*first, "title")}
    properties = kept.get("properties")
    if isinstance(properties, Mapping):
        kept["properties"] = {name: _untitled(value) for name, value in properties.items()}
    return {**kept, **rest}


def _untitled(schema: object) -> object:
    if not isinstance(schema, Mapping):
        return schema
    return {key: value for key, value in schema.items() if key != "title"}


def _dump(value: object) -> str:
    # The standard library's spacing is what the model has learned, so not orjson's.
    return json.dumps(value, ensure_ascii=False)
