"""Which prompts there are: the built-in ones and the user's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from types import MappingProxyType

from .base import ChatPrompt, PromptError, RoleMode, TokenMode
from .easyllm import EASYLLM
from .families import ALIASES, FAMILIES
from .family import FamilyPrompt, check_modes

__all__ = ["PROMPT_MAPPING", "CallablePrompt", "get_prompt", "register_prompt"]


@dataclass(frozen=True)
class CallablePrompt(ChatPrompt):
    """A function of one's own as a prompt.

    Attributes:
        build: Gets the messages just as the caller gave them and returns the prompt. The modes of
            `render` are its own business.
    """

    build: Callable[[object], str] = field(kw_only=True)

    def render(
        self,
        messages: object,
        *,
        add_generation_prompt: bool = True,
        roles: RoleMode = "fold",
        special_tokens: TokenMode = "escape",
    ) -> str:
        """Call the function; see `ChatPrompt.render`."""
        del add_generation_prompt
        check_modes(roles, special_tokens)
        text = self.build(messages)
        if not isinstance(text, str):
            msg = f"The prompt builder {self.name} returned {type(text).__name__}, not a string."
            raise PromptError(msg)
        return text

    def render_told(self, told: Sequence[tuple[str, str]], *, own_forms: bool) -> str:
        """Call the function with LangChain messages, which is what chat models are given."""
        from langchain_core.messages import convert_to_messages  # noqa: PLC0415 - seldom needed

        del own_forms
        return self.render(convert_to_messages(list(told)))


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
            from .template import JinjaPrompt  # noqa: PLC0415 - loads at first use

            return JinjaPrompt.of(spec)
        raise _unknown(spec)
    if callable(spec):
        name = getattr(spec, "__name__", type(spec).__name__)
        return CallablePrompt(str(name), build=spec)
    msg = (
        "A prompt is a name, a ChatPrompt, a callable or a Jinja template, "
        f"not {type(spec).__name__}."
    )
    raise PromptError(msg)


def register_prompt(
    name: str, prompt: object, *, stop: Iterable[str] | None = None, overwrite: bool = False
) -> ChatPrompt:
    """Give a prompt of one's own a name.

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
        msg = f"A prompt needs a plain name, not {name!r}."
        raise PromptError(msg)
    if isinstance(stop, str):
        stop = (stop,)
    made = get_prompt(prompt)
    made = replace(made, name=name, stop=made.stop if stop is None else tuple(stop))
    with _lock:
        if name in _prompts and not overwrite:
            msg = f"There is already a prompt named {name!r}; overwrite=True replaces it."
            raise PromptError(msg)
        _prompts[name] = made
    return made


def _unknown(name: str) -> PromptError:
    if name == "auto":
        msg = "'auto' means a model's own template; load_prompt(model) loads it."
        return PromptError(msg)
    near = get_close_matches(name.lower(), list(_prompts), n=3, cutoff=0.5)
    if near:
        hint = "did you mean " + " or ".join(repr(match) for match in near) + "?"
    else:
        hint = "known names are " + ", ".join(_prompts) + "."
    return PromptError(f"There is no prompt named {name!r}; {hint}")
