"""Rerankers: which protocol, which body, which order."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from langchain_core.documents import Document

from langchain_easyllm import EasyLLMEmbeddings, EasyLLMRerank
from langchain_easyllm.errors import BadRequestError, ConfigurationError, ProtocolError

from ...support.embedding_modes import bodies
from ...support.fake_embedding_servers import rank_route, score_of, serve_openai, serve_tei
from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import error, info_tgi

QUERY = "What is a cat?"
MODES = {
    "sync": lambda model, documents, query: model.compress_documents(documents, query),
    "async": lambda model, documents, query: asyncio.run(
        model.acompress_documents(documents, query)
    ),
}


@pytest.fixture(params=MODES)
def rank(request: pytest.FixtureRequest) -> Any:
    """Sync and async."""
    return MODES[request.param]


def documents_of(count: int) -> list[Document]:
    return [Document(f"document {n}", id=str(n), metadata={"n": n}) for n in range(count)]


def right(documents: list[Document]) -> list[tuple[str, float]]:
    """The documents' ids and scores as they are to be returned."""
    scored = [(d.id or "", score_of(QUERY, d.page_content)) for d in documents]
    return sorted(scored, key=lambda pair: -pair[1])


def found(documents: list[Document]) -> list[tuple[str, float]]:
    return [(d.id or "", d.metadata["relevance_score"]) for d in documents]


def serve(server: FakeServer, api: str, limit: int = 32) -> EasyLLMRerank:
    if api == "tei":
        serve_tei(server, "reranker", limit)
    elif api == "jina":
        serve_openai(server, limit=limit)
        server.on("POST", "/v1/rerank", rank_route(limit))
    else:
        server.on("POST", "/", rank_route(limit))
        return EasyLLMRerank(base_url=server.url, api="text-ranking")
    return EasyLLMRerank(base_url=server.url)


@pytest.mark.parametrize("api", ["tei", "jina", "text-ranking"])
def test_documents_come_in_the_order_of_their_scores(
    fake_server: FakeServer, api: str, rank: Any
) -> None:
    model, documents = serve(fake_server, api), documents_of(70)
    before = copy.deepcopy(documents)
    assert found(rank(model, documents, QUERY)) == right(documents)
    assert documents == before
    assert [len(r.body) > 0 for r in fake_server.requests].count(True) == 3
    if api == "jina":
        assert bodies(fake_server)[0]["model"] == "tiny"


def test_the_best_are_kept(fake_server: FakeServer, rank: Any) -> None:
    model, documents = serve(fake_server, "tei"), documents_of(40)
    model.top_n = 3
    best = rank(model, documents, QUERY)
    assert found(best) == right(documents)[:3]
    assert all(d.metadata["n"] == int(d.id or "") for d in best)


def test_of_equal_documents_the_first_comes_first(fake_server: FakeServer, rank: Any) -> None:
    model = serve(fake_server, "tei", limit=1)
    same = [Document("the same", id=str(n)) for n in range(10)]
    assert [d.id for d in rank(model, same, QUERY)] == [d.id for d in same]


def test_any_iterable_of_documents_will_do(fake_server: FakeServer, rank: Any) -> None:
    model, documents = serve(fake_server, "tei"), documents_of(5)
    assert rank(model, iter(documents), QUERY) == rank(model, documents, QUERY)


def test_no_documents_need_no_server(fake_server: FakeServer, rank: Any) -> None:
    assert rank(serve(fake_server, "tei"), [], QUERY) == []
    assert fake_server.requests == []


@pytest.mark.parametrize(
    ("documents", "query", "words"),
    [
        ([Document("a"), Document("")], QUERY, "Document 1 is empty"),
        ([Document("a")], "", "The query is empty"),
        ([Document("a")], None, "The query is no string"),
        ([Document("a")], "\ud800", "The query holds half"),
        (["text"], QUERY, "Document 0 is of type str"),
        ("text", QUERY, r"A list of documents is wanted, not one str: write \[document\]"),
        ([Document("a"), 5], QUERY, "Document 1 is of type int"),
        (Document("a"), QUERY, r"A list of documents is wanted, not one Document: write"),
        (None, QUERY, "A list of documents is wanted, not one NoneType"),
    ],
)
def test_bad_input(
    fake_server: FakeServer, documents: Any, query: Any, words: str, rank: Any
) -> None:
    model = serve(fake_server, "tei")
    with pytest.raises(ConfigurationError, match=words):
        rank(model, documents, query)
    assert bodies(fake_server) == []


def test_a_document_that_is_refused_is_named(fake_server: FakeServer, rank: Any) -> None:
    model, documents = serve(fake_server, "tei"), documents_of(40)
    plain = rank_route()
    refusal = Reply({"error": "`inputs` must have less than 512 tokens. Given: 600"}, status=422)

    def answer(request: Received) -> Reply:
        return refusal if "document 33" in request.json["texts"] else plain(request)

    fake_server.on("POST", "/rerank", answer)
    words = (
        r"Document 33 \('document 33'\) was refused.* Split the document, or set truncate=True\."
    )
    with pytest.raises(BadRequestError, match=words):
        rank(model, documents, QUERY)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([{"index": 0, "score": 1.0}], "scored 1 texts of 2"),
        ([{"index": 0, "score": 1.0}, {"index": 0, "score": 1.0}], "one of them twice"),
        ([{"index": 0, "score": 1.0}, {"index": 2, "score": 1.0}], "scored 2 texts of 2"),
        ([{"index": 0, "score": 1.0}, {"index": 1, "score": None}], "document 1 is None"),
        ([{"index": 0, "score": 1.0}, {"index": 1, "score": "1"}], "document 1 is '1'"),
        (Reply(b'[{"index": 0, "score": 1.0}, {"index": 1, "score": NaN}]'), "document 1 is nan"),
        ([0.5, 0.25], "no scores but '.0.5,"),
        ([{"index": 0, "score": 1.0}, {"index": [1], "score": 1.0}], "no scores but"),
        ([{"score": 1.0}, {"score": 0.5}], "no scores but"),
        ({"scores": [0.5, 0.25]}, "no scores but"),
        ("hello", "no scores but"),
        (Reply(b"<html>"), "no scores but '<html>': check base_url and api"),
    ],
)
def test_senseless_scores(fake_server: FakeServer, body: Any, words: str, rank: Any) -> None:
    model = serve(fake_server, "tei")
    fake_server.on("POST", "/rerank", body if isinstance(body, Reply) else Reply(body))
    with pytest.raises(ProtocolError, match=words):
        rank(model, documents_of(2), QUERY)


@pytest.mark.parametrize(
    ("api", "fields", "sent"),
    [
        ("tei", {}, {}),
        (
            "tei",
            {"truncate": True, "truncation_direction": "left"},
            {"truncate": True, "truncation_direction": "Left"},
        ),
        ("tei", {"model_kwargs": {"raw_scores": True}}, {"raw_scores": True}),
        ("jina", {"truncate": True}, {"model": "tiny", "truncate_prompt_tokens": -1}),
        ("jina", {"truncate": False, "truncation_direction": "right"}, {"model": "tiny"}),
        ("text-ranking", {"model_kwargs": {"x": 1}}, {"x": 1}),
    ],
)
def test_fields_in_the_body(
    fake_server: FakeServer, api: str, fields: dict[str, Any], sent: dict[str, Any]
) -> None:
    model = serve(fake_server, api).model_copy(update=fields)
    model.compress_documents([Document("a")], QUERY)
    [body] = bodies(fake_server)
    texts = body.pop("inputs", body)
    assert texts.pop("query") == QUERY
    assert texts.pop("documents" if api == "jina" else "texts") == ["a"]
    assert body == sent


@pytest.mark.parametrize(
    ("api", "fields"),
    [
        ("jina", {"truncation_direction": "left"}),
        ("text-ranking", {"truncate": True}),
        ("text-ranking", {"truncation_direction": "left"}),
        ("tei", {"model_kwargs": {"texts": []}}),
        ("jina", {"model_kwargs": {"x": object()}}),
        ("text-ranking", {"model_kwargs": {"x": object()}}),
        ("text-ranking", {"model_kwargs": {"inputs": {}}}),
    ],
)
def test_a_field_that_cannot_be_expressed_is_an_error(
    fake_server: FakeServer, api: str, fields: dict[str, Any], rank: Any
) -> None:
    model = serve(fake_server, api).model_copy(update=fields)
    with pytest.raises(ConfigurationError, match=next(iter(fields))):
        rank(model, documents_of(2), QUERY)
    assert bodies(fake_server) == []


@pytest.mark.parametrize(
    ("owned_by", "name"), [("llamacpp", "llama.cpp"), ("somebody", "openai"), ("sglang", "sglang")]
)
@pytest.mark.parametrize("api", ["auto", "jina"])
def test_a_server_that_cannot_truncate_is_named(
    fake_server: FakeServer, api: Any, owned_by: str, name: str, rank: Any
) -> None:
    serve_openai(fake_server, owned_by)
    cutting = EasyLLMRerank(base_url=fake_server.url, api=api, truncate=True)
    with pytest.raises(ConfigurationError, match=rf"truncate=True .*jina api .*\({name}\)"):
        rank(cutting, documents_of(2), QUERY)
    assert bodies(fake_server) == []
    open_model = EasyLLMRerank(base_url=fake_server.url, api=api, truncate=False)
    assert len(rank(open_model, documents_of(2), QUERY)) == 2


@pytest.mark.parametrize(("owned_by", "advised"), [("vllm", True), ("llamacpp", False)])
def test_only_who_can_truncate_is_advised_to(
    fake_server: FakeServer, owned_by: str, advised: bool
) -> None:
    serve_openai(fake_server, owned_by)
    fake_server.on("POST", "/v1/rerank", error("vllm-too-long"))
    fake_server.on("POST", "/v1/embeddings", error("vllm-too-long"))
    with pytest.raises(BadRequestError) as caught:
        EasyLLMRerank(base_url=fake_server.url).compress_documents(documents_of(1), QUERY)
    assert ("or set truncate=True" in str(caught.value)) is advised
    with pytest.raises(BadRequestError) as caught:
        EasyLLMEmbeddings(base_url=fake_server.url).embed_query("Hi")
    assert ("or set truncate=True" in str(caught.value)) is advised


def test_a_server_without_a_reranker_says_so(fake_server: FakeServer, rank: Any) -> None:
    for info, words in (("embedding", "an embedding model"), ("classifier", "classifier")):
        serve_tei(fake_server, info)
        model = EasyLLMRerank(base_url=fake_server.url, default_headers={"x": info})
        with pytest.raises(ConfigurationError, match=words):
            rank(model, documents_of(2), QUERY)
    fake_server.on("GET", "/info", info_tgi())
    with pytest.raises(ConfigurationError, match="a language model"):
        rank(EasyLLMRerank(base_url=fake_server.url), documents_of(2), QUERY)
