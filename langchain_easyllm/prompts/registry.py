"""Prompts by name, and `build_*_prompt`: prompts as plain functions.

EasyLLM's nine builders take what EasyLLM's take (a string, role/content dicts or objects with
`role` and `content`) and LangChain messages too, and return what EasyLLM 0.6.2 returns: nothing is
normalized and nothing escaped. The others render the official template with this package's
defaults. Both come from the tables of templates: `build_*_prompt` of any family, and
`*_stop_sequences` of EasyLLM's, are attributes of this module.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Unpack

from .._nearest import nearest
from ..errors import PromptError
from .base import ChatPrompt, RoleMode, Switches, TokenMode
from .conversation import ROLES
from .easyllm import EASYLLM
from .families import ALIASES, FAMILIES
from .family import FamilyPrompt, check_modes
from .switches import check_switches

Builder = Callable[[object], str]
"""A prompt as a function: messages to the prompt's text."""


@dataclass(frozen=True)
class CallablePrompt(ChatPrompt):
    # Gets the messages as the caller gave them; the modes of `render` do not apply.
    build: Builder = field(kw_only=True)

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
        del add_generation_prompt
        check_modes(roles, special_tokens)
        switches = Switches(thinking=thinking, reasoning_effort=reasoning_effort, date=date)
        check_switches(self.name, self.switches, switches)
        text = self.build(messages)
        if not isinstance(text, str):
            raise PromptError(
                f"The prompt builder {self.name} returned {type(text).__name__}, not a string."
            )
        return text

    def render_told(
        self, pairs: Sequence[tuple[str, str]], *, own_forms: bool, **switches: Unpack[Switches]
    ) -> str:
        """Call the function with LangChain messages, which is what chat models are given."""
        from langchain_core.messages import convert_to_messages  # noqa: PLC0415 - seldom needed

        del own_forms
        return self.render(convert_to_messages(list(pairs)), **switches)


def _built_in() -> dict[str, ChatPrompt]:
    # EasyLLM's llama2 and vicuna differ from the official ones, which have the name.
    families = {**EASYLLM, **FAMILIES}
    prompts: dict[str, ChatPrompt] = {n: FamilyPrompt.of(f) for n, f in families.items()}
    prompts |= {alias: prompts[name] for alias, name in ALIASES.items()}
    return dict(sorted(prompts.items()))


_prompts = _built_in()
_lock = threading.Lock()

PROMPT_MAPPING: Mapping[str, ChatPrompt] = MappingProxyType(_prompts)
"""Every prompt by its name, a live read-only view; `register_prompt` adds to it."""


def get_prompt(spec: object) -> ChatPrompt:
    """Find or make a prompt.

    Args:
        spec: A name in `PROMPT_MAPPING`, a `ChatPrompt`, a callable `(messages) -> str`, or a
            Jinja chat template (recognised by `{{` or `{%`).

    Returns:
        The prompt.

    Raises:
        PromptError: If it is none of these; for an unknown name with the nearest known ones.
    """
    if isinstance(spec, ChatPrompt):
        return spec
    if isinstance(spec, str):
        prompt = _prompts.get(spec)
        if prompt is not None:
            return prompt
        if "{{" in spec or "{%" in spec:
            from .jinja import JinjaPrompt  # noqa: PLC0415 - loads at first use

            return JinjaPrompt.of(spec)
        raise _unknown(spec)
    if callable(spec):
        name = getattr(spec, "__name__", type(spec).__name__)
        return CallablePrompt(str(name), build=spec)
    raise PromptError(
        "A prompt is a name, a ChatPrompt, a callable or a Jinja template, "
        f"not {type(spec).__name__}."
    )


def register_prompt(
    name: str, prompt: object, *, stop: Iterable[str] | None = None, overwrite: bool = False
) -> ChatPrompt:
    """Register a prompt under a name.

    Args:
        name: The name under which `get_prompt` finds it.
        prompt: A `ChatPrompt`, a callable `(messages) -> str`, or a Jinja chat template.
        stop: Texts that end an answer; by default the prompt's own.
        overwrite: Whether a prompt that already has the name is replaced.

    Returns:
        The prompt as registered.

    Raises:
        PromptError: If the name is empty or taken, or the prompt is not one.
    """
    plain = isinstance(name, str) and name.strip() and "{{" not in name and "{%" not in name
    if not plain or name == "auto":  # which means the model's own template
        raise PromptError(f"A prompt needs a plain name, not {name!r}.")
    if isinstance(stop, str):
        stop = (stop,)
    made = get_prompt(prompt)
    made = replace(made, name=name, stop=made.stop if stop is None else tuple(stop))
    with _lock:
        if name in _prompts and not overwrite:
            raise PromptError(
                f"There is already a prompt named {name!r}; overwrite=True replaces it."
            )
        _prompts[name] = made
    return made


def _unknown(name: str) -> PromptError:
    if name == "auto":
        return PromptError("'auto' means a model's own template; load_prompt(model) loads it.")
    near = nearest(name, _prompts, n=3, cutoff=0.5)
    if near:
        hint = "did you mean " + " or ".join(repr(match) for match in near) + "?"
    else:
        hint = "list(PROMPT_MAPPING) has the names, 'llama3.1', 'qwen3' and 'zephyr' among them."
    return PromptError(f"There is no prompt named {name!r}; {hint}")


_ROLES = frozenset({"system", "user", "assistant"})
# The names in EasyLLM's errors, where they differ.
_EASYLLM_TITLES = {
    "chatml_falcon": "HF ChatML",
    "chatml_starchat": "HF ChatML",
    "llama2": "Llama 2",
    "open_assistant": "Open Assistant",
    "vicuna": "Vicuna",
    "wizardlm": "WizardLM",
}
_WITHOUT_EMPTY_SYSTEM = frozenset({"llama2"})


def _builder_name(family: str) -> str:
    plain = family.replace("phi-", "phi").replace("-", "_").replace(".", "_")
    return f"build_{plain}_prompt"


# EasyLLM's builders have the names of its prompts, also where an official template is called alike.
_BUILDERS = {_builder_name(name): name for name in {**FAMILIES, **EASYLLM}}
_BUILDERS |= {_builder_name(alias): name for alias, name in ALIASES.items()}
_STOP_SEQUENCES = {f"{name}_stop_sequences": list(each.stop) for name, each in EASYLLM.items()}


def table_names() -> list[str]:
    return sorted([*_BUILDERS, *_STOP_SEQUENCES])


def __getattr__(name: str) -> object:
    if name in _STOP_SEQUENCES:
        return _STOP_SEQUENCES[name]
    if name in _BUILDERS:
        return _builder(_BUILDERS[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_EASYLLM_DOC = """Build the `{}` prompt exactly as EasyLLM 0.6.2 does.

    Args:
        messages: A string (one user message), or a list of role/content dicts or objects with
            `role` and `content`; a system message may stand only at the start.

    Returns:
        The prompt, with the assistant's answer opened at the end.

    Raises:
        PromptError: If the list is empty, or holds a role or content that the prompt cannot write.
    """
_OFFICIAL_DOC = """Build the official `{}` prompt with the defaults of `ChatPrompt.render`.

    Args:
        messages: What `ChatPrompt.render` takes.

    Returns:
        The prompt, with the assistant's answer opened at the end.

    Raises:
        PromptError: If there is no conversation to render.
    """


@cache
def _builder(family: str) -> Builder:
    easyllm = family in EASYLLM
    prompt = FamilyPrompt.of(EASYLLM[family] if easyllm else FAMILIES[family])

    def build(messages: object) -> str:
        if easyllm:
            messages = _pairs(messages, family)
            return prompt.render(messages, roles="strict", special_tokens="allow")
        return prompt.render(messages)

    build.__name__ = build.__qualname__ = _builder_name(family)
    build.__doc__ = (_EASYLLM_DOC if easyllm else _OFFICIAL_DOC).format(family)
    return build


def _pairs(messages: object, name: str) -> list[tuple[str, str]]:
    if isinstance(messages, str):
        empty = [] if name in _WITHOUT_EMPTY_SYSTEM else [("system", "")]
        return [*empty, ("user", messages)]
    if not isinstance(messages, Iterable):
        raise PromptError(f"Messages come as a string or a list, not as {type(messages).__name__}.")
    return [_pair(name, index, message) for index, message in enumerate(messages)]


def _pair(name: str, index: int, message: object) -> tuple[str, str]:
    if isinstance(message, Mapping):
        role, content = message.get("role"), message.get("content")
    else:
        role, content = getattr(message, "role", None), getattr(message, "content", None)
        if role is None:  # a LangChain message
            role = ROLES.get(str(getattr(message, "type", None)))
    if role == "function":
        title = _EASYLLM_TITLES.get(name, name)
        raise PromptError(f"{title} does not support function calls. Message {index} is one.")
    if not isinstance(role, str) or role not in _ROLES:
        raise PromptError(
            f"Message {index} has the invalid role {role!r}; EasyLLM knows {sorted(_ROLES)}."
        )
    if not isinstance(content, str):
        raise PromptError(
            f"Message {index} ({role}) has content of type {type(content).__name__}, not str."
        )
    return role, content
