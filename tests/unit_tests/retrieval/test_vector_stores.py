"""Vector stores find what is nearest by the model's own vectors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

from langchain_easyllm import EasyLLMEmbeddings
from langchain_easyllm.offline import offline_server
from langchain_easyllm.offline.embedding_model import EmbeddingModel

from ...support.retrieval_corpus import SAME, TEXTS
from ...support.vector_stores import Store
from .conftest import CallMethod

QUERIES = ["What is bread made of?", "Who is the mayor of Westbury?", "a sleeping animal"]
BREAD = QUERIES[0]


def cosines(query: str, texts: Sequence[str] = TEXTS) -> np.ndarray:
    """How near texts are to a query, by the model itself."""
    model = EmbeddingModel.load()
    return model.embed(texts) @ model.embed([query])[0]


def indices(documents: Sequence[Document]) -> list[int]:
    return [document.metadata["place"] for document in documents]


def test_the_nearest_are_found_in_order(store: VectorStore, call_method: CallMethod) -> None:
    for query in QUERIES:
        found = call_method(store, "similarity_search", query, k=5)
        assert indices(found) == np.argsort(-cosines(query))[:5].tolist()
        assert [each.page_content for each in found] == [TEXTS[place] for place in indices(found)]


def test_scores_are_the_models_cosines(
    store: VectorStore, kind: Store, call_method: CallMethod
) -> None:
    found = call_method(store, "similarity_search_with_score", BREAD, k=len(TEXTS))
    right = cosines(BREAD)
    assert sorted(indices([document for document, _ in found])) == list(range(len(TEXTS)))
    for document, score in found:
        assert kind.cosine(float(score)) == pytest.approx(
            right[document.metadata["place"]], abs=2e-6
        )


def spread(found: Sequence[Document]) -> float:
    """How like each other documents are: the mean cosine of two of them."""
    vectors = EmbeddingModel.load().embed([document.page_content for document in found])
    return float(np.mean([one @ other for one, other in combinations(vectors, 2)]))


def test_marginal_relevance_leaves_out_what_was_said_before(
    store: VectorStore, call_method: CallMethod
) -> None:
    nearest = call_method(store, "similarity_search", BREAD, k=4)
    diverse = call_method(store, "max_marginal_relevance_search", BREAD, k=4, fetch_k=len(TEXTS))
    assert indices(diverse)[0] == indices(nearest)[0]
    assert len(SAME & {*indices(nearest)}) == 3
    assert len(SAME & {*indices(diverse)}) <= 1
    assert spread(diverse) < spread(nearest) / 2


def test_documents_are_added_and_taken_out(store: VectorStore, call_method: CallMethod) -> None:
    document = Document("The mayor of Stonebridge is Dana Quinn.", metadata={"place": 99})
    added = call_method(store, "add_documents", [document])
    assert indices(call_method(store, "similarity_search", "Stonebridge's mayor", k=1)) == [99]
    call_method(store, "delete", added)
    assert 99 not in indices(call_method(store, "similarity_search", "Stonebridge's mayor", k=4))


def test_what_is_on_disk_is_not_embedded_again(kind: Store, tmp_path: Path) -> None:
    with offline_server() as server:  # of its own, for the list of its requests
        embeddings = EasyLLMEmbeddings(base_url=server.base_url)
        with kind.made(embeddings, tmp_path):
            pass
        before = len(server.requests)
        with kind.reopened(embeddings, tmp_path) as store:
            store.similarity_search(BREAD)
        bodies = [request.json for request in server.requests[before:] if request.body]
    sent = {text for body in bodies for text in body["input"]}
    assert BREAD in sent  # and a text by which Qdrant learns how long a vector is
    assert not sent & {*TEXTS}


def test_queries_and_documents_have_prompts_of_their_own(
    kind: Store, embeddings: EasyLLMEmbeddings, call_method: CallMethod, tmp_path: Path
) -> None:
    prompted = embeddings.model_copy(
        update={"query_prompt": "query: ", "document_prompt": "passage: "}
    )
    right = cosines(f"query: {BREAD}", [f"passage: {text}" for text in TEXTS])
    with kind.made(prompted, tmp_path) as store:
        [(best, score)] = call_method(store, "similarity_search_with_score", BREAD, k=1)
    assert best.page_content == TEXTS[int(right.argmax())]  # kept as it is
    assert kind.cosine(float(score)) == pytest.approx(right.max(), abs=2e-6)
