"""Renders a conversation with tools, in the format of its template or in another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Unpack, cast

from ..prompts.base import ChatPrompt, Switches, TemplateToolSupport
from ..prompts.conversation import Conversation, escaped, escaped_values, read
from .base import OfferedTools, ToolCallFormat, Turns, TurnToolCallFormat, from_turns, to_turns
from .call_syntax import Tool, tool_name
from .registry import tool_format_for


def render_tools(
    prompt: ChatPrompt,
    messages: object,
    offered: OfferedTools,
    form: ToolCallFormat,
    **switches: Unpack[Switches],
) -> str:
    """Render a conversation with tools, one at least, as a prompt.

    Special tokens of the template are broken in all that messages, tools and results hold, and
    those of the format in what does not come from the developer.
    """
    own = form is tool_format_for(prompt)
    support = prompt.host
    native = support.tool_format == form.name  # what it writes itself is in this format
    writes = form.is_written_by(support.template) or (native and support.writes_tools)
    details = own and (writes or (native and support.writes_calls))
    conversation = _escaped(read(messages, details=details), form, prompt.escape)
    tools = [cast("Tool", escaped_values(tool, prompt.escape)) for tool in offered.tools]
    offered = replace(offered, tools=tuple(tools))
    if own and writes:
        text = prompt.render_own_tools(form.for_template(conversation), tools, **switches)
        if text is not None and all(tool_name(tool) in text for tool in tools):
            return text
    if native and support.writes_calls and isinstance(form, TurnToolCallFormat):
        described = _described(conversation, form, offered, support)
        text = prompt.render_own_tools(described, (), **switches)
        if text is not None:
            return text
    if own:
        support = replace(support, tool_format=form.name)
    else:
        support = replace(support, tool_format="", forms=frozenset())
    rendered = form.render(conversation, offered, support)
    return prompt.render_told(to_turns(rendered), own_forms=bool(support.forms), **switches)


def _described(
    conversation: Conversation,
    form: TurnToolCallFormat,
    offered: OfferedTools,
    support: TemplateToolSupport,
) -> Conversation:
    """Describe the tools only: the template writes calls and results itself."""
    turns = to_turns(conversation)
    form.describe(turns, offered, support)
    described = from_turns(turns)
    added = len(turns) - len(conversation.roles)  # at the start
    described.extras = {index + added: extra for index, extra in conversation.extras.items()}
    return described


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
