"""Renders a conversation with tools, in the format of its template or in another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from ..prompts.base import ChatPrompt, TemplateToolSupport
from ..prompts.conversation import Conversation, escaped, escaped_values, read
from .base import OfferedTools, Tool, ToolCallFormat, function_of
from .registry import tool_format_for

__all__ = ["describe_tools", "render_tools"]


def render_tools(
    prompt: ChatPrompt, messages: object, offered: OfferedTools, form: ToolCallFormat
) -> str:
    """Render a conversation with tools, one at least, as a prompt.

    Special tokens of the template are broken in all that messages, tools and results hold, and
    those of the format in what does not come from the developer.

    Raises:
        PromptError: If the template cannot express the conversation.
    """
    own = form is tool_format_for(prompt)
    conversation = _escaped(read(messages), form, prompt.escape)
    tools = [cast("Tool", escaped_values(tool, prompt.escape)) for tool in offered.tools]
    offered = replace(offered, tools=tuple(tools))
    support = prompt.host
    if own and form.is_written_by(support.template):
        text = prompt.render_own_tools(form.for_template(conversation), tools)
        names = [str(function_of(tool).get("name")) for tool in tools]
        if text is not None and all(name in text for name in names):
            return text
    if own:
        support = replace(support, tool_format=form.name)
    else:
        support = replace(support, tool_format="", forms=frozenset())
    rendered = form.render(conversation, offered, support)
    pairs = list(zip(rendered.roles, rendered.texts, strict=True))
    return prompt.render_told(pairs, own_forms=bool(support.forms))


def describe_tools(
    messages: object, offered: OfferedTools, form: ToolCallFormat
) -> list[tuple[str, str]]:
    """Render a conversation with tools as roles and texts, for a server that has a template.

    Raises:
        PromptError: If a message holds anything but text.
    """
    conversation = _escaped(read(messages), form, str)
    rendered = form.render(conversation, offered, TemplateToolSupport(tool_format=""))
    return list(zip(rendered.roles, rendered.texts, strict=True))


def _escaped(
    conversation: Conversation, form: ToolCallFormat, escape: Callable[[str], str]
) -> Conversation:
    """Escape a conversation; system text may speak of the format's own tokens."""
    safe = escaped(conversation, lambda text: escape(form.special_tokens.escape(text)))
    for index, role in enumerate(conversation.roles):
        if role == "system":
            safe.texts[index] = escape(conversation.texts[index])
    return safe
