"""Tools told in the prompt: each model family's own convention, as messages of plain text."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..prompts.base import ChatPrompt
from .base import OfferedTools, ToolCallFormat
from .hermes import HERMES, TOOL_RESPONSE, TOOLS
from .llama3 import LLAMA3
from .mistral import MISTRAL
from .react import REACT, REACT_JSON
from .rendering import describe_tools, render_tools

__all__ = [
    "REACT_JSON",
    "TOOLS",
    "TOOL_FORMATS",
    "TOOL_RESPONSE",
    "OfferedTools",
    "ToolCallFormat",
    "describe_tools",
    "render_tools",
    "tool_format_for",
]


TOOL_FORMATS: Mapping[str, ToolCallFormat] = MappingProxyType(
    {form.name: form for form in (HERMES, LLAMA3, MISTRAL, REACT)}
)
"""Every convention by its name."""


def tool_format_for(prompt: ChatPrompt | None, name: str | None = None) -> ToolCallFormat:
    """Choose a convention.

    Args:
        prompt: The template; None where a server renders its own.
        name: The convention's name; None or `"auto"` for the template's own, which is ReAct where
            it has none, and Hermes' tags where the template is not known.
    """
    chosen = TOOL_FORMATS.get(name or "")
    if chosen is not None:
        return chosen
    return HERMES if prompt is None else TOOL_FORMATS.get(prompt.host.convention, REACT)
