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


@dataclass(frozen=True)
class FamilyPrompt(ChatPrompt):
    family: ChatTemplateSpec = field(kw_only=True, repr=False)

    @classmethod
    def of(cls, family: ChatTemplateSpec) -> FamilyPrompt:
        return cls(family.name, family.stop, family.bos, family=family)

    def render(
        self,
        messages: object,
        *,
        add_generation_prompt: bool = True,
        roles: RoleMode = "fold",
        special_tokens: TokenMode = "escape",
    ) -> str:
        check_modes(roles, special_tokens)
        family = self.family
        conversation = read(messages)
        if special_tokens == "error":
            refuse_tokens(family.special_tokens, conversation, family.roles_at_line_start)
        conversation = normalize(family, conversation, roles)
        if special_tokens != "allow":
            texts = family.special_tokens.escape_all(
                conversation.texts, conversation.roles, family.roles_at_line_start
            )
            conversation = Conversation(conversation.roles, texts, conversation.extras)
        return _write(family, conversation, add_generation_prompt)

    @property
    def host(self) -> TemplateToolSupport:
        family = self.family
        form = family.tool_form
        return TemplateToolSupport(
            family.tool_format,
            forms=frozenset(form.turns) if form else frozenset(),
            space=form.space if form else " ",
            default_system=None if family.separators else family.default_system,
        )

    def escape(self, text: str) -> str:
        """Put a space into the family's special tokens, as at the start of a line."""
        return self.family.special_tokens.escape(text, at_line_start=True)

    def render_told(self, pairs: Sequence[tuple[str, str]], *, own_forms: bool) -> str:
        family = self.family.with_tools if own_forms else self.family
        conversation = Conversation([role for role, _ in pairs], [text for _, text in pairs])
        return _write(family, normalize(family, conversation, "fold"), answer=True)


def check_modes(roles: str, special_tokens: str) -> None:
    if roles not in {"fold", "strict"}:
        raise PromptError(f'roles is "fold" or "strict", not {roles!r}.')
    if special_tokens not in {"escape", "allow", "error"}:
        raise PromptError(
            f'special_tokens is "escape", "allow" or "error", not {special_tokens!r}.'
        )


def refuse_tokens(
    tokens: SpecialTokens, conversation: Conversation, roles_at_line_start: Container[str] = ()
) -> None:
    for index, text in enumerate(conversation.texts):
        token = tokens.find(text, at_line_start=conversation.roles[index] in roles_at_line_start)
        if token is not None:
            role = conversation.roles[index]
            raise PromptError(
                f"Message {index} ({role}) holds {token!r}, which is a special token of this "
                'prompt; special_tokens="escape" neutralises it.'
            )


def _write(family: ChatTemplateSpec, conversation: Conversation, answer: bool) -> str:
    if family.separators is not None:
        body = _by_position(family, family.separators, conversation)
    elif family.strict_alternation:
        body = _alternating(family, conversation.roles, conversation.texts)
    else:
        body = _one_by_one(family, conversation.roles, conversation.texts)
    text = family.start + body
    if family.strip_start:
        text = text.lstrip()
    return text + (family.answer if answer else family.end)


def _one_by_one(family: ChatTemplateSpec, roles: list[str], texts: list[str]) -> str:
    head = ""
    if family.system_template is not None and roles[0] == "system":
        head, roles, texts = family.system_template.write(texts[0]), roles[1:], texts[1:]
    elif family.default_system is not None and roles[0] != "system":
        head = (family.system_template or family.turns["system"]).write(family.default_system)
    return head + "".join(_written(family, roles, texts))


def _alternating(family: ChatTemplateSpec, roles: list[str], texts: list[str]) -> str:
    start = 1 if roles[0] == "system" else 0
    system, roles, texts = texts[0], roles[start:], texts[start:]
    index = 0 if family.system_in == "first" else len(roles) - 1
    parts = _written(family, roles, texts)
    if start and roles and roles[index] == "user":
        role, (before, after) = family.turns["user"], family.system_block
        text = texts[index]
        if role.trim and not family.trim_block:
            text = text.strip()
        block = f"{before}{system}{after}{text}"
        parts[index] = f"{role.before}{block.strip() if family.trim_block else block}{role.after}"
    return "".join(parts)


def _written(family: ChatTemplateSpec, roles: list[str], texts: list[str]) -> list[str]:
    if family.tool_gap is not None and "tool" in roles:
        merged = merge(Conversation(roles, texts), family.tool_gap, only="tool")
        roles, texts = merged.roles, merged.texts
    turns, affixes = family.turns, family.role_affixes
    if affixes is None:
        return [turns[role].write(text) for role, text in zip(roles, texts, strict=True)]
    if family.ignored_roles.intersection(roles):
        # The official template accepts such a message at this place and writes nothing.
        affixes = dict.fromkeys(family.ignored_roles, ("", "", False)) | affixes
        texts = ["" if r in family.ignored_roles else t for r, t in zip(roles, texts, strict=True)]
    return [
        f"{before}{text.strip() if trim else text}{after}"
        for (before, after, trim), text in zip(map(affixes.__getitem__, roles), texts, strict=True)
    ]


def _by_position(
    family: ChatTemplateSpec, separators: tuple[str, str], conversation: Conversation
) -> str:
    system = family.default_system or ""
    parts: list[str] = []
    for role, text in zip(conversation.roles, conversation.texts, strict=True):
        if role == "system":
            system = text
        else:
            content = f" {text}{separators[len(parts) % 2]}" if text else ""
            parts.append(f"{family.turns[role].before}{content}")
    return f"{system}{separators[0]}{''.join(parts)}"
