"""A conversation as a model's prompt, by its own template.

Tools, calls, results and schemas are written as in the bundled model's training (`wordings`), which
is how Hermes and Qwen write them: the tools and the schema in the system message, a call as
`<tool_call>` text of the assistant, a result as a user message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._tool_formats.base import OfferedTools, dump
from .._tool_formats.call_syntax import Tool, function_of
from .._tool_formats.hermes import HERMES
from .._tool_formats.rendering import render_tools
from ..prompts import ChatPrompt, PromptError
from .bodies import HTTPError, Json
from .wordings import SCHEMA


def render_chat(
    prompt: ChatPrompt,
    messages: Sequence[Json],
    tools: Sequence[Tool] = (),
    schema: object = None,
) -> str:
    """Return the prompt of a chat; raise an `HTTPError` if the template cannot express it."""
    if schema is not None:
        messages = _with_system(messages, SCHEMA.format(schema=dump(schema)))
    offered = OfferedTools(tuple(map(_described, tools)))
    try:
        return render_tools(prompt, messages, offered, HERMES) if tools else prompt.render(messages)
    except PromptError as error:
        raise HTTPError(f"Template error: {error}", "template_error") from error


def _with_system(messages: Sequence[Json], text: str) -> list[Json]:
    if not messages or messages[0]["role"] not in ("system", "developer"):
        return [{"role": "system", "content": text}, *messages]
    first, *rest = messages
    own = first["content"]
    parts = own if isinstance(own, list) else [own]
    return [{**first, "content": [*parts, f"\n\n{text}"]}, *rest]


def _described(tool: Tool) -> Json:
    """Return a tool as in the model's training: keys in this order, without titles."""
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
