"""EasyLLM's OpenAI-style clients, on this package's transport.

Code written for `easyllm.clients.huggingface` works with its import changed::

    from langchain_easyllm import huggingface

    huggingface.prompt_builder = "llama2"
    response = huggingface.ChatCompletion.create(
        model="meta-llama/Llama-2-70b-chat-hf",
        messages=[{"role": "user", "content": "Knock knock."}],
    )
    print(response["choices"][0]["message"]["content"])

The attributes of this module are settings that every call reads once, when it is made; later
changes by another thread do not affect it. None means the environment's value, read at that moment.
A call's own keyword argument of the same name overrides both.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._clients import ChatCompletion, Completion, Embedding

if TYPE_CHECKING:
    from pydantic import SecretStr

    from .._fields.constructor_types import KeyFunction
    from ..prompts import ChatPrompt

__all__ = [
    "ChatCompletion",
    "Completion",
    "Embedding",
    "api_base",
    "api_key",
    "api_type",
    "api_version",
    "prompt_builder",
    "seed",
    "stop_sequences",
]

api_type: str = "huggingface"
"""The kind of service; there is only one."""

api_key: str | SecretStr | KeyFunction | None = None
"""Token, or a function that returns one, which is sent to the `api_base` in force, whatever its
host; see the `api_key` of `EasyLLMChat`. Default:
`HUGGINGFACE_TOKEN`, the other variables of huggingface_hub, then the stored login; those go to
Hugging Face's own hosts only, never to a Space."""

api_base: str | None = None
"""Address of the server: its root, `/v1` or a full route. Default: `HUGGINGFACE_API_BASE`, then
Inference Providers, which need a `model` in each call."""

prompt_builder: str | ChatPrompt | Callable[[Any], str] | None = None
"""How messages become a prompt: a name (EasyLLM's own builder where it has one of that name, the
official template otherwise), a function `(messages) -> str`, a `ChatPrompt` or a Jinja template.
Default: `HUGGINGFACE_PROMPT`, else none: the server's chat api renders the model's own template."""

stop_sequences: list[str] = []
"""Stop sequences of every call, before the call's own and the prompt's."""

seed: int | None = 42
"""Seed of the sampling. The answers of one call with `n > 1` get this one and those after it. None
leaves it to the server."""

api_version: str
"""`HUGGINGFACE_API_VERSION`, else EasyLLM's date. Has no effect."""


def __getattr__(name: str) -> str:
    if name == "api_version":
        return os.environ.get("HUGGINGFACE_API_VERSION") or "2023-07-29"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
