"""`build_*_prompt`: prompts as plain functions.

EasyLLM's nine take what EasyLLM's take (a string, role/content dicts or objects with `role` and
`content`) and LangChain messages too, and return what EasyLLM 0.6.2 returns: nothing is folded and
nothing escaped. The others render the official template with this package's defaults.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from types import MappingProxyType

from ..errors import PromptError
from .base import ChatPrompt, RoleMode, TokenMode
from .conversation import ROLES
from .easyllm import EASYLLM
from .families import ALIASES, FAMILIES
from .family import FamilyPrompt, check_modes

__all__ = [
    "PROMPT_MAPPING",
    "CallablePrompt",
    "anthropic_stop_sequences",
    "build_anthropic_prompt",
    "build_chatml_falcon_prompt",
    "build_chatml_prompt",
    "build_chatml_starchat_prompt",
    "build_deepseek_llm_prompt",
    "build_falcon_prompt",
    "build_gemma_2_prompt",
    "build_gemma_3_prompt",
    "build_gemma_prompt",
    "build_llama2_prompt",
    "build_llama3_1_prompt",
    "build_llama3_prompt",
    "build_mistral_nemo_prompt",
    "build_mistral_prompt",
    "build_mistral_v0_1_prompt",
    "build_mistral_v0_3_prompt",
    "build_open_assistant_prompt",
    "build_openchat_prompt",
    "build_phi3_5_prompt",
    "build_phi3_prompt",
    "build_phi4_prompt",
    "build_qwen2_5_prompt",
    "build_qwen2_prompt",
    "build_smollm2_prompt",
    "build_stablebeluga_prompt",
    "build_vicuna_prompt",
    "build_wizardlm_prompt",
    "build_zephyr_prompt",
    "chatml_falcon_stop_sequences",
    "chatml_starchat_stop_sequences",
    "falcon_stop_sequences",
    "get_prompt",
    "llama2_stop_sequences",
    "open_assistant_stop_sequences",
    "register_prompt",
    "stablebeluga_stop_sequences",
    "vicuna_stop_sequences",
    "wizardlm_stop_sequences",
]


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
            from .jinja import JinjaPrompt  # noqa: PLC0415 - loads at first use

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


Builder = Callable[[object], str]

_ROLES = frozenset({"system", "user", "assistant"})
# How EasyLLM's errors call these prompts; the others by their own names.
_CALLED = {
    "chatml_falcon": "HF ChatML",
    "chatml_starchat": "HF ChatML",
    "llama2": "Llama 2",
    "open_assistant": "Open Assistant",
    "vicuna": "Vicuna",
    "wizardlm": "WizardLM",
}
_WITHOUT_EMPTY_SYSTEM = frozenset({"llama2"})


def _easyllm(name: str) -> Builder:
    prompt = FamilyPrompt.of(EASYLLM[name])

    def build(messages: object) -> str:
        pairs = _pairs(messages, name)
        return prompt.render(pairs, roles="strict", special_tokens="allow")

    build.__doc__ = f"""Build the `{name}` prompt exactly as EasyLLM 0.6.2 does.

    Args:
        messages: A string (one user turn), or a list of role/content dicts or objects with `role`
            and `content`; a system message may stand only at the start.

    Returns:
        The prompt, with the assistant's answer opened at the end.

    Raises:
        PromptError: If the list is empty, or holds a role or content that the prompt cannot write.
    """
    return _named(build, name)


def _official(name: str) -> Builder:
    prompt = FamilyPrompt.of(FAMILIES[name])

    def build(messages: object) -> str:
        return prompt.render(messages)

    build.__doc__ = f"""Build the official `{name}` prompt with the defaults of `ChatPrompt.render`.

    Args:
        messages: What `ChatPrompt.render` takes.

    Returns:
        The prompt, with the assistant's answer opened at the end.

    Raises:
        PromptError: If there is no conversation to render.
    """
    return _named(build, name)


def _named(build: Builder, name: str) -> Builder:
    plain = name.replace("phi-", "phi").replace("-", "_").replace(".", "_")
    build.__name__ = build.__qualname__ = f"build_{plain}_prompt"
    return build


def _pairs(messages: object, name: str) -> list[tuple[str, str]]:
    if isinstance(messages, str):
        empty = [] if name in _WITHOUT_EMPTY_SYSTEM else [("system", "")]
        return [*empty, ("user", messages)]
    if not isinstance(messages, Iterable):
        msg = f"Messages come as a string or a list, not as {type(messages).__name__}."
        raise PromptError(msg)
    return [_pair(name, index, message) for index, message in enumerate(messages)]


def _pair(name: str, index: int, message: object) -> tuple[str, str]:
    if isinstance(message, Mapping):
        role, content = message.get("role"), message.get("content")
    else:
        role, content = getattr(message, "role", None), getattr(message, "content", None)
        if role is None:  # a LangChain message
            role = ROLES.get(str(getattr(message, "type", None)))
    if role == "function":
        msg = f"{_CALLED.get(name, name)} does not support function calls. Message {index} is one."
        raise PromptError(msg)
    if not isinstance(role, str) or role not in _ROLES:
        msg = f"Message {index} has the invalid role {role!r}; EasyLLM knows {sorted(_ROLES)}."
        raise PromptError(msg)
    if not isinstance(content, str):
        msg = f"Message {index} ({role}) has content of type {type(content).__name__}, not str."
        raise PromptError(msg)
    return role, content


build_anthropic_prompt = _easyllm("anthropic")
build_chatml_falcon_prompt = _easyllm("chatml_falcon")
build_chatml_starchat_prompt = _easyllm("chatml_starchat")
build_falcon_prompt = _easyllm("falcon")
build_llama2_prompt = _easyllm("llama2")
build_open_assistant_prompt = _easyllm("open_assistant")
build_stablebeluga_prompt = _easyllm("stablebeluga")
build_vicuna_prompt = _easyllm("vicuna")
build_wizardlm_prompt = _easyllm("wizardlm")

build_chatml_prompt = _official("chatml")
build_deepseek_llm_prompt = _official("deepseek-llm")
build_gemma_2_prompt = _official("gemma-2")
build_gemma_3_prompt = _official("gemma-3")
build_gemma_prompt = build_gemma_2_prompt
build_llama3_1_prompt = _official("llama3.1")
build_llama3_prompt = _official("llama3")
build_mistral_nemo_prompt = _official("mistral-nemo")
build_mistral_v0_1_prompt = _official("mistral-v0.1")
build_mistral_v0_3_prompt = _official("mistral-v0.3")
build_mistral_prompt = build_mistral_v0_3_prompt
build_openchat_prompt = _official("openchat")
build_phi3_5_prompt = _official("phi-3.5")
build_phi3_prompt = _official("phi-3")
build_phi4_prompt = _official("phi-4")
build_qwen2_5_prompt = _official("qwen2.5")
build_qwen2_prompt = _official("qwen2")
build_smollm2_prompt = _official("smollm2")
build_zephyr_prompt = _official("zephyr")

anthropic_stop_sequences = list(EASYLLM["anthropic"].stop)
chatml_falcon_stop_sequences = list(EASYLLM["chatml_falcon"].stop)
chatml_starchat_stop_sequences = list(EASYLLM["chatml_starchat"].stop)
falcon_stop_sequences = list(EASYLLM["falcon"].stop)
llama2_stop_sequences = list(EASYLLM["llama2"].stop)
open_assistant_stop_sequences = list(EASYLLM["open_assistant"].stop)
stablebeluga_stop_sequences = list(EASYLLM["stablebeluga"].stop)
vicuna_stop_sequences = list(EASYLLM["vicuna"].stop)
wizardlm_stop_sequences = list(EASYLLM["wizardlm"].stop)
