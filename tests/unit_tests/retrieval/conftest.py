"""Embeddings of the offline server, in every store, asked sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from langchain_easyllm import EasyLLMEmbeddings
from langchain_easyllm.offline import OfflineServer

from ...support.offline_model import remembered_answers
from ...support.retrieval_corpus import DOCUMENTS
from ...support.vector_stores import STORES, Store

CallMethod = Callable[..., Any]


@pytest.fixture(scope="package", autouse=True)
def _remembered() -> Iterator[None]:
    with remembered_answers():
        yield


@pytest.fixture(params=["sync", "async"])
def call_method(request: pytest.FixtureRequest) -> CallMethod:
    """Call a method of an object, or its asynchronous twin."""

    def call(target: object, name: str, *args: object, **kwargs: object) -> Any:
        if request.param == "sync":
            return getattr(target, name)(*args, **kwargs)
        return asyncio.run(getattr(target, f"a{name}")(*args, **kwargs))

    return call


@pytest.fixture
def embeddings(offline_server: OfflineServer) -> EasyLLMEmbeddings:
    """Vectors of the offline server's."""
    return EasyLLMEmbeddings(base_url=offline_server.base_url)


@pytest.fixture(params=STORES)
def kind(request: pytest.FixtureRequest) -> Store:
    """Each kind of store."""
    return STORES[request.param]


@pytest.fixture(params=["made", "reopened"])
def store(
    request: pytest.FixtureRequest, kind: Store, embeddings: EasyLLMEmbeddings, tmp_path: Path
) -> Iterator[VectorStore]:
    """The corpus in each kind of store, as it was made and as it came back from disk."""
    if request.param == "made":
        with kind.made(embeddings, tmp_path) as made:
            yield made
        return
    with kind.made(embeddings, tmp_path):
        pass
    with kind.reopened(embeddings, tmp_path) as opened:
        yield opened


@pytest.fixture
def memory(embeddings: EasyLLMEmbeddings) -> VectorStore:
    """The corpus in memory, where the kind of store does not matter."""
    return InMemoryVectorStore.from_documents(DOCUMENTS, embeddings)
