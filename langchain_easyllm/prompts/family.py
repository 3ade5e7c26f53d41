"""Renders the built-in families from their tables."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from ..errors import PromptError
from .base import ChatPrompt, RoleMode, TemplateToolSupport, TokenMode
from .conversation import Conversation, read
from .normalize import merge, normalize
from .spec import ChatTemplateSpec
from .special_tokens import SpecialTokens

__all__ = ["FamilyPrompt", "check_modes", "refuse_tokens"]


@dataclass(frozen=True)
class FamilyPrompt(ChatPrompt):
    """A built-in prompt.

    Attributes:
        family: The table that it renders from.
    """

    family: ChatTemplateSpec = field(kw_only=True, repr=False)

    @classmethod
    def of(cls, family: ChatTemplateSpec) -> FamilyPrompt:
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
            refuse_tokens(family.control, talk, family.line_roles)
        talk = normalize(family, talk, roles)
        if special_tokens != "allow":
            texts = family.control.escape_all(talk.texts, talk.roles, family.line_roles)
            talk = Conversation(talk.roles, texts, talk.extras)
        return _write(family, talk, add_generation_prompt)

    @property
    def host(self) -> TemplateToolSupport:
        """What the family's template has for tools."""
        family = self.family
        form = family.tool_form
        return TemplateToolSupport(
            family.tool_format,
            forms=frozenset(form.turns) if form else frozenset(),
            space=form.space if form else " ",
            default_system=None if family.separators else family.default_system,
        )

    def escape(self, text: str) -> str:
        """Break the family's control tokens, as if the text stood at the start of a line."""
        return self.family.control.escape(text, at_line_start=True)

    def render_told(self, told: Sequence[tuple[str, str]], *, own_forms: bool) -> str:
        """Render a conversation with tools; see `ChatPrompt.render_told`."""
        family = self.family.with_tools if own_forms else self.family
        talk = Conversation([role for role, _ in told], [text for _, text in told])
        return _write(family, normalize(family, talk, "fold"), answer=True)


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


def refuse_tokens(
    control: SpecialTokens, talk: Conversation, line_roles: Container[str] = ()
) -> None:
    """Refuse content that holds a control token.

    Args:
        control: The template's control tokens.
        talk: The conversation.
        line_roles: Roles whose content the template puts at the start of a line.

    Raises:
        PromptError: Naming the token and the message.
    """
    for index, text in enumerate(talk.texts):
        token = control.find(text, at_line_start=talk.roles[index] in line_roles)
        if token is not None:
            msg = (
                f"Message {index} ({talk.roles[index]}) holds {token!r}, which is a control token "
                'of this prompt; special_tokens="escape" neutralises it.'
            )
            raise PromptError(msg)


def _write(family: ChatTemplateSpec, talk: Conversation, answer: bool) -> str:
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


def _one_by_one(family: ChatTemplateSpec, roles: list[str], texts: list[str]) -> str:
    head = ""
    if family.lead is not None and roles[0] == "system":
        head, roles, texts = family.lead.write(texts[0]), roles[1:], texts[1:]
    elif family.default_system is not None and roles[0] != "system":
        head = (family.lead or family.turns["system"]).write(family.default_system)
    return head + "".join(_written(family, roles, texts))


def _alternating(family: ChatTemplateSpec, roles: list[str], texts: list[str]) -> str:
    start = 1 if roles[0] == "system" else 0
    system, roles, texts = texts[0], roles[start:], texts[start:]
    place = 0 if family.system_in == "first" else len(roles) - 1
    parts = _written(family, roles, texts)
    if start and roles and roles[place] == "user":
        turn, (before, after) = family.turns["user"], family.system_block
        text = texts[place]
        if turn.trim and not family.trim_block:
            text = text.strip()
        block = f"{before}{system}{after}{text}"
        parts[place] = f"{turn.before}{block.strip() if family.trim_block else block}{turn.after}"
    return "".join(parts)


def _written(family: ChatTemplateSpec, roles: list[str], texts: list[str]) -> list[str]:
    if family.tool_gap is not None and "tool" in roles:
        merged = merge(Conversation(roles, texts), family.tool_gap, only="tool")
        roles, texts = merged.roles, merged.texts
    turns, around = family.turns, family.around
    if around is None:
        return [turns[role].write(text) for role, text in zip(roles, texts, strict=True)]
    if family.dropped.intersection(roles):
        # The official template accepts such a message at this place and writes nothing.
        around = dict.fromkeys(family.dropped, ("", "", False)) | around
        texts = ["" if r in family.dropped else t for r, t in zip(roles, texts, strict=True)]
    return [
        f"{before}{text.strip() if trim else text}{after}"
        for (before, after, trim), text in zip(map(around.__getitem__, roles), texts, strict=True)
    ]


def _by_position(family: ChatTemplateSpec, separators: tuple[str, str], talk: Conversation) -> str:
    system = family.default_system or ""
    parts: list[str] = []
    for role, text in zip(talk.roles, talk.texts, strict=True):
        if role == "system":
            system = text
        else:
            said = f" {text}{separators[len(parts) % 2]}" if text else ""
            parts.append(f"{family.turns[role].before}{said}")
    return f"{system}{separators[0]}{''.join(parts)}"
