"""LangChain chat models, LLMs and embeddings for every Hugging Face inference server.

The classes load at first use, so that importing a part imports that part alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import lazy_attributes

if TYPE_CHECKING:
    from . import huggingface as huggingface
    from ._version import __version__ as __version__
    from .chat_models import EasyLLMChat as EasyLLMChat
    from .cross_encoder import EasyLLMCrossEncoder as EasyLLMCrossEncoder
    from .embeddings import EasyLLMEmbeddings as EasyLLMEmbeddings
    from .llms import EasyLLM as EasyLLM
    from .rerank import EasyLLMRerank as EasyLLMRerank
    from .sparse_embeddings import EasyLLMSparseEmbeddings as EasyLLMSparseEmbeddings

_MODULES = {
    "EasyLLM": ".llms",
    "EasyLLMChat": ".chat_models",
    "EasyLLMCrossEncoder": ".cross_encoder",
    "EasyLLMEmbeddings": ".embeddings",
    "EasyLLMRerank": ".rerank",
    "EasyLLMSparseEmbeddings": ".sparse_embeddings",
    "__version__": "._version",
    "huggingface": ".huggingface",
}

__all__ = [*_MODULES]  # noqa: PLE0604
__getattr__, __dir__ = lazy_attributes(__name__, _MODULES)
