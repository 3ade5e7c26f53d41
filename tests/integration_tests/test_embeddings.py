"""Vectors of a real server: by every api those of sentence-transformers, and of use for searching.

`test_local_embeddings.py` has the same model without a server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from sentence_transformers import SentenceTransformer

from langchain_easyllm import EasyLLMEmbeddings
from langchain_easyllm.errors import BadRequestError
from training.retrieval_set import PASSAGES

from ..support.embedding_modes import BATCH_MODES, MODES, embedded
from ..support.real_servers.server_process import RunningServer

TEXTS = [
    "A cat sits on the mat.",
    "The stock market fell.",
    "Un chat dort\nsur le canapé.  ",
    "고양이",
    "A",
    *(f"Text number {number} of several requests." for number in range(70)),
]
FLOAT = {"model_kwargs": {"encoding_format": "float"}}
APIS: dict[str, tuple[str, dict[str, Any]]] = {
    "auto": ("", {}),
    "embed": ("", {"api": "embed"}),
    "base64": ("", {"api": "embeddings"}),
    "float": ("", {"api": "embeddings", **FLOAT}),
    "root": ("", {"api": "feature-extraction"}),
    "route": ("/pipeline/feature-extraction", {"api": "feature-extraction"}),
}


@pytest.fixture(scope="module")
def local(minilm: Path) -> SentenceTransformer:
    """The model in this process."""
    return SentenceTransformer(str(minilm), device="cpu")


@pytest.fixture(scope="module")
def wanted(local: SentenceTransformer) -> Any:
    return local.encode(TEXTS, normalize_embeddings=True)


def embeddings(server: RunningServer, api: str, **fields: Any) -> EasyLLMEmbeddings:
    path, given = APIS[api]
    return EasyLLMEmbeddings(base_url=server.base_url + path, **given, **fields)


class TestStandard(EmbeddingsIntegrationTests):
    """langchain-tests' suite."""

    @pytest.fixture(autouse=True, params=APIS)
    def _server(self, request: pytest.FixtureRequest, minilm_server: RunningServer) -> None:
        path, self.fields = APIS[request.param]
        self.base_url = minilm_server.base_url + path

    @property
    def embeddings_class(self) -> type[EasyLLMEmbeddings]:
        return EasyLLMEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, object]:
        return {"base_url": self.base_url, **self.fields}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("api", APIS)
def test_every_api_gives_the_local_models_vectors(
    minilm_server: RunningServer, api: str, mode: str, wanted: Any
) -> None:
    texts = TEXTS if mode in BATCH_MODES else TEXTS[:5]
    vectors = np.array(embedded(mode, embeddings(minilm_server, api), texts))
    np.testing.assert_allclose(vectors, wanted[: len(texts)], rtol=0, atol=1e-6)
    # What the server computed is float32, and nothing was added or lost on the way.
    assert (vectors == vectors.astype(np.float32)).all()


@pytest.mark.parametrize("api", ["embed", "root"])
def test_fields_are_the_local_models_too(
    minilm_server: RunningServer, api: str, local: SentenceTransformer
) -> None:
    texts = TEXTS[:5]
    short = embeddings(minilm_server, api, dimensions=64).embed_documents_array(texts)
    right = local.encode(texts, truncate_dim=64, normalize_embeddings=True)
    np.testing.assert_allclose(short, right, rtol=0, atol=1e-6)
    prompted = embeddings(minilm_server, api, document_prompt="passage: ")
    right = local.encode(["passage: " + text for text in texts])
    np.testing.assert_allclose(prompted.embed_documents(texts), right, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["documents", "aiter"])
def test_a_text_that_is_too_long_is_named_or_cut(
    minilm_server: RunningServer, mode: str, local: SentenceTransformer
) -> None:
    texts = [*TEXTS, "word " * 400]
    with pytest.raises(BadRequestError, match=r"Text 75 .* less than 256 tokens"):
        embedded(mode, embeddings(minilm_server, "auto"), texts)
    cut = embedded(mode, embeddings(minilm_server, "auto", truncate=True), texts)
    np.testing.assert_allclose(cut[-1], local.encode(texts[-1]), rtol=0, atol=1e-6)


def test_a_store_finds_what_is_asked_in_other_words(minilm_server: RunningServer) -> None:
    """Recall as training/README.md gives it for this model: 0.839 and 0.944."""
    passages = [passage for passage, *_ in PASSAGES]
    store = InMemoryVectorStore.from_texts(passages, embeddings(minilm_server, "auto"))
    queries = [(query, row[0]) for row in PASSAGES for query in row[1:]]
    found = store.as_retriever(search_kwargs={"k": 3}).batch([query for query, _ in queries])
    ranked = [[document.page_content for document in documents] for documents in found]
    pairs = list(zip(queries, ranked, strict=True))
    assert np.mean([right == best[0] for (_, right), best in pairs]) >= 0.83
    assert np.mean([right in best for (_, right), best in pairs]) >= 0.94
