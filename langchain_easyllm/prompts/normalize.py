"""Retells what a template cannot express, and nothing else.

The rules, in the order in which they apply to a conversation that the template would refuse:

1. A tool or function result becomes a user turn, `Tool result (name): ...`; calls that an assistant
   made follow its text as `Tool call: {...}`.
2. System texts are gathered, joined by a blank line, in the place that the template has for them,
   or at the head of the first user turn where it has none.
3. Neighbours of one role become one turn, joined by a blank line.
4. A conversation that opens with the assistant gets an empty user turn before it.
"""

from __future__ import annotations

import json
from collections.abc import Container

from ..errors import PromptError
from .base import RoleMode
from .conversation import Conversation, Extra, ToolCall
from .spec import ChatTemplateSpec

__all__ = ["flatten_tools", "merge", "normalize", "refusal"]


_GAP = "\n\n"


def normalize(family: ChatTemplateSpec, talk: Conversation, mode: RoleMode) -> Conversation:
    """Make a conversation one that the family's template accepts.

    Args:
        family: The template.
        talk: The conversation; it is not changed.
        mode: `"fold"` or `"strict"`.

    Returns:
        The same conversation where the template accepts it, a retold one otherwise.

    Raises:
        PromptError: In strict mode, naming the message and the reason.
    """
    talk = _write_calls(family, talk)
    why = refusal(family, talk)
    if why is None:
        return talk
    if mode != "fold":
        raise PromptError(why)
    told = flatten_tools(talk, keep=family.turns)
    if family.positional or family.system_first or family.separators is not None:
        told = _gather_system(family, told)
    return told if refusal(family, told) is None else _alternate(told)


def refusal(family: ChatTemplateSpec, talk: Conversation) -> str | None:
    """Say why a family's template cannot express a conversation.

    Args:
        family: The template.
        talk: The conversation.

    Returns:
        One sentence that names the message, or None where the template accepts it.
    """
    for index, extra in talk.extras.items():
        if extra.calls:
            return _why(
                family, talk, index, "it makes tool calls, which the template has no form for"
            )
    roles = talk.roles
    start = 0
    if roles[0] == "system" and family.positional:
        if family.system_in == "nowhere":
            return _why(family, talk, 0, "the template has no system role")
        start = 1
    if _takes_turns(roles, start) and not family.system_first:
        return None
    known = family.known
    for index in range(start, len(roles)):
        role = roles[index]
        if role not in known:
            return _why(family, talk, index, f"the template has no {role} role at that place")
        if family.positional and (role == "user") != ((index - start) % 2 == 0):
            wanted = "user" if role != "user" else "assistant"
            return _why(family, talk, index, f"the template wants the {wanted} to speak there")
        if family.system_first and role == "system" and index:
            return _why(
                family, talk, index, "the template takes a system message only at the start"
            )
    return None


def _write_calls(family: ChatTemplateSpec, talk: Conversation) -> Conversation:
    """Write tool calls in the form that the template has for them, if it has one."""
    form = family.calls
    if form is None or not talk.extras:
        return talk
    written = Conversation(talk.roles, list(talk.texts))
    for index, extra in talk.extras.items():
        text = talk.texts[index]
        if not extra.calls or (form.alone and (text or len(extra.calls) > 1)):
            written.extras[index] = extra
            continue
        for call in extra.calls:
            said = json.dumps(
                {"name": call.name, form.arguments: call.arguments}, ensure_ascii=False, default=str
            )
            text += f"{form.before}{said}{form.after}"
        written.texts[index] = text if talk.texts[index] else text.removeprefix("\n")
    return written


def _takes_turns(roles: list[str], start: int) -> bool:
    """Whether users and assistants take turns, which is what most conversations do."""
    users, assistants = roles[start::2], roles[start + 1 :: 2]
    return users.count("user") == len(users) and assistants.count("assistant") == len(assistants)


def flatten_tools(talk: Conversation, keep: Container[str] = ()) -> Conversation:
    """Tell tool calls and tool results in plain text.

    Args:
        talk: The conversation; it is not changed.
        keep: Roles that stay as they are.

    Returns:
        The conversation with only text in it.
    """
    told = Conversation(list(talk.roles), list(talk.texts))
    for index, (role, text) in enumerate(zip(talk.roles, talk.texts, strict=True)):
        extra = talk.extras.get(index, Extra())
        if extra.calls:
            lines = [text] if text else []
            told.texts[index] = "\n".join(lines + [_told_call(call) for call in extra.calls])
        elif role in {"tool", "function"} and role not in keep:
            told.roles[index] = "user"
            told.texts[index] = _told_result(extra, text)
    return told


def merge(talk: Conversation, gap: str | None = None, only: str | None = None) -> Conversation:
    """Join neighbours of one role.

    Args:
        talk: The conversation; it is not changed.
        gap: Text between joined messages; by default a blank line, and none beside empty ones.
        only: The one role whose messages are joined; None for every role.

    Returns:
        A conversation in which no role speaks twice in a row.
    """
    roles: list[str] = []
    turns: list[list[str]] = []  # joined at the end: joining each time would be quadratic
    for role, text in zip(talk.roles, talk.texts, strict=True):
        if roles and roles[-1] == role and only in {None, role}:
            turns[-1].append(text)
        else:
            roles.append(role)
            turns.append([text])
    return Conversation(roles, [_join(*t) if gap is None else gap.join(t) for t in turns])


def _gather_system(family: ChatTemplateSpec, talk: Conversation) -> Conversation:
    spoken = [(r, t) for r, t in zip(talk.roles, talk.texts, strict=True) if r != "system"]
    system = [t for r, t in zip(talk.roles, talk.texts, strict=True) if r == "system"]
    if not system:
        return talk
    text = _join(*system)
    # System text that waits for a user turn would be lost where there is none.
    carrier = spoken[-1][0] if spoken and family.system_in == "last" else "user"
    unsaid = family.positional and (not spoken or carrier != "user")
    told = [("user" if family.system_in == "nowhere" or unsaid else "system", text), *spoken]
    return Conversation([role for role, _ in told], [text for _, text in told])


def _alternate(talk: Conversation) -> Conversation:
    merged = merge(talk)
    first = 1 if merged.roles[0] == "system" else 0
    if merged.roles[first:] and merged.roles[first] == "assistant":
        merged.roles.insert(first, "user")
        merged.texts.insert(first, "")
    return merged


def _join(*texts: str) -> str:
    return _GAP.join([text for text in texts if text])


def _told_call(call: ToolCall) -> str:
    said = {"name": call.name, "arguments": call.arguments}
    return f"Tool call: {json.dumps(said, ensure_ascii=False, default=str)}"


def _told_result(extra: Extra, text: str) -> str:
    return f"Tool result ({extra.name}): {text}" if extra.name else f"Tool result: {text}"


def _why(family: ChatTemplateSpec, talk: Conversation, index: int, reason: str) -> str:
    return (
        f"Message {index} ({talk.roles[index]}) does not fit the {family.name} prompt: {reason}; "
        'roles="fold" retells it.'
    )
