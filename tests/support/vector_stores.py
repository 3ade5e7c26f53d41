"""Vector stores that can be put on disk, each made, kept and opened in its own way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from langchain_community.vectorstores import FAISS
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from .retrieval_corpus import DOCUMENTS

__all__ = ["STORES", "Store"]


class Opener(Protocol):
    def __call__(self, embeddings: Embeddings, folder: Path) -> VectorStore: ...


@dataclass(frozen=True)
class Store:
    """How a kind of store is made of the corpus and kept in a folder, opened again, and closed."""

    make: Opener
    open: Opener
    cosines: bool = True
    """Whether its scores are cosines; else they are squared distances."""

    @contextmanager
    def made(self, embeddings: Embeddings, folder: Path) -> Iterator[VectorStore]:
        store = self.make(embeddings, folder)
        try:
            yield store
        finally:
            _close(store)

    @contextmanager
    def reopened(self, embeddings: Embeddings, folder: Path) -> Iterator[VectorStore]:
        store = self.open(embeddings, folder)
        try:
            yield store
        finally:
            _close(store)

    def cosine(self, score: float) -> float:
        """The cosine that a score means, for vectors of length 1."""
        return score if self.cosines else 1 - score / 2


def _close(store: VectorStore) -> None:
    client = getattr(store, "client", None)  # Qdrant's
    if client is not None:
        client.close()  # it locks its folder


def _make_memory(embeddings: Embeddings, folder: Path) -> VectorStore:
    store = InMemoryVectorStore.from_documents(DOCUMENTS, embeddings)
    store.dump(str(folder / "store.json"))
    return store


def _open_memory(embeddings: Embeddings, folder: Path) -> VectorStore:
    return InMemoryVectorStore.load(str(folder / "store.json"), embeddings)


def _make_faiss(embeddings: Embeddings, folder: Path) -> VectorStore:
    store = FAISS.from_documents(DOCUMENTS, embeddings)
    store.save_local(str(folder))
    return store


def _open_faiss(embeddings: Embeddings, folder: Path) -> VectorStore:
    # The pickle is our own, of a moment ago.
    return FAISS.load_local(str(folder), embeddings, allow_dangerous_deserialization=True)


# Asynchronous calls come from other threads. (Asked for, this also spares Qdrant a look at SQLite
# through a connection that it leaves to the garbage collector, which Python 3.13 reports.)
QDRANT: dict[str, Any] = {"collection_name": "corpus", "force_disable_check_same_thread": True}


def _make_qdrant(embeddings: Embeddings, folder: Path) -> VectorStore:
    from langchain_qdrant import QdrantVectorStore  # seconds, of which most tests need none

    return QdrantVectorStore.from_documents(DOCUMENTS, embeddings, path=str(folder), **QDRANT)


def _open_qdrant(embeddings: Embeddings, folder: Path) -> VectorStore:
    from langchain_qdrant import QdrantVectorStore  # as above

    return QdrantVectorStore.from_existing_collection(
        embedding=embeddings, path=str(folder), **QDRANT
    )


STORES: Mapping[str, Store] = {
    "memory": Store(_make_memory, _open_memory),
    "faiss": Store(_make_faiss, _open_faiss, cosines=False),
    "qdrant": Store(_make_qdrant, _open_qdrant),
}
