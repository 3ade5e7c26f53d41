"""Every tool-call format by its name, and which one a template has."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..prompts.base import ChatPrompt
from . import (
    deepseek,
    glm,
    harmony,
    hermes,
    kimi,
    llama3,
    minimax,
    mistral,
    mistral_v11,
    qwen3_coder,
    react,
)
from .base import ToolCallFormat

# The first whose marks are in a template, or at a call's beginning, is the one that counts.
_FORMATS = (
    glm.GLM,
    qwen3_coder.QWEN3_CODER,
    minimax.MINIMAX,
    kimi.KIMI,
    deepseek.DEEPSEEK,
    harmony.HARMONY,
    hermes.HERMES,
    llama3.LLAMA3,
    mistral_v11.MISTRAL_V11,
    mistral.MISTRAL,
    react.REACT,
)

TOOL_FORMATS: Mapping[str, ToolCallFormat] = MappingProxyType({f.name: f for f in _FORMATS})
"""Every format by its name."""


def tool_format_for(prompt: ChatPrompt | None, name: str | None = None) -> ToolCallFormat:
    """Choose the format in which tools are described, by its name or for a template.

    None and `"auto"` mean the template's own, which is ReAct where it has none, and Hermes' tags
    where the template is not known, as a server renders its own.
    """
    chosen = TOOL_FORMATS.get(name or "")
    if chosen is not None:
        return chosen
    if prompt is None:
        return hermes.HERMES
    support = prompt.host
    written = (form for form in _FORMATS if form.is_written_by(support.template))
    return next(written, TOOL_FORMATS.get(support.tool_format, react.REACT))


def tool_formats_named(name: str) -> tuple[ToolCallFormat, ...]:
    """Return the formats in which calls are read: one, or all of them under `"auto"`."""
    return _FORMATS if name == "auto" else (TOOL_FORMATS[name],)
