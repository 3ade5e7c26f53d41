"""Chat prompts: messages to the one string that a text API is sent.

Every name of `PROMPT_MAPPING` is a `ChatPrompt`; `get_prompt` also takes a callable, a Jinja
template or a prompt of your own, and `load_prompt` reads the template of a model's own repository.
The parts load at first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..errors import PromptError
    from .base import ChatPrompt
    from .hub import load_prompt
    from .registry import (
        PROMPT_MAPPING,
        anthropic_stop_sequences,
        build_anthropic_prompt,
        build_chatml_falcon_prompt,
        build_chatml_prompt,
        build_chatml_starchat_prompt,
        build_deepseek_llm_prompt,
        build_falcon_prompt,
        build_gemma_2_prompt,
        build_gemma_3_prompt,
        build_gemma_prompt,
        build_llama2_prompt,
        build_llama3_1_prompt,
        build_llama3_prompt,
        build_mistral_nemo_prompt,
        build_mistral_prompt,
        build_mistral_v0_1_prompt,
        build_mistral_v0_3_prompt,
        build_open_assistant_prompt,
        build_openchat_prompt,
        build_phi3_5_prompt,
        build_phi3_prompt,
        build_phi4_prompt,
        build_qwen2_5_prompt,
        build_qwen2_prompt,
        build_smollm2_prompt,
        build_stablebeluga_prompt,
        build_vicuna_prompt,
        build_wizardlm_prompt,
        build_zephyr_prompt,
        chatml_falcon_stop_sequences,
        chatml_starchat_stop_sequences,
        falcon_stop_sequences,
        get_prompt,
        llama2_stop_sequences,
        open_assistant_stop_sequences,
        register_prompt,
        stablebeluga_stop_sequences,
        vicuna_stop_sequences,
        wizardlm_stop_sequences,
    )

__all__ = [
    "PROMPT_MAPPING",
    "ChatPrompt",
    "PromptError",
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
    "load_prompt",
    "open_assistant_stop_sequences",
    "register_prompt",
    "stablebeluga_stop_sequences",
    "vicuna_stop_sequences",
    "wizardlm_stop_sequences",
]

_HOMES = {
    "ChatPrompt": ".base",
    "PROMPT_MAPPING": ".registry",
    "PromptError": ".base",
    "get_prompt": ".registry",
    "load_prompt": ".hub",
    "register_prompt": ".registry",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value: object = getattr(import_module(_HOMES.get(name, ".registry"), __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
