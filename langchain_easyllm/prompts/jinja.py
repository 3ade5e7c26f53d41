"""Prompts from Jinja chat templates, rendered as transformers renders them."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import ClassVar, Unpack

from jinja2 import Template
from jinja2.exceptions import TemplateError
from jinja2.meta import find_undeclared_variables

from ..errors import PromptError
from .base import ChatPrompt, RoleMode, Switches, TemplateToolSupport, TokenMode
from .conversation import Conversation, ToolCall, escaped, read
from .family import check_modes, refuse_tokens
from .normalize import flatten_tools, merge
from .sandbox import BUDGET, Budget, ChatEnvironment, RaisedError
from .special_tokens import SpecialTokens
from .switches import check_effort, check_switches, to_date

MAX_TEMPLATE = 1_000_000  # characters of a template's source

_MARKS = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|<｜[^｜<>\s]{1,40}｜>|\[/?[A-Z_]{2,24}\]|<</?SYS>>"
    r"|</?(?:s|bos|eos|start_of_turn|end_of_turn|tool_call|tool_response)>"
)

# The eos of the tokenizer is not what ends a turn for many families; these do where a template
# writes them.
_TURN_ENDS = (
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|im_end|>",
    "<|end_of_turn|>",
    "<end_of_turn>",
    "<turn|>",
    "<|return|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<｜end▁of▁sentence｜>",
)

# What templates call the switches of `render`.
_SWITCHES = {
    "thinking": frozenset({"enable_thinking", "thinking"}),
    "reasoning_effort": frozenset({"reasoning_effort"}),
    "date": frozenset({"strftime_now", "date_string"}),
}


_HARMONY_EFFORTS = ("low", "medium", "high")


@dataclass(frozen=True)
class JinjaPrompt(ChatPrompt):
    template: str = field(kw_only=True, repr=False)
    # The template's variables; None leaves one undefined.
    bos_token: str | None = field(default=None, kw_only=True)
    eos_token: str | None = field(default=None, kw_only=True)
    # Special tokens of the tokenizer, beside those that the template spells out.
    tokens: tuple[str, ...] = field(default=(), kw_only=True, repr=False)

    may_block: ClassVar[bool] = True
    """Its author decides how long it renders."""

    @classmethod
    def of(
        cls,
        template: str,
        *,
        name: str = "template",
        stop: tuple[str, ...] | None = None,
        bos_token: str | None = None,
        eos_token: str | None = None,
        tokens: tuple[str, ...] = (),
    ) -> JinjaPrompt:
        """Make a prompt of a template, by default with the turn ends that it writes as stops."""
        _compiled(template)
        writes_bos = bos_token and ("bos_token" in template or bos_token in template)
        return cls(
            name,
            turn_ends(template) if stop is None else stop,
            bos_token if writes_bos else None,
            template=template,
            bos_token=bos_token,
            eos_token=eos_token,
            tokens=tokens,
        )

    @cached_property
    def special_tokens(self) -> SpecialTokens:
        """The special tokens that are given, and those that the template spells out."""
        spelled = [token for token in (self.bos_token, self.eos_token) if token]
        return SpecialTokens([*self.tokens, *spelled, *_MARKS.findall(self.template)])

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
        """Render a conversation; see `ChatPrompt.render`.

        Under `roles="fold"` a conversation that the template refuses is rewritten step by step
        until the template takes it: tools as plain text, neighbours merged, then system text in
        the first user message.
        """
        check_modes(roles, special_tokens)
        switches = Switches(thinking=thinking, reasoning_effort=reasoning_effort, date=date)
        variables = self._variables(switches)
        conversation = read(messages)
        if special_tokens == "error":
            refuse_tokens(self.special_tokens, conversation)
        refused: Exception | None = None
        incomplete: str | None = None
        for attempt in _attempts(conversation) if roles == "fold" else (conversation,):
            safe = attempt if special_tokens == "allow" else self._escaped(attempt)
            try:
                text = _run(self, safe, add_generation_prompt, variables=variables)
            except RaisedError as error:
                refused = refused or error
                continue
            except PromptError:
                if incomplete is None:
                    raise
                break
            if roles == "strict" or not _leaves_out(safe, text, every=attempt is not conversation):
                return text
            incomplete = incomplete or text
        if incomplete is not None:
            return incomplete
        raise PromptError(
            f"The chat template {self.name!r} refuses the conversation: {refused}"
        ) from refused

    @property
    def switches(self) -> frozenset[str]:
        names = _variables_of(self.template)
        return frozenset({switch for switch, known in _SWITCHES.items() if names & known})

    @property
    def efforts(self) -> tuple[str, ...] | None:
        """The efforts of gpt-oss, whose template would write any text; None for any other."""
        found = super().efforts
        return _HARMONY_EFFORTS if found is None and "<|channel|>" in self.template else found

    def _variables(self, switches: Switches) -> dict[str, object]:
        """Return the template's variables that are switched, whatever it calls them."""
        check_switches(self.name, self.switches, switches)
        if self.efforts:
            check_effort(self.name, self.efforts, switches.get("reasoning_effort"))
        given = {name: value for name, value in switches.items() if value is not None}
        found = {variable: given[name] for name in given for variable in _SWITCHES[name]}
        day = switches.get("date")
        if day is not None:
            moment = dt.datetime.combine(to_date(day), dt.time()).astimezone()
            found["strftime_now"] = moment.strftime
            found["date_string"] = moment.strftime("%d %b %Y")
        return found

    def _escaped(self, conversation: Conversation) -> Conversation:
        tokens = self.special_tokens
        extras = escaped(Conversation(extras=conversation.extras), tokens.escape).extras
        return Conversation(conversation.roles, tokens.escape_all(conversation.texts), extras)

    @property
    def host(self) -> TemplateToolSupport:
        """What the template has for tools; models of ChatML know Hermes' tags without it."""
        return TemplateToolSupport(
            "hermes" if "<|im_start|>" in self.template else "",
            template=self.template if "tools" in self.template else "",
        )

    def escape(self, text: str) -> str:
        return self.special_tokens.escape(text)

    def render_own_tools(
        self,
        conversation: Conversation,
        tools: Sequence[Mapping[str, object]],
        **switches: Unpack[Switches],
    ) -> str | None:
        """Render tools by the template; None if it refuses them, or leaves out a tool's result."""
        variables = self._variables(switches)
        try:
            text = _run(self, conversation, True, tools, variables=variables)
        except (PromptError, RaisedError):
            return None
        return None if _leaves_out(conversation, text, every=False) else text


def turn_ends(template: str) -> tuple[str, ...]:
    return tuple([end for end in _TURN_ENDS if end in template])


def _attempts(conversation: Conversation) -> Iterator[Conversation]:
    yield conversation
    conversation = flatten_tools(conversation)
    yield conversation
    merged = merge(conversation)
    yield merged
    yield _system_in_user(merged)


def _leaves_out(conversation: Conversation, prompt: str, *, every: bool) -> bool:
    """Return whether a template left out a tool's text, or if rewritten, any message's."""
    for index in range(len(conversation.texts)) if every else conversation.extras:
        text = conversation.texts[index].strip()
        calls = conversation.extras[index].calls if index in conversation.extras else ()
        if not all(call.name in prompt for call in calls):
            return True
        if text not in prompt and json.dumps(text, ensure_ascii=False)[1:-1] not in prompt:
            return True
    return False


def _system_in_user(conversation: Conversation) -> Conversation:
    pairs = list(zip(conversation.roles, conversation.texts, strict=True))
    system = "\n\n".join([text for role, text in pairs if role == "system" and text])
    others = [(role, text) for role, text in pairs if role != "system"]
    head = [("user", system)] if system or not others or others[0][0] != "user" else []
    moved = [*head, *others]
    return merge(Conversation([role for role, _ in moved], [text for _, text in moved]))


def _run(
    prompt: JinjaPrompt,
    conversation: Conversation,
    answer: bool,
    tools: Sequence[Mapping[str, object]] | None = None,
    *,
    variables: Mapping[str, object],
) -> str:
    compiled = _compiled(prompt.template)
    variables = {
        **variables,
        "messages": _messages(conversation),
        "tools": None if tools is None else list(tools),
        "documents": None,
        "add_generation_prompt": answer,
    }
    for name in ("bos_token", "eos_token"):
        token = getattr(prompt, name)
        if token is not None:
            variables[name] = token
    size = len(prompt.template) + sum([len(text) for text in conversation.texts])
    reset = BUDGET.set(Budget(size))
    try:
        return "".join(list(compiled.generate(**variables)))
    except (PromptError, RaisedError):
        raise
    except (
        TemplateError,
        ArithmeticError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as e:
        kind = type(e).__name__
        raise PromptError(
            f"The chat template {prompt.name!r} failed on this conversation: {kind}: {e}"
        ) from e
    finally:
        BUDGET.reset(reset)


def _messages(conversation: Conversation) -> list[dict[str, object]]:
    messages: list[dict[str, object]] = []
    for index, (role, text) in enumerate(zip(conversation.roles, conversation.texts, strict=True)):
        message: dict[str, object] = {"role": role, "content": text}
        extra = conversation.extras.get(index)
        if extra is not None:
            if extra.calls:
                message["tool_calls"] = [_call(call) for call in extra.calls]
            if extra.name is not None:
                message["name"] = extra.name
            if extra.call_id is not None:
                message["tool_call_id"] = extra.call_id
        messages.append(message)
    return messages


def _call(call: ToolCall) -> dict[str, object]:
    # Through JSON, so that the template sees plain data and no object with methods.
    arguments = json.loads(json.dumps(call.arguments, default=str))
    written: dict[str, object] = {
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
    return written if call.id is None else {"id": call.id, **written}


@lru_cache(maxsize=64)
def _variables_of(template: str) -> frozenset[str]:
    environment = ChatEnvironment()
    environment.globals.clear()  # which are not reported
    return frozenset(find_undeclared_variables(environment.parse(template)))


@lru_cache(maxsize=64)
def _compiled(template: str) -> Template:
    if len(template) > MAX_TEMPLATE:
        raise PromptError(
            f"A chat template of {len(template):,} characters is above {MAX_TEMPLATE:,}."
        )
    try:
        return ChatEnvironment().from_string(template)
    except (TemplateError, RecursionError, SyntaxError, MemoryError) as error:
        raise PromptError(f"The chat template is not valid Jinja: {error}") from error
