"""Renders a conversation with tools, in the convention of its template or in another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from ..prompts.base import ChatPrompt, TemplateToolSupport
from ..prompts.conversation import Conversation, escaped, escaped_values, read
from .base import OfferedTools, Tool, ToolCallFormat

__all__ = ["describe_tools", "render_tools"]


def render_tools(
    prompt: ChatPrompt, messages: object, use: OfferedTools, form: ToolCallFormat
) -> str:
    """Render a conversation with tools.

    Args:
        prompt: The template.
        messages: What `ChatPrompt.render` takes.
        use: The tools, one at least.
        form: The convention.

    Returns:
        The prompt, with the answer opened at the end. Control tokens of the template are broken in
        all that messages, tools and results hold, and those of the convention in what does not come
        from the developer.

    Raises:
        PromptError: If the template cannot express the conversation.
    """
    host = prompt.host
    own = form.name == host.convention
    talk = _safe(read(messages), form, prompt.escape)
    use = replace(use, tools=tuple([_described(tool, prompt.escape) for tool in use.tools]))
    text = prompt.render_own_tools(talk, use.tools) if own else None
    if text is not None:
        return text
    told = form.tell(talk, use, host if own else replace(host, forms=frozenset()))
    pairs = list(zip(told.roles, told.texts, strict=True))
    return prompt.render_told(pairs, own_forms=own and bool(host.forms))


def describe_tools(
    messages: object, use: OfferedTools, form: ToolCallFormat
) -> list[tuple[str, str]]:
    """Retell a conversation with tools as roles and texts, for a server that renders them.

    Args:
        messages: What `ChatPrompt.render` takes.
        use: The tools, one at least.
        form: The convention, whose marks are broken as in `render_tools`.

    Raises:
        PromptError: If a message holds anything but text.
    """
    talk = _safe(read(messages), form, str)
    told = form.tell(talk, use, TemplateToolSupport(convention=""))
    return list(zip(told.roles, told.texts, strict=True))


def _safe(talk: Conversation, form: ToolCallFormat, escape: Callable[[str], str]) -> Conversation:
    """Escape a conversation; system text may speak of the convention's marks."""
    safe = escaped(talk, lambda text: escape(form.control.escape(text)))
    trusted = [index for index, role in enumerate(talk.roles) if role == "system"]
    for index in trusted:
        safe.texts[index] = escape(talk.texts[index])
    return safe


def _described(tool: Tool, escape: Callable[[str], str]) -> Tool:
    return cast("Tool", escaped_values(tool, escape))
