"""Renders the built-in families from their tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .base import ChatPrompt, PromptError, RoleMode, TokenMode
from .control import ControlTokens
from .conversation import Conversation, read
from .folding import fold
from .spec import Family

__all__ = ["FamilyPrompt", "check_modes", "refuse_tokens"]


@dataclass(frozen=True)
class FamilyPrompt(ChatPrompt):
    """A built-in prompt.

    Attributes:
        family: The table that it renders from.
    """

    family: Family = field(kw_only=True, repr=False)

    @classmethod
    def of(cls, family: Family) -> FamilyPrompt:
        """Make the prompt of a family."""
        return cls(family.name, family.stop, family.bos, family=family)

    def render(
        self,
        messages: object,
        *,
        add_generation_prompt: bool = True,
        roles: RoleMode = "fold",
        special_tokens: TokenMode = "escape",
    ) -> str:
        """Render a conversation; see `ChatPrompt.render`."""
        check_modes(roles, special_tokens)
        family = self.family
        talk = read(messages)
        if special_tokens == "error":
            refuse_tokens(family.control, talk)
        talk = fold(family, talk, roles)
        if special_tokens != "allow" and family.control.found_in_any(talk.texts):
            talk = _guarded(family, talk, special_tokens)
        return _write(family, talk, add_generation_prompt)


def check_modes(roles: str, special_tokens: str) -> None:
    """Refuse an unknown mode.

    Args:
        roles: The mode for roles.
        special_tokens: The mode for control tokens.

    Raises:
        PromptError: If one of them is not a mode.
    """
    if roles not in {"fold", "strict"}:
        msg = f'roles is "fold" or "strict", not {roles!r}.'
        raise PromptError(msg)
    if special_tokens not in {"escape", "allow", "error"}:
        msg = f'special_tokens is "escape", "allow" or "error", not {special_tokens!r}.'
        raise PromptError(msg)


def refuse_tokens(control: ControlTokens, talk: Conversation) -> None:
    """Refuse content that holds a control token.

    Args:
        control: The template's control tokens.
        talk: The conversation.

    Raises:
        PromptError: Naming the token and the message.
    """
    if not control.found_in_any(talk.texts):
        return
    for index, text in enumerate(talk.texts):
        token = control.find(text)
        if token is not None:
            msg = (
                f"Message {index} ({talk.roles[index]}) holds {token!r}, which is a control token "
                'of this prompt; special_tokens="escape" neutralises it.'
            )
            raise PromptError(msg)


def _guarded(family: Family, talk: Conversation, mode: TokenMode) -> Conversation:
    if mode == "error":
        refuse_tokens(family.control, talk)
    escape = family.control.escape
    texts = [
        escape(text, at_line_start=_opens_line(family, role))
        for role, text in zip(talk.roles, talk.texts, strict=True)
    ]
    return Conversation(talk.roles, texts, talk.extras)


def _opens_line(family: Family, role: str) -> bool:
    before = family.turns[role].before if role in family.turns else ""
    return before == "" or before.endswith("\n")


def _write(family: Family, talk: Conversation, answer: bool) -> str:
    if family.separators is not None:
        body = _by_position(family, family.separators, talk)
    elif family.positional:
        body = _alternating(family, talk.roles, talk.texts)
    else:
        body = _one_by_one(family, talk.roles, talk.texts)
    text = family.start + body
    if family.strip_start:
        text = text.lstrip()
    return text + (family.answer if answer else family.end)


def _one_by_one(family: Family, roles: Sequence[str], texts: Sequence[str]) -> str:
    head = ""
    if family.lead is not None and roles[0] == "system":
        head, roles, texts = family.lead.write(texts[0]), roles[1:], texts[1:]
    elif family.default_system is not None and roles[0] != "system":
        head = (family.lead or family.turns["system"]).write(family.default_system)
    around = family.plain
    if around is not None:
        pairs = zip(map(around.__getitem__, roles), texts, strict=True)
        return head + "".join([f"{before}{text}{after}" for (before, after), text in pairs])
    turns = family.turns
    return head + "".join([turns[r].write(text) for r, text in zip(roles, texts, strict=True)])


def _alternating(family: Family, roles: Sequence[str], texts: Sequence[str]) -> str:
    turns = family.turns
    parts: list[str] = []
    start = 1 if roles[0] == "system" else 0
    place = start if family.system_in == "first" else len(roles) - 1
    for index in range(start, len(roles)):
        role, text = roles[index], texts[index]
        if role not in turns:
            continue  # the official template accepts such a message here and writes nothing
        turn = turns[role]
        if start and index == place and role == "user":
            before, after = family.system_block
            if turn.trim and not family.trim_block:
                text = text.strip()
            block = f"{before}{texts[0]}{after}{text}"
            block = block.strip() if family.trim_block else block
            parts.append(f"{turn.before}{block}{turn.after}")
        else:
            parts.append(turn.write(text))
    return "".join(parts)


def _by_position(family: Family, separators: tuple[str, str], talk: Conversation) -> str:
    system = family.default_system or ""
    parts: list[str] = []
    for role, text in zip(talk.roles, talk.texts, strict=True):
        if role == "system":
            system = text
        else:
            said = f" {text}{separators[len(parts) % 2]}" if text else ""
            parts.append(f"{family.turns[role].before}{said}")
    return f"{system}{separators[0]}{''.join(parts)}"
