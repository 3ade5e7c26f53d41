"""Tools as LangChain's users write them, in OpenAI's shape and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import orjson
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from typing_extensions import is_typeddict

from .._structured_output.typed_dicts import typed_dict_schema
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from .._protocols.request import Tool, ToolChoice

__all__ = ["ConvertedTools", "ToolLike", "to_choice", "to_tools"]


# langchain-core evaluates the annotations of `bind_tools` (`with_fallbacks`): this is there at run
# time, and says Runnable, which LangChain's tools are, as their own module takes long to load.
ToolLike: TypeAlias = Mapping[str, Any] | type | Callable[..., object] | Runnable[Any, Any]


class ConvertedTools(list[Any]):
    """Tools in OpenAI's shape, as a list that need not be converted again unless it is changed."""

    __slots__ = ("_json",)

    def __init__(self, tools: Sequence[Tool]) -> None:
        super().__init__(tools)
        self._json = orjson.dumps(self)

    @property
    def unchanged(self) -> bool:
        """Whether the list is still what it was made of."""
        try:
            return orjson.dumps(self) == self._json
        except orjson.JSONEncodeError:
            return False


def to_tools(tools: Sequence[ToolLike] | None, *, strict: bool | None = None) -> tuple[Tool, ...]:
    """Return tools in OpenAI's shape.

    Args:
        tools: Anything that `convert_to_openai_tool` takes.
        strict: Whether arguments are to fit their schema exactly, where the server can see to it.

    Raises:
        ConfigurationError: If one is no function to call, has no name or a name that another one
            has, or cannot be written as JSON. The same tool twice is one tool.
    """
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
    """Return a schema without titles, which a class and its JSON schema differ in."""
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
        known = cast("Mapping[str, Any] | BaseTool", _as_known(tool))
        converted = convert_to_openai_tool(known, strict=strict)
        orjson.dumps(converted)
    except Exception as error:  # whatever langchain-core, pydantic or a schema of one's own raises
        raise ConfigurationError(f"{_called(tool)} cannot be told as a tool: {error}") from error
    if converted.get("type") != "function":
        raise ConfigurationError(
            f"{_called(tool)} is a tool of the kind {converted.get('type')!r}, which runs at "
            "OpenAI: give a function, a pydantic class, or a dict with its name and parameters."
        )
    _checked(converted["function"])
    return converted


def _as_known(tool: ToolLike) -> ToolLike:
    """Return what langchain-core converts rightly.

    A function that says nothing of its arguments takes none: servers want the key.
    """
    if is_typeddict(tool):
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
        raise ConfigurationError(f"The parameters of tool {name!r} are no JSON schema: use a dict.")
    return cast("Mapping[str, Any]", function)


def _called(tool: ToolLike) -> str:
    name = tool.get("name") if isinstance(tool, Mapping) else getattr(tool, "name", None)
    name = name or getattr(tool, "__name__", None)
    return f"{name!r}" if name else f"A tool ({type(tool).__name__})"


def _name(tool: Tool) -> str:
    return cast("Mapping[str, str]", tool["function"])["name"]


_MODES = {
    "auto": "auto",
    "none": "none",
    "any": "required",
    "required": "required",
    True: "required",
}


def to_choice(choice: object, tools: Sequence[Tool]) -> ToolChoice | None:
    """Return a choice of tool in OpenAI's shape.

    Args:
        choice: `"auto"`, `"none"`, `"any"` or `"required"` (also `True`), a tool's name, or a dict
            that names one or says a mode; None (also `False`) for the server's default.
        tools: The tools that are offered, in OpenAI's shape.

    Raises:
        ConfigurationError: If it is none of these, or there is no tool to choose.
    """
    if choice is None or choice is False:
        return None
    wanted = _wanted(choice)
    if wanted is None:
        raise ConfigurationError(
            f"tool_choice={choice!r} is not known: use 'auto', 'none', 'any', 'required', True, "
            "a tool's name, or {'type': 'function', 'function': {'name': ...}}."
        )
    mode, name = wanted
    names = [_name(tool) for tool in tools]
    if name is None:
        if mode == "required" and not names:
            raise ConfigurationError("tool_choice wants a call, and there are no tools: give some.")
        return mode if names else None
    if name not in names:
        offered = ", ".join(names) or "none"
        raise ConfigurationError(
            f"tool_choice names {name!r}, which is not among the tools ({offered})."
        )
    return {"type": "function", "function": {"name": name}}


def _wanted(choice: object) -> tuple[str, None] | tuple[None, str] | None:
    """Return the mode or the tool's name that a choice says."""
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
