"""From the messages of a chat request to the prompt of the bundled model.

The template is Zephyr's. Tools, calls, results and schemas are written as in the model's training
(`wordings`): the tools and the schema in the system turn, a call as `<tool_call>` text of the
assistant, a result as a turn of the user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._tool_formats.base import OfferedTools, Tool, dump, function_of
from .._tool_formats.hermes import HERMES
from .._tool_formats.rendering import render_tools
from ..prompts import PROMPT_MAPPING, PromptError
from .fields import ANY, OBJECT, STRING, Json, list_of, read_fields
from .refusals import Refusal, invalid
from .wordings import SCHEMA

__all__ = ["render"]

_MESSAGE = {
    "role": STRING,
    "content": ANY,
    "name": STRING,
    "tool_calls": list_of(OBJECT, "a list of objects"),
    "tool_call_id": STRING,
    # What answers of OpenAI's and of other servers bring along when they are sent back.
    **dict.fromkeys(("annotations", "audio", "function_call", "reasoning", "refusal"), ANY),
    "reasoning_content": ANY,
}


def render(messages: Sequence[Json], tools: Sequence[Tool] = (), schema: object = None) -> str:
    """Return the prompt.

    Args:
        messages: The messages of the request.
        tools: The tools to describe, in OpenAI's shape.
        schema: The JSON schema that it is asked to fill.

    Raises:
        Refusal: For a message with unknown or missing fields, or that cannot be written as text.
    """
    for index, message in enumerate(messages):
        where = f"messages[{index}]."
        fields = read_fields(message, _MESSAGE, required=("role",), where=where)
        if "content" not in fields and "tool_calls" not in fields:
            raise invalid(f"missing field `{where}content`")
    if schema is not None:
        messages = _with_system(messages, SCHEMA.format(schema=dump(schema)))
    prompt = PROMPT_MAPPING["zephyr"]
    offered = OfferedTools(tuple(map(_described, tools)))
    try:
        return render_tools(prompt, messages, offered, HERMES) if tools else prompt.render(messages)
    except PromptError as error:
        raise Refusal(f"Template error: {error}", "template_error") from error


def _with_system(messages: Sequence[Json], text: str) -> list[Json]:
    if not messages or messages[0]["role"] not in ("system", "developer"):
        return [{"role": "system", "content": text}, *messages]
    first, *rest = messages
    own = first["content"]
    parts = own if isinstance(own, list) else [own]
    return [{**first, "content": [*parts, f"\n\n{text}"]}, *rest]


def _described(tool: Tool) -> Json:
    """Return a tool as the model has seen tools: key by key in this order, without titles."""
    function = function_of(tool)
    return {
        "name": function["name"],
        "description": function.get("description") or "",
        "parameters": _in_order(function["parameters"]),
    }


def _in_order(parameters: object) -> object:
    if not isinstance(parameters, Mapping):
        return parameters
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
