"""Vectors and scores of real servers: those of sentence-transformers."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from langchain_core.documents import Document
from sentence_transformers import CrossEncoder, SentenceTransformer

from langchain_easyllm.errors import AuthenticationError, EasyLLMError

from ...support.embedding_modes import BATCH_MODES, MODES, embedded
from ...support.real_servers.programs import infinity

TEXTS = [
    "A cat sits on the mat.",
    "The stock market fell.",
    "Un chat dort\nsur le canapé.  ",
    "Grüße, ГДЕ КОТ? 猫",
    "A",
    *(f"Text number {number} of several requests." for number in range(40)),
]
QUERY = "Where is the cat?"
CLOSE = {"rtol": 0, "atol": 1e-3}


@pytest.fixture(scope="module")
def local(models):
    """The model in this process."""
    return SentenceTransformer(str(models.minilm), device="cpu")


@pytest.fixture(scope="module")
def wanted(local):
    return local.encode(TEXTS, normalize_embeddings=True)


@pytest.fixture(scope="module")
def cross_encoder(models):
    """The scores of the cross-encoder, as logits."""
    model = CrossEncoder(str(models.reranker), device="cpu", max_length=256)
    return lambda pairs: model.predict(pairs, activation_fn=None)


@pytest.mark.parametrize("mode", MODES)
def test_vectors_are_those_of_sentence_transformers(embedder, mode, wanted):
    texts = TEXTS if mode in BATCH_MODES else TEXTS[:5]
    vectors = np.array(embedded(mode, embedder.embeddings(), texts))
    assert len(vectors) == len(texts)
    np.testing.assert_allclose(vectors, wanted[: len(vectors)], **CLOSE)


def test_a_text_that_is_too_long_is_cut_or_an_error(embedder, local):
    """Never a vector of something else; sentence-transformers cuts, too."""
    long = "word " * 800
    if embedder.name != "infinity":
        with pytest.raises(EasyLLMError):
            embedder.embeddings(max_retries=0).embed_query(long)
        return
    vector = embedder.embeddings().embed_query(long)
    np.testing.assert_allclose(vector, local.encode(long, normalize_embeddings=True), **CLOSE)


def test_who_has_not_the_key_is_told_so(embedder):
    with pytest.raises(AuthenticationError):
        embedder.embeddings(api_key="sk-wrong", max_retries=0).embed_query("Hi")


def test_a_script_whose_letters_are_taken_apart(embedder, local):
    """MiniLM's tokenizer splits Korean syllables; llama.cpp's own has no word for a whole one."""
    if embedder.name == "llama-server-embeddings":
        pytest.skip("its tokenizer reads Korean as unknown words: its vectors are others")
    vector = embedder.embeddings().embed_query("고양이")
    np.testing.assert_allclose(vector, local.encode("고양이", normalize_embeddings=True), **CLOSE)


def test_routes_without_a_prefix_are_found(models, stage, embedder):
    if embedder.name != "infinity":
        pytest.skip("only Infinity puts its routes anywhere")
    stage.clear()
    embedder.may_end = True
    with infinity(models, prefix=False) as bare:
        there = embedder.at(bare)
        assert len(there.embeddings().embed_query("Hi")) == 384


def test_documents_are_ordered_as_the_model_orders_them(reranker, cross_encoder, local):
    texts = TEXTS[:12]
    if reranker.name == "vllm-pooling":  # it compares embeddings
        query = local.encode(QUERY, normalize_embeddings=True)
        right = local.encode(texts, normalize_embeddings=True) @ query
    elif reranker.name == "llama-server-rerank":
        # The converter leaves a layer of this model's head out: what counts is the server's word.
        asked = {"query": QUERY, "documents": texts}
        results = json.loads(reranker.post("/v1/rerank", asked))["results"]
        right = np.zeros(len(texts))
        right[[one["index"] for one in results]] = [one["relevance_score"] for one in results]
    else:
        right = cross_encoder([(QUERY, text) for text in texts])
    best = np.argsort(-np.array(right))
    documents = [Document(text) for text in texts]
    for top_n in (3, 12):
        found = reranker.rerank(top_n=top_n).compress_documents(documents, QUERY)
        assert [one.page_content for one in found] == [texts[index] for index in best[:top_n]]
    scores = [one.metadata["relevance_score"] for one in found]
    assert scores == sorted(scores, reverse=True)
    logits = right[best]
    probabilities = 1 / (1 + np.exp(-logits))
    assert np.allclose(scores, logits, **CLOSE) or np.allclose(scores, probabilities, **CLOSE)


def test_pairs_have_the_models_scores(reranker, cross_encoder, local):
    """Of any two texts: some have both in common with others, some none."""
    pairs = [(query, text) for query in (QUERY, "What fell?") for text in TEXTS[:5]]
    pairs = [*pairs[::2], *pairs[1::2], ("A", "B")]
    found = reranker.cross_encoder().score(pairs)
    assert asyncio.run(reranker.cross_encoder(batch_size=2).ascore(pairs)) == pytest.approx(
        found, abs=1e-4
    )
    if reranker.name == "llama-server-rerank":  # what counts is the server's word, as above
        for (query, text), score in zip(pairs, found, strict=True):
            asked = {"query": query, "documents": [text]}
            [one] = json.loads(reranker.post("/v1/rerank", asked))["results"]
            assert one["relevance_score"] == pytest.approx(score, abs=1e-3)
        return
    if reranker.name == "vllm-pooling":  # it compares embeddings
        first, second = (
            local.encode(texts, normalize_embeddings=True) for texts in zip(*pairs, strict=True)
        )
        np.testing.assert_allclose(found, (first * second).sum(axis=1), **CLOSE)
        return
    logits = cross_encoder(pairs)
    probabilities = 1 / (1 + np.exp(-np.array(logits)))
    assert np.allclose(found, logits, **CLOSE) or np.allclose(found, probabilities, **CLOSE)
