"""Rewrites what a template cannot express, and nothing else.

The rules, in the order in which they apply to a conversation that the template would refuse:

1. Several calls of one assistant message become a message each, followed by its result, where the
   template takes one call at a time. A tool or function result becomes a user message,
   `Tool result (name): ...`; calls that an assistant made follow its text as `Tool call: {...}`.
2. System texts are joined by a blank line, where the template has its system text, or else at the
   start of the first user message.
3. Neighbours of one role become one message, joined by a blank line.
4. A conversation that opens with the assistant gets an empty user message before it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from itertools import takewhile

from ..errors import PromptError
from .base import RoleMode
from .conversation import Conversation, Extra, ToolCall
from .spec import ChatTemplateSpec


def normalize(family: ChatTemplateSpec, conversation: Conversation, mode: RoleMode) -> Conversation:
    """Return a conversation that the template accepts; the same one where it accepts that."""
    why = refusal(family, conversation)
    if why is None:
        return conversation
    if mode != "fold":
        raise PromptError(why)
    if family.one_call:
        conversation = _one_call_each(conversation)
    flat = flatten_tools(conversation, keep=family.known, family=family)
    gathers = family.strict_alternation or family.system_first or family.one_system
    if gathers or family.separators is not None:
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
        if extra.calls and (reason := _refused_calls(family, conversation.texts[index], extra)):
            return index, reason
    roles = conversation.roles
    if family.result_after_call and "tool" in roles:
        for index in _results_without_call(conversation):
            return index, "no message before it makes a tool call"
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


def _refused_calls(family: ChatTemplateSpec, text: str, extra: Extra) -> str | None:
    if family.calls is None and not family.writes_calls:
        return "it makes tool calls, which the template has no form for"
    if family.lone_call and (text or len(extra.calls) > 1):
        return "it makes tool calls, and the template takes a single call without a text"
    if family.one_call and len(extra.calls) > 1:
        return "it makes several tool calls, and the template takes one in a message"
    if family.one_call and text and extra.reasoning:
        return "it has a text and reasoning beside its tool call, and the template takes one"
    return None


def _results_without_call(conversation: Conversation) -> Iterator[int]:
    """Yield the tool messages that follow no call, or an assistant's message after it."""
    called = False
    for index, role in enumerate(conversation.roles):
        if role == "assistant":
            called = bool(conversation.extras.get(index, Extra()).calls)
        elif role == "tool" and not called:
            yield index


def _one_call_each(conversation: Conversation) -> Conversation:
    """Make each call of a message a message of its own, with the result of the call behind it.

    Reasoning stands before the text of the first one.
    """
    split = Conversation()
    roles, texts, extras = conversation.roles, conversation.texts, conversation.extras
    index = 0
    while index < len(roles):
        extra = extras.get(index)
        if extra is None or not extra.calls:
            _append(split, roles[index], texts[index], extra)
            index += 1
            continue
        text = _join(extra.reasoning, texts[index])
        index += 1
        answers = list(takewhile(lambda i: roles[i] == "tool", range(index, len(roles))))
        index += len(answers)
        for call in extra.calls:
            _append(split, "assistant", text, replace(extra, calls=(call,), reasoning=""))
            text = ""
            last = call is extra.calls[-1]
            own = answers if last else _results_of(call, answers, extras)
            for i in own:
                _append(split, "tool", texts[i], extras.get(i))
            answers = [i for i in answers if i not in own]
    return split


def _results_of(call: ToolCall, results: list[int], extras: Mapping[int, Extra]) -> list[int]:
    """Choose the results of a call: by its id, or in their order where it has none."""
    if call.id is None:
        return results[:1]
    return [index for index in results if extras[index].call_id == call.id]


def _append(conversation: Conversation, role: str, text: str, extra: Extra | None) -> None:
    if extra is not None:
        conversation.extras[len(conversation.roles)] = extra
    conversation.roles.append(role)
    conversation.texts.append(text)


def _alternates(roles: list[str], start: int) -> bool:
    """Return whether users and assistants alternate, as in most conversations."""
    users, assistants = roles[start::2], roles[start + 1 :: 2]
    return users.count("user") == len(users) and assistants.count("assistant") == len(assistants)


def flatten_tools(
    conversation: Conversation, keep: Container[str] = (), family: ChatTemplateSpec | None = None
) -> Conversation:
    """Return a conversation with its tool calls and results as plain text.

    Roles to keep, and what a family has a form for, stay as they are.
    """
    flat = Conversation(list(conversation.roles), list(conversation.texts))
    lost = set(_results_without_call(conversation)) if family and family.result_after_call else ()
    for index, (role, text) in enumerate(zip(conversation.roles, conversation.texts, strict=True)):
        extra = conversation.extras.get(index, Extra())
        if extra.calls and (family is None or _refused_calls(family, text, extra)):
            lines = [text] if text else []
            for call in extra.calls:
                written = {"name": call.name, "arguments": call.arguments}
                lines.append(f"Tool call: {json.dumps(written, ensure_ascii=False, default=str)}")
            flat.texts[index] = "\n".join(lines)
        elif role in {"tool", "function"} and (role not in keep or index in lost):
            flat.roles[index] = "user"
            flat.texts[index] = f"Tool result{f' ({extra.name})' if extra.name else ''}: {text}"
        elif family is not None and index in conversation.extras:
            flat.extras[index] = extra
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
    roles, texts = conversation.roles, conversation.texts
    others = [index for index, role in enumerate(roles) if role != "system"]
    system = [text for role, text in zip(roles, texts, strict=True) if role == "system"]
    if not system:
        return conversation
    # System text that waits for a user message would be lost where there is none.
    carrier = roles[others[-1]] if others and family.system_in == "last" else "user"
    lost = family.strict_alternation and (not others or carrier != "user")
    lost = lost and family.system_in != "turn"
    gathered = Conversation()
    role = "user" if family.system_in == "nowhere" or lost else "system"
    _append(gathered, role, _join(*system), None)
    for index in others:
        _append(gathered, roles[index], texts[index], conversation.extras.get(index))
    return gathered


def _alternate(conversation: Conversation) -> Conversation:
    merged = merge(conversation)
    first = 1 if merged.roles[0] == "system" else 0
    if merged.roles[first:] and merged.roles[first] == "assistant":
        merged.roles.insert(first, "user")
        merged.texts.insert(first, "")
    return merged


def _join(*texts: str) -> str:
    return "\n\n".join([text for text in texts if text])
