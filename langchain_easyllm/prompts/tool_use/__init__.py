"""Tools told in the prompt: each model family's own convention, as messages of plain text."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..base import ChatPrompt
from .convention import Convention, ToolUse
from .hermes import HERMES, TOOL_RESPONSE, TOOLS
from .llama3 import LLAMA3
from .mistral import MISTRAL
from .react import REACT, REACT_JSON
from .rendering import render_tools

__all__ = [
    "CONVENTIONS",
    "REACT_JSON",
    "TOOLS",
    "TOOL_RESPONSE",
    "Convention",
    "ToolUse",
    "convention_of",
    "render_tools",
]

CONVENTIONS: Mapping[str, Convention] = MappingProxyType(
    {form.name: form for form in (HERMES, LLAMA3, MISTRAL, REACT)}
)
"""Every convention by its name."""


def convention_of(prompt: ChatPrompt, name: str | None = None) -> Convention:
    """Return the convention of that name, or else the template's own; ReAct where it has none."""
    return CONVENTIONS.get(name or prompt.host.convention, REACT)
