"""Chat prompts: messages to the one string that a text API is sent.

Every name of `PROMPT_MAPPING` is a `ChatPrompt`; `get_prompt` also takes a callable, a Jinja
template or a prompt of your own, and `load_prompt` reads the template of a model's own repository.
The parts load at first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from ..errors import PromptError as PromptError
    from .base import ChatPrompt as ChatPrompt
    from .hub import load_prompt as load_prompt
    from .registry import PROMPT_MAPPING as PROMPT_MAPPING
    from .registry import Builder
    from .registry import get_prompt as get_prompt
    from .registry import register_prompt as register_prompt

    build_anthropic_prompt: Builder
    build_chatml_falcon_prompt: Builder
    build_chatml_prompt: Builder
    build_chatml_starchat_prompt: Builder
    build_command_r7b_prompt: Builder
    build_deepseek_llm_prompt: Builder
    build_deepseek_v3_1_prompt: Builder
    build_falcon_prompt: Builder
    build_gemma_2_prompt: Builder
    build_gemma_3_prompt: Builder
    build_gemma_prompt: Builder
    build_glm_4_5_prompt: Builder
    build_gpt_oss_prompt: Builder
    build_granite_3_3_prompt: Builder
    build_kimi_k2_prompt: Builder
    build_lfm2_prompt: Builder
    build_llama2_prompt: Builder
    build_llama3_1_prompt: Builder
    build_llama3_prompt: Builder
    build_llama4_prompt: Builder
    build_minimax_m2_prompt: Builder
    build_mistral_nemo_prompt: Builder
    build_mistral_prompt: Builder
    build_mistral_small_3_prompt: Builder
    build_mistral_v0_1_prompt: Builder
    build_mistral_v0_3_prompt: Builder
    build_open_assistant_prompt: Builder
    build_openchat_prompt: Builder
    build_phi3_5_prompt: Builder
    build_phi3_prompt: Builder
    build_phi4_mini_prompt: Builder
    build_phi4_prompt: Builder
    build_qwen2_5_prompt: Builder
    build_qwen2_prompt: Builder
    build_qwen3_coder_prompt: Builder
    build_qwen3_instruct_2507_prompt: Builder
    build_qwen3_prompt: Builder
    build_qwen3_thinking_2507_prompt: Builder
    build_smollm2_prompt: Builder
    build_smollm3_prompt: Builder
    build_stablebeluga_prompt: Builder
    build_vicuna_prompt: Builder
    build_wizardlm_prompt: Builder
    build_zephyr_prompt: Builder
    anthropic_stop_sequences: list[str]
    chatml_falcon_stop_sequences: list[str]
    chatml_starchat_stop_sequences: list[str]
    falcon_stop_sequences: list[str]
    llama2_stop_sequences: list[str]
    open_assistant_stop_sequences: list[str]
    stablebeluga_stop_sequences: list[str]
    vicuna_stop_sequences: list[str]
    wizardlm_stop_sequences: list[str]

_MODULES = {
    "ChatPrompt": ".base",
    "PROMPT_MAPPING": ".registry",
    "PromptError": "..errors",
    "get_prompt": ".registry",
    "load_prompt": ".hub",
    "register_prompt": ".registry",
}

_load, _names = lazy_attributes(__name__, _MODULES)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a builder of any family
    if name == "__all__":
        names = [*_MODULES, *_table_names()]
        return sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    if name.startswith("build_") or name.endswith("_stop_sequences"):
        value = getattr(import_module(".registry", __name__), name, None)
        if value is not None:
            return globals().setdefault(name, value)
    return _load(name)


def __dir__() -> list[str]:
    return sorted({*_names(), *_table_names()})


def _table_names() -> list[str]:
    from .registry import table_names  # noqa: PLC0415 - loads at first use

    return table_names()
