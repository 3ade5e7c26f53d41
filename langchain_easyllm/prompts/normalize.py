"""Rewrites what a template cannot express, and nothing else.

The rules, in the order in which they apply to a conversation that the template would refuse:

1. A tool or function result becomes a user message, `Tool result (name): ...`; calls that an
   assistant made follow its text as `Tool call: {...}`.
2. System texts are joined by a blank line, where the template has its system text, or else at the
   start of the first user message.
3. Neighbours of one role become one message, joined by a blank line.
4. A conversation that opens with the assistant gets an empty user message before it.
"""

from __future__ import annotations

import json
from collections.abc import Container

from ..errors import PromptError
from .base import RoleMode
from .conversation import Conversation, Extra
from .spec import ChatTemplateSpec


def normalize(family: ChatTemplateSpec, conversation: Conversation, mode: RoleMode) -> Conversation:
    """Return a conversation that the template accepts; the same one where it accepts that."""
    conversation = _write_calls(family, conversation)
    why = refusal(family, conversation)
    if why is None:
        return conversation
    if mode != "fold":
        raise PromptError(why)
    flat = flatten_tools(conversation, keep=family.turns)
    if family.strict_alternation or family.system_first or family.separators is not None:
        flat = _gather_system(family, flat)
    return flat if refusal(family, flat) is None else _alternate(flat)


def refusal(family: ChatTemplateSpec, conversation: Conversation) -> str | None:
    """Return why a template cannot express a conversation, naming the message; None if it can."""
    found = _first_refused(family, conversation)
    if found is None:
        return None
    index, reason = found
    return (
        f"Message {index} ({conversation.roles[index]}) does not fit the {family.name} prompt: "
        f'{reason}; roles="fold" rewrites it.'
    )


def _first_refused(family: ChatTemplateSpec, conversation: Conversation) -> tuple[int, str] | None:
    for index, extra in conversation.extras.items():
        if extra.calls:
            return index, "it makes tool calls, which the template has no form for"
    roles = conversation.roles
    start = 0
    if roles[0] == "system" and family.strict_alternation:
        if family.system_in == "nowhere":
            return 0, "the template has no system role"
        start = 1
    if _alternates(roles, start) and not family.system_first:
        return None
    known = family.known
    for index in range(start, len(roles)):
        role = roles[index]
        if role not in known:
            return index, f"the template has no {role} role at that place"
        if family.strict_alternation and (role == "user") != ((index - start) % 2 == 0):
            wanted = "user" if role != "user" else "assistant"
            return index, f"the template wants the {wanted} to speak there"
        if family.system_first and role == "system" and index:
            return index, "the template takes a system message only at the start"
    return None


def _write_calls(family: ChatTemplateSpec, conversation: Conversation) -> Conversation:
    form = family.calls
    if form is None or not conversation.extras:
        return conversation
    written = Conversation(conversation.roles, list(conversation.texts))
    for index, extra in conversation.extras.items():
        text = conversation.texts[index]
        if not extra.calls or (form.alone and (text or len(extra.calls) > 1)):
            written.extras[index] = extra
            continue
        for call in extra.calls:
            written_call = json.dumps(
                {"name": call.name, form.arguments: call.arguments}, ensure_ascii=False, default=str
            )
            text += f"{form.before}{written_call}{form.after}"
        written.texts[index] = text if conversation.texts[index] else text.removeprefix("\n")
    return written


def _alternates(roles: list[str], start: int) -> bool:
    """Return whether users and assistants alternate, as in most conversations."""
    users, assistants = roles[start::2], roles[start + 1 :: 2]
    return users.count("user") == len(users) and assistants.count("assistant") == len(assistants)


def flatten_tools(conversation: Conversation, keep: Container[str] = ()) -> Conversation:
    """Return a conversation with its tool calls and results as plain text, except roles to keep."""
    flat = Conversation(list(conversation.roles), list(conversation.texts))
    for index, (role, text) in enumerate(zip(conversation.roles, conversation.texts, strict=True)):
        extra = conversation.extras.get(index, Extra())
        if extra.calls:
            lines = [text] if text else []
            for call in extra.calls:
                written = {"name": call.name, "arguments": call.arguments}
                lines.append(f"Tool call: {json.dumps(written, ensure_ascii=False, default=str)}")
            flat.texts[index] = "\n".join(lines)
        elif role in {"tool", "function"} and role not in keep:
            flat.roles[index] = "user"
            flat.texts[index] = f"Tool result{f' ({extra.name})' if extra.name else ''}: {text}"
    return flat


def merge(
    conversation: Conversation, gap: str | None = None, only: str | None = None
) -> Conversation:
    """Join neighbours of one role, or of the role `only`.

    Between joined messages stands `gap`; None means a blank line, and none beside empty ones.
    """
    roles: list[str] = []
    groups: list[list[str]] = []  # joined at the end: joining each time would be quadratic
    for role, text in zip(conversation.roles, conversation.texts, strict=True):
        if roles and roles[-1] == role and only in {None, role}:
            groups[-1].append(text)
        else:
            roles.append(role)
            groups.append([text])
    return Conversation(roles, [_join(*g) if gap is None else gap.join(g) for g in groups])


def _gather_system(family: ChatTemplateSpec, conversation: Conversation) -> Conversation:
    pairs = list(zip(conversation.roles, conversation.texts, strict=True))
    others = [(role, text) for role, text in pairs if role != "system"]
    system = [text for role, text in pairs if role == "system"]
    if not system:
        return conversation
    text = _join(*system)
    # System text that waits for a user message would be lost where there is none.
    carrier = others[-1][0] if others and family.system_in == "last" else "user"
    lost = family.strict_alternation and (not others or carrier != "user")
    role = "user" if family.system_in == "nowhere" or lost else "system"
    return Conversation([role, *(r for r, _ in others)], [text, *(t for _, t in others)])


def _alternate(conversation: Conversation) -> Conversation:
    merged = merge(conversation)
    first = 1 if merged.roles[0] == "system" else 0
    if merged.roles[first:] and merged.roles[first] == "assistant":
        merged.roles.insert(first, "user")
        merged.texts.insert(first, "")
    return merged


def _join(*texts: str) -> str:
    return "\n\n".join([text for text in texts if text])
