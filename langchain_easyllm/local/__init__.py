"""Models in this process: a `transformers` pipeline asked as any server is.

A request goes to a local model in TGI's own protocol, and its answer is read as TGI's is, so that
prompts, stop sequences, streams, tools and everything else work as they do on a server. Needs the
extra: `pip install "langchain-easyllm[local]"`. What is heavy loads with the first request.
"""

from __future__ import annotations

from .checks import check_libraries, check_model, check_pipeline
from .registry import open_embeddings, open_model
from .settings import LocalSettings
from .transport import LocalAsyncStream, LocalStream, LocalTransport

__all__ = [
    "LocalAsyncStream",
    "LocalSettings",
    "LocalStream",
    "LocalTransport",
    "check_libraries",
    "check_model",
    "check_pipeline",
    "open_embeddings",
    "open_model",
]
