"""Real vectors and scores: the offline server, by every api and by langchain-tests' suites."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests

from langchain_easyllm import EasyLLMEmbeddings, EasyLLMRerank
from langchain_easyllm.errors import BadRequestError, ContextOverflowError, EasyLLMError
from langchain_easyllm.offline import OfflineServer
from langchain_easyllm.offline.embedding_model import EmbeddingModel

from ...support.embedding_modes import embedded

TEXTS = [
    "A cat sleeps on the sofa.",
    "The stock market fell today.",
    "Un chat dort sur le canapé.\n",
    "Bread is baked from flour, water, salt and yeast.",
    "A",
]
HUB = "/models/some/model/pipeline/feature-extraction"
APIS: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("", {"api": "embed"}),
    ("", {"api": "embeddings"}),
    ("", {"api": "feature-extraction"}),
    (HUB, {"api": "feature-extraction"}),
    (HUB, {}),
]


class TestStandard(EmbeddingsIntegrationTests):
    """langchain-tests' suite."""

    @pytest.fixture(autouse=True)
    def _server(self, offline_server: OfflineServer) -> None:
        self.base_url = offline_server.base_url

    @property
    def embeddings_class(self) -> type[EasyLLMEmbeddings]:
        return EasyLLMEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, object]:
        return {"base_url": self.base_url}


@pytest.fixture(scope="module")
def vectors() -> Any:
    """What the model itself makes of the texts."""
    return EmbeddingModel.load().embed(TEXTS)


@pytest.mark.parametrize(("path", "fields"), APIS)
def test_every_api_gives_the_models_own_vectors(
    offline_server: OfflineServer, path: str, fields: dict[str, Any], mode: str, vectors: Any
) -> None:
    model = EasyLLMEmbeddings(base_url=offline_server.base_url + path, **fields)
    assert np.abs(np.array(embedded(mode, model, TEXTS)) - vectors).max() < 1e-6


@pytest.mark.parametrize("api", ["auto", "embed", "feature-extraction"])
def test_fields_mean_the_same_on_every_api(offline_server: OfflineServer, api: str) -> None:
    model = EmbeddingModel.load()
    ours = EasyLLMEmbeddings(base_url=offline_server.base_url, api=api, normalize=False)
    raw = model.embed(TEXTS, normalize=False)
    assert np.abs(ours.embed_documents_array(TEXTS) - raw).max() < 1e-6
    ours = EasyLLMEmbeddings(base_url=offline_server.base_url, api=api, dimensions=7)
    cut = model.embed(TEXTS, dimensions=7)
    assert np.abs(ours.embed_documents_array(TEXTS) - cut).max() < 1e-6


@pytest.mark.parametrize(("words", "limit"), [(5_000, "512 tokens"), (100_000, "128000 char")])
def test_a_text_that_is_too_long_is_named_or_cut(
    offline_server: OfflineServer, batch_mode: str, words: int, limit: str
) -> None:
    texts = [*TEXTS * 10, "word " * words, *TEXTS]
    match = rf"Text 50 \('word word .*less than {limit}.* Split the text, or set truncate=True\.$"
    with pytest.raises(ContextOverflowError, match=match):
        embedded(batch_mode, EasyLLMEmbeddings(base_url=offline_server.base_url), texts)
    model = EasyLLMEmbeddings(base_url=offline_server.base_url, truncate=True)
    assert len(embedded(batch_mode, model, texts)) == len(texts)


DOCUMENTS = [Document(text, metadata={"place": place}) for place, text in enumerate(TEXTS)]


def test_a_retriever_reranks(offline_server: OfflineServer) -> None:
    embeddings = EasyLLMEmbeddings(base_url=offline_server.base_url)
    store = InMemoryVectorStore.from_documents(DOCUMENTS, embeddings)
    retriever = ContextualCompressionRetriever(
        base_compressor=EasyLLMRerank(base_url=offline_server.base_url, top_n=2),
        base_retriever=store.as_retriever(search_kwargs={"k": 5}),
    )
    found = retriever.invoke("How is bread made?")
    assert found[0].metadata["place"] == 3
    scores = [document.metadata["relevance_score"] for document in found]
    assert scores == sorted(scores, reverse=True)
    assert len(found) == 2


async def test_scores_are_the_models_own(offline_server: OfflineServer) -> None:
    query = "A sleeping animal"
    rerank = EasyLLMRerank(base_url=offline_server.base_url)
    documents = await rerank.acompress_documents(DOCUMENTS * 9, query)
    right = 1 / (1 + np.exp(-EmbeddingModel.load().score(query, TEXTS)))
    for document in documents:
        score = right[document.metadata["place"]]
        assert document.metadata["relevance_score"] == pytest.approx(score, abs=1e-6)
    assert len(documents) == 45
    assert all("relevance_score" not in document.metadata for document in DOCUMENTS)


def test_a_text_of_unknown_words_is_named_by_its_place(offline_server: OfflineServer) -> None:
    embeddings = EasyLLMEmbeddings(base_url=offline_server.base_url)
    texts = [f"{word} {number}" for number in range(20) for word in ("고양이", "cat")]
    texts[37] = "Привет!"
    with pytest.raises(BadRequestError, match=r"Text 37 \('Привет!'\) was refused: .*no word"):
        embeddings.embed_documents(texts)
    found = embeddings.embed_documents(texts, return_exceptions=True)
    failed = [at for at, one in enumerate(found) if isinstance(one, EasyLLMError)]
    assert failed == [found[37].index] == [37]


def test_questions_in_korean_find_texts_in_both_languages(offline_server: OfflineServer) -> None:
    store = InMemoryVectorStore(EasyLLMEmbeddings(base_url=offline_server.base_url))
    store.add_texts([*TEXTS[:2], "기차는 열 시에 출발한다.", "빵은 밀가루와 물로 굽는다."])
    (train,) = store.similarity_search("언제 떠나는 열차인가요?", k=1)
    (cat,) = store.similarity_search("소파에서 자는 고양이", k=1)
    assert train.page_content.startswith("기차")
    assert cat.page_content == TEXTS[0]
