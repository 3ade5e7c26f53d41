"""Sparse vectors: the body, the vectors, and Qdrant's store of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_qdrant import QdrantVectorStore, RetrievalMode
from langchain_qdrant.sparse_embeddings import SparseEmbeddings

from langchain_easyllm import EasyLLMEmbeddings, EasyLLMSparseEmbeddings
from langchain_easyllm.errors import BadRequestError, ConfigurationError, ProtocolError
from langchain_easyllm.sparse_embeddings import SparseVector

from ...support.embedding_modes import bodies
from ...support.fake_embedding_servers import serve_openai, serve_tei, sparse_of, sparse_route
from ...support.fake_errors import error
from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import info_tgi

Embed = Callable[[EasyLLMSparseEmbeddings, Any], list[SparseVector]]
MODES: dict[str, Embed] = {
    "documents": lambda model, texts: model.embed_documents(texts),
    "adocuments": lambda model, texts: asyncio.run(model.aembed_documents(texts)),
}
TEXTS = [f"text number {n}" + " of a longer kind" * (n % 4) for n in range(70)]


@pytest.fixture(params=MODES)
def embed(request: pytest.FixtureRequest) -> Embed:
    """Sync and async."""
    return MODES[request.param]


def right(text: str) -> SparseVector:
    pairs = sorted(sparse_of(text).items())
    return SparseVector([index for index, _ in pairs], [value for _, value in pairs])


def model_of(server: FakeServer, limit: int = 32, **fields: Any) -> EasyLLMSparseEmbeddings:
    serve_tei(server, limit=limit)
    return EasyLLMSparseEmbeddings(base_url=server.url, **fields)


def test_each_text_has_its_vector(fake_server: FakeServer, embed: Embed) -> None:
    model = model_of(fake_server)
    assert embed(model, TEXTS) == [right(text) for text in TEXTS]
    assert len(bodies(fake_server, "/embed_sparse")) == 3
    assert model.embed_query("What is a cat?") == right("What is a cat?")
    assert asyncio.run(model.aembed_query("Hi")) == right("Hi")


def test_no_texts_need_no_server(fake_server: FakeServer, embed: Embed) -> None:
    assert embed(model_of(fake_server), []) == []
    assert fake_server.requests == []


def test_fields_in_the_body(fake_server: FakeServer) -> None:
    fields = {"truncate": True, "truncation_direction": "left", "prompt_name": "query"}
    model = model_of(fake_server, **fields, model_kwargs={"x": 1})
    model.embed_query("Hi")
    [body] = bodies(fake_server)
    assert body == {"inputs": ["Hi"], **fields, "truncation_direction": "Left", "x": 1}


@pytest.mark.parametrize("mode", [RetrievalMode.SPARSE, RetrievalMode.HYBRID])
def test_qdrant_finds_texts_by_their_words(fake_server: FakeServer, mode: RetrievalMode) -> None:
    sparse = model_of(fake_server)
    assert isinstance(sparse, SparseEmbeddings)
    store = QdrantVectorStore.from_texts(
        ["The train leaves at ten.", "Cats sleep most of the day.", "Bread is baked at night."],
        embedding=EasyLLMEmbeddings(base_url=fake_server.url) if mode == "hybrid" else None,
        sparse_embedding=sparse,
        retrieval_mode=mode,
        location=":memory:",
    )
    try:
        # Of vectors of both kinds, each has its ranks, and only one text has a word in common.
        best, score = store.similarity_search_with_score("When do cats sleep?", k=3)[0]
        assert best.page_content.startswith("Cats")
        if mode == RetrievalMode.SPARSE:
            assert score == 2 * 0.5 * 0.5  # two words in common
        assert asyncio.run(store.asimilarity_search("bread", k=3))[0].page_content[:5] == "Bread"
    finally:
        store.client.close()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([[]], "1 sparse vectors to 2 texts"),
        ([[{"index": 1, "value": 0.5}] * 2, []], "sparse vector of text 0 holds"),
        ([[], [{"index": -1, "value": 0.5}]], "sparse vector of text 1 holds"),
        ([[], [{"index": "1", "value": 0.5}]], "sparse vector of text 1 holds"),
        ([[], [5]], "sparse vector of text 1 holds 5"),
        ([[], [{"index": 7, "value": None}]], "text 1 has None at place 7"),
        (Reply(b'[[], [{"index": 7, "value": NaN}]]'), "text 1 has nan at place 7"),
        ([[0.5], [0.5]], "sparse vector of text 0 holds 0.5"),
        ([0.5, 0.5], "no sparse vectors but"),
        ({"vectors": []}, "no sparse vectors but"),
        (Reply(b"<html>"), "no sparse vectors but '<html>': check base_url"),
    ],
)
def test_senseless_vectors(fake_server: FakeServer, body: Any, words: str, embed: Embed) -> None:
    model = model_of(fake_server)
    fake_server.on("POST", "/embed_sparse", body if isinstance(body, Reply) else Reply(body))
    with pytest.raises(ProtocolError, match=words):
        embed(model, ["a", "b"])


def test_a_text_that_is_refused_is_named(fake_server: FakeServer, embed: Embed) -> None:
    model, plain = model_of(fake_server), sparse_route()

    def answer(request: Received) -> Reply:
        return error("tei-too-long") if TEXTS[44] in request.json["inputs"] else plain(request)

    fake_server.on("POST", "/embed_sparse", answer)
    with pytest.raises(BadRequestError, match=r"Text 44 \('text number 44'\) was refused"):
        embed(model, TEXTS)
    with pytest.raises(ConfigurationError, match="Text 1 is empty"):
        embed(model, ["a", ""])
    with pytest.raises(ConfigurationError, match="A list of texts is wanted, not one str"):
        embed(model, "text")
    with pytest.raises(ConfigurationError, match="The query is empty"):
        model.embed_query("")


def test_who_makes_no_sparse_vectors_is_named(fake_server: FakeServer, embed: Embed) -> None:
    def words(who: str) -> str:
        return rf"{who} makes no sparse vectors: set base_url to Text Embeddings Inference with"

    model = model_of(fake_server)
    refusal = {"error": "Model is not an embedding model with SPLADE pooling"}
    fake_server.on("POST", "/embed_sparse", Reply(refusal, status=424))
    with pytest.raises(ConfigurationError, match=words("This server's model")):
        embed(model, TEXTS)
    assert len(bodies(fake_server)) <= 3  # no batch of it is halved
    serve_tei(fake_server, "reranker")
    other = EasyLLMSparseEmbeddings(base_url=fake_server.url, default_headers={"x": "1"})
    with pytest.raises(ConfigurationError, match=words("This server with a reranker")):
        embed(other, TEXTS)
    fake_server.on("GET", "/info", info_tgi())
    other = EasyLLMSparseEmbeddings(base_url=fake_server.url, default_headers={"x": "2"})
    with pytest.raises(ConfigurationError, match=words(r"This server \(tgi\)")):
        embed(other, TEXTS)
    serve_openai(fake_server, "vllm")
    other = EasyLLMSparseEmbeddings(base_url=fake_server.url, default_headers={"x": "3"})
    with pytest.raises(ConfigurationError, match=words(r"This server \(vllm\)")):
        embed(other, TEXTS)
    with pytest.raises(ConfigurationError, match=words("Inference Providers' router")):
        embed(EasyLLMSparseEmbeddings(model="org/name"), TEXTS)
