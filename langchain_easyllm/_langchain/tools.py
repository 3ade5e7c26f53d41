"""LangChain's tools and tool choices in OpenAI's format, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import orjson
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool

from .._nearest import did_you_mean
from .._structured_output.schema_check import check_schema
from .._structured_output.typed_dicts import is_typed_dict, typed_dict_schema
from ..errors import ConfigurationError, first_sentence

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from .._protocols.request import Tool, ToolChoice


# langchain-core evaluates the annotations of `bind_tools` (`with_fallbacks`): this exists at run
# time, with Runnable, which LangChain's tools are, as their own module takes long to load.
ToolLike: TypeAlias = Mapping[str, Any] | type | Callable[..., object] | Runnable[Any, Any]


class ConvertedTools(list[Any]):
    """Tools in OpenAI's format, as a list that is not converted again unless it was changed."""

    __slots__ = ("_json",)

    def __init__(self, tools: Sequence[Tool]) -> None:
        super().__init__(tools)
        self._json = orjson.dumps(self)

    @property
    def unchanged(self) -> bool:
        try:
            return orjson.dumps(self) == self._json
        except orjson.JSONEncodeError:
            return False


def to_tools(tools: Sequence[ToolLike] | None, *, strict: bool | None = None) -> tuple[Tool, ...]:
    """Return tools in OpenAI's format; the same tool twice is one tool."""
    if isinstance(tools, ConvertedTools) and strict is None and tools.unchanged:
        return tuple(tools)
    named: dict[str, Tool] = {}
    for tool in tools or ():
        converted = _to_tool(tool, strict=strict)
        name = _name(converted)
        first = named.setdefault(name, converted)
        if first is not converted and _untitled(first) != _untitled(converted):
            raise ConfigurationError(f"Two tools are named {name!r}: give each a name of its own.")
    return tuple(named.values())


def _untitled(value: object) -> object:
    """Return a schema without titles, in which a class and its JSON schema differ."""
    if isinstance(value, list):
        return [_untitled(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    kept = ((k, v) for k, v in value.items() if k != "title" or not isinstance(v, str))
    return {key: _untitled(item) for key, item in kept}


def _to_tool(tool: ToolLike, *, strict: bool | None) -> Tool:
    kind = tool.get("type") if isinstance(tool, Mapping) else None
    if kind == "function" and isinstance(tool, Mapping):
        tool = _checked(tool.get("function", tool))
    try:
        known = cast("Mapping[str, Any] | BaseTool", _convertible(tool))
        converted = convert_to_openai_tool(known, strict=strict)
        orjson.dumps(converted)
    except Exception as error:  # of langchain-core, pydantic or the caller's own schema
        raise ConfigurationError(
            f"{_display_name(tool)} cannot be described as a tool: {first_sentence(error)}"
        ) from error
    if converted.get("type") != "function":
        raise ConfigurationError(
            f"{_display_name(tool)} is a tool of the kind {converted.get('type')!r}, which runs at "
            "OpenAI: give a function, a pydantic class, or a dict with its name and parameters."
        )
    function = _checked(converted["function"])
    if isinstance(tool, Mapping):
        _check_parameters(function)
    return converted


def _check_parameters(function: Mapping[str, Any]) -> None:
    """Refuse a caller's own schema that no server can read."""
    try:
        check_schema(function.get("parameters") or {}, follow_refs=False)
    except ConfigurationError as error:
        raise ConfigurationError(f"Tool {function['name']!r} cannot be offered: {error}") from None


def _convertible(tool: ToolLike) -> ToolLike:
    """Return what langchain-core converts correctly.

    A function without a description of its arguments has none: servers require the key.
    """
    if is_typed_dict(tool):
        return typed_dict_schema(tool)
    if not isinstance(tool, Mapping):
        return tool
    named = "name" in tool and "input_schema" not in tool and tool.get("parameters") is None
    return {**tool, "parameters": {"type": "object", "properties": {}}} if named else dict(tool)


def _checked(function: object) -> Mapping[str, Any]:
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError("A tool has no name: give it one ('name' in its dict).")
    parameters = cast("Mapping[str, object]", function).get("parameters")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise ConfigurationError(
            f"The parameters of tool {name!r} are not a JSON schema: use a dict."
        )
    return cast("Mapping[str, Any]", function)


def _display_name(tool: ToolLike) -> str:
    name = tool.get("name") if isinstance(tool, Mapping) else getattr(tool, "name", None)
    name = name or getattr(tool, "__name__", None)
    return f"{name!r}" if name else f"A tool ({type(tool).__name__})"


def _name(tool: Tool) -> str:
    return cast("Mapping[str, str]", tool["function"])["name"]


_WORDS = ("auto", "none", "any", "required")
_REQUIRED = ("any", "required", True)
_MODES = {"auto": "auto", "none": "none", **dict.fromkeys(_REQUIRED, "required")}


def to_choice(choice: object, tools: Sequence[Tool]) -> ToolChoice | None:
    """Return a tool choice in OpenAI's format; None (also for `False`) is the server's default."""
    if choice is None or choice is False:
        return None
    parsed = _parse_choice(choice)
    if parsed is None:
        raise ConfigurationError(
            f"tool_choice={choice!r} is not known: use 'auto', 'none', 'any', 'required', True, "
            "a tool's name, or {'type': 'function', 'function': {'name': ...}}."
        )
    mode, name = parsed
    names = [_name(tool) for tool in tools]
    if name is None:
        if mode == "required" and not names:
            raise ConfigurationError(
                "tool_choice requires a call, and there are no tools: give some."
            )
        return mode if names else None
    if name not in names:
        offered = ", ".join(names) or "none"
        near = did_you_mean(name, [*names, *_WORDS])
        raise ConfigurationError(
            f"tool_choice names {name!r}, which is not among the tools ({offered})"
            + (f": {near}" if near else ".")
        )
    return {"type": "function", "function": {"name": name}}


def _parse_choice(choice: object) -> tuple[str, None] | tuple[None, str] | None:
    """Return the mode or the tool's name of a choice."""
    if isinstance(choice, str | bool):
        mode = _MODES.get(choice)
        return (mode, None) if mode else (None, str(choice))
    if not isinstance(choice, Mapping):
        return None
    function = choice.get("function")
    name = function.get("name") if isinstance(function, Mapping) else choice.get("name")
    if isinstance(name, str):
        return None, name
    mode = _MODES.get(str(choice.get("type")))
    return (mode, None) if mode else None
