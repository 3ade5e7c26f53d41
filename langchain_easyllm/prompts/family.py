"""Renders the built-in families from their tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Unpack

from ..errors import PromptError
from .base import ChatPrompt, RoleMode, Switches, TemplateToolSupport, TokenMode
from .conversation import Conversation, escaped, read
from .normalize import merge, normalize
from .spec import CallWriter, ChatTemplateSpec, RenderOptions
from .special_tokens import SpecialTokens
from .switches import read_options

# Roles whose texts do not come from the developer or the model.
_UNTRUSTED = frozenset({"user", "tool", "function"})


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
        thinking: bool | None = None,
        reasoning_effort: str | None = None,
        date: dt.date | str | None = None,
    ) -> str:
        check_modes(roles, special_tokens)
        family = self.family
        switches = Switches(thinking=thinking, reasoning_effort=reasoning_effort, date=date)
        options = read_options(family, switches, add_generation_prompt)
        conversation = read(messages, details=family.writes_details)
        if special_tokens == "error":
            _refuse_tokens_of(family, conversation)
        conversation = normalize(family, conversation, roles)
        if special_tokens != "allow":
            conversation = _escaped(family, conversation)
        return _write(family, conversation, options)

    @property
    def switches(self) -> frozenset[str]:
        return self.family.switches

    @property
    def efforts(self) -> tuple[str, ...]:
        return self.family.efforts

    @property
    def host(self) -> TemplateToolSupport:
        family = self.family
        form = family.tool_form
        default = None if family.separators else family.default_system
        return TemplateToolSupport(
            family.tool_format,
            forms=frozenset(form.turns) if form else frozenset(),
            space=form.space if form else " ",
            default_system=default and default.replace("{date}", read_options(family, {}).date),
            writes_calls=family.writes_calls,
            writes_tools=family.writes_tools,
        )

    def escape(self, text: str) -> str:
        """Put a space into the family's special tokens, as at the start of a line."""
        return self.family.special_tokens.escape(text, at_line_start=True)

    def render_own_tools(
        self,
        conversation: Conversation,
        tools: Sequence[Mapping[str, object]],
        **switches: Unpack[Switches],
    ) -> str | None:
        family = self.family
        if not (family.writes_tools or (family.writes_calls and not tools)):
            return None
        options = replace(read_options(family, switches), tools=tools)
        texts = _without_markup(family, conversation.roles, conversation.texts)
        conversation = Conversation(conversation.roles, texts, conversation.extras)
        return _write(family, normalize(family, conversation, "fold"), options)

    def render_told(
        self, pairs: Sequence[tuple[str, str]], *, own_forms: bool, **switches: Unpack[Switches]
    ) -> str:
        family = self.family.with_tools if own_forms else self.family
        conversation = Conversation([role for role, _ in pairs], [text for _, text in pairs])
        options = read_options(family, switches)
        return _write(family, normalize(family, conversation, "fold"), options)


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


def _refuse_tokens_of(family: ChatTemplateSpec, conversation: Conversation) -> None:
    refuse_tokens(family.special_tokens, conversation, family.roles_at_line_start)
    if family.markup.tokens:
        texts = zip(conversation.roles, conversation.texts, strict=True)
        untrusted = [text if role in _UNTRUSTED else "" for role, text in texts]
        refuse_tokens(family.markup, Conversation(conversation.roles, untrusted))


def _escaped(family: ChatTemplateSpec, conversation: Conversation) -> Conversation:
    tokens, roles = family.special_tokens, conversation.roles
    texts = tokens.escape_all(conversation.texts, roles, family.roles_at_line_start)
    texts = _without_markup(family, roles, texts)
    if family.joins_system:
        texts = _system_apart(family, roles, texts)
    extras = conversation.extras
    if extras:
        extras = escaped(Conversation(extras=extras), tokens.escape).extras
    return Conversation(roles, texts, extras)


def _without_markup(family: ChatTemplateSpec, roles: list[str], texts: list[str]) -> list[str]:
    if not family.markup.tokens:
        return texts
    escape = family.markup.escape
    pairs = zip(roles, texts, strict=True)
    return [escape(text) if role in _UNTRUSTED else text for role, text in pairs]


def _system_apart(family: ChatTemplateSpec, roles: list[str], texts: list[str]) -> list[str]:
    """Put a space before an assistant's text that would complete a token of the system text."""
    following = next((i for i, role in enumerate(roles) if role != "system"), None)
    if following is None or roles[following] != "assistant":
        return texts
    system = "\n\n".join([t for r, t in zip(roles, texts, strict=True) if r == "system"])
    if family.special_tokens.find(system + texts[following]) is None:
        return texts
    return [*texts[:following], f" {texts[following]}", *texts[following + 1 :]]


def _write(family: ChatTemplateSpec, conversation: Conversation, options: RenderOptions) -> str:
    if family.calls is not None and conversation.extras:
        conversation = _with_written_calls(family.calls, conversation)
    if family.writer is not None:
        return family.start + family.writer(conversation, options)
    roles, texts = conversation.roles, conversation.texts
    if family.separators is not None:
        body = _by_position(family, family.separators, conversation)
    elif family.strict_alternation:
        body = _alternating(family, roles, texts)
    else:
        body = _one_by_one(family, roles, texts, options)
    text = family.start + body
    if family.strip_start:
        text = text.lstrip()
    if options.answer and (family.answer_after_system or roles != ["system"]):
        return text + family.answer
    return text + ("" if options.answer else family.end)


def _with_written_calls(write: CallWriter, conversation: Conversation) -> Conversation:
    texts = list(conversation.texts)
    for index, extra in conversation.extras.items():
        if extra.calls:
            texts[index] = write(texts[index], extra.calls)
    return Conversation(conversation.roles, texts)


def _one_by_one(
    family: ChatTemplateSpec, roles: list[str], texts: list[str], options: RenderOptions
) -> str:
    template, default = family.system_template, family.default_system
    if options.thinking and family.thinking_system is not None:
        if roles[0] == "system":
            raise PromptError(
                f"thinking=True would do nothing: the prompt {family.name!r} asks for it in its "
                "default system text only, and a system message, or the description of tools, "
                "stands in its place. Leave that or thinking out, or write into the system "
                "message how the model is to think."
            )
        default = family.thinking_system
    if options.date:
        default = default and default.replace("{date}", options.date)
        before = template.before.replace("{date}", options.date) if template else ""
        template = template and replace(template, before=before)
    head = ""
    if template is not None and roles[0] == "system":
        head, roles, texts = template.write(texts[0]), roles[1:], texts[1:]
    elif default is not None and roles[0] != "system":
        head = (template or family.turns["system"]).write(default)
    return head + "".join(_written(family, roles, texts))


def _alternating(family: ChatTemplateSpec, roles: list[str], texts: list[str]) -> str:
    start = 1 if roles[0] == "system" else 0
    system, roles, texts = texts[0], roles[start:], texts[start:]
    parts = _written(family, roles, texts)
    if family.system_in == "turn" and family.system_template is not None:
        text = system if start else family.default_system or ""
        return "".join([family.system_template.write(text), *parts])
    index = 0 if family.system_in == "first" else len(roles) - 1
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
