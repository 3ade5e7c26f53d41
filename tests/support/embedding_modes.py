"""One call, made in each mode of embeddings and rerankers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import numpy as np

from langchain_easyllm import EasyLLMEmbeddings

__all__ = ["BATCH_MODES", "MODES", "bodies", "embedded"]

Texts = Sequence[str]


async def _some(texts: Texts) -> AsyncIterator[str]:
    for text in texts:
        yield text


def _iterated(model: EasyLLMEmbeddings, texts: Texts) -> Iterator[Any]:
    return (row for array in model.iter_embeddings(iter(texts)) for row in array.tolist())


async def _aiterated(model: EasyLLMEmbeddings, texts: Texts) -> list[Any]:
    return [row async for array in model.aiter_embeddings(_some(texts)) for row in array.tolist()]


def _array(model: EasyLLMEmbeddings, texts: Texts) -> list[Any]:
    array = model.embed_documents_array(texts)
    assert array.dtype == np.float32
    return array.tolist()


BATCH_MODES: dict[str, Callable[[EasyLLMEmbeddings, Any], list[list[float]]]] = {
    "documents": lambda model, texts: model.embed_documents(texts),
    "adocuments": lambda model, texts: asyncio.run(model.aembed_documents(texts)),
    "array": _array,
    "aarray": lambda model, texts: asyncio.run(model.aembed_documents_array(texts)).tolist(),
    "iter": lambda model, texts: list(_iterated(model, texts)),
    "aiter": lambda model, texts: asyncio.run(_aiterated(model, texts)),
}
ONE: dict[str, Callable[[EasyLLMEmbeddings, Any], list[list[float]]]] = {
    "query": lambda model, texts: [model.embed_query(text) for text in texts],
    "aquery": lambda model, texts: [asyncio.run(model.aembed_query(text)) for text in texts],
}
MODES = BATCH_MODES | ONE


def embedded(mode: str, model: EasyLLMEmbeddings, texts: Any) -> list[list[float]]:
    """The vectors of texts, in one of `MODES`."""
    return MODES[mode](model, texts)


def bodies(server: Any, path: str | None = None) -> list[dict[str, Any]]:
    """The bodies of the requests that had one."""
    return [r.json for r in server.requests if r.body and (path is None or r.path == path)]
