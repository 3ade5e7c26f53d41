"""LangChain chat models, LLMs and embeddings for every Hugging Face inference server.

The classes load at first use, so that importing a part imports that part alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from . import huggingface
    from .chat_models import EasyLLMChat
    from .embeddings import EasyLLMEmbeddings
    from .llms import EasyLLM
    from .rerank import EasyLLMRerank

__all__ = [
    "EasyLLM",
    "EasyLLMChat",
    "EasyLLMEmbeddings",
    "EasyLLMRerank",
    "__version__",
    "huggingface",
]

_HOMES = {
    "EasyLLM": ".llms",
    "EasyLLMChat": ".chat_models",
    "EasyLLMEmbeddings": ".embeddings",
    "EasyLLMRerank": ".rerank",
}


def __getattr__(name: str) -> object:
    if name == "huggingface":
        return import_module(".huggingface", __name__)
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
