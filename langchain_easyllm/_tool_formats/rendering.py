"""Renders a conversation with tools, in the format of its template or in another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from ..prompts.base import ChatPrompt, TemplateToolSupport
from ..prompts.conversation import Conversation, escaped, escaped_values, read
from .base import OfferedTools, ToolCallFormat, Turns, to_turns
from .call_syntax import Tool, tool_name
from .registry import tool_format_for


def render_tools(
    prompt: ChatPrompt, messages: object, offered: OfferedTools, form: ToolCallFormat
) -> str:
    """Render a conversation with tools, one at least, as a prompt.

    Special tokens of the template are broken in all that messages, tools and results hold, and
    those of the format in what does not come from the developer.
    """
    own = form is tool_format_for(prompt)
    conversation = _escaped(read(messages), form, prompt.escape)
    tools = [cast("Tool", escaped_values(tool, prompt.escape)) for tool in offered.tools]
    offered = replace(offered, tools=tuple(tools))
    support = prompt.host
    if own and form.is_written_by(support.template):
        text = prompt.render_own_tools(form.for_template(conversation), tools)
        if text is not None and all(tool_name(tool) in text for tool in tools):
            return text
    if own:
        support = replace(support, tool_format=form.name)
    else:
        support = replace(support, tool_format="", forms=frozenset())
    rendered = form.render(conversation, offered, support)
    return prompt.render_told(to_turns(rendered), own_forms=bool(support.forms))


def describe_tools(messages: object, offered: OfferedTools, form: ToolCallFormat) -> Turns:
    """Render a conversation with tools as roles and texts, for a server that has a template."""
    conversation = _escaped(read(messages), form, str)
    rendered = form.render(conversation, offered, TemplateToolSupport(tool_format=""))
    return to_turns(rendered)


def _escaped(
    conversation: Conversation, form: ToolCallFormat, escape: Callable[[str], str]
) -> Conversation:
    """Escape a conversation; system text may speak of the format's own tokens."""
    safe = escaped(conversation, lambda text: escape(form.special_tokens.escape(text)))
    for index, role in enumerate(conversation.roles):
        if role == "system":
            safe.texts[index] = escape(conversation.texts[index])
    return safe
