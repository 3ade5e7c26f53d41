"""Cross-encoders: which protocol, which body, which score for which pair."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from langchain_classic.retrievers.document_compressors import CrossEncoderReranker
from langchain_core.cross_encoders import BaseCrossEncoder
from langchain_core.documents import Document

from langchain_easyllm import EasyLLMCrossEncoder
from langchain_easyllm.errors import BadRequestError, ConfigurationError, ProtocolError

from ...support.embedding_modes import bodies
from ...support.fake_embedding_servers import (
    predict_route,
    rank_route,
    score_of,
    serve_openai,
    serve_tei,
)
from ...support.fake_errors import error
from ...support.fake_server import Barrier, FakeServer, Received, Reply
from ...support.fake_text_servers import info_tgi

MODES = {
    "sync": lambda model, pairs: model.score(pairs),
    "async": lambda model, pairs: asyncio.run(model.ascore(pairs)),
}
PAIRS = [(f"query {n % 3}", f"document {n}" + " and more" * (n % 5)) for n in range(70)]
RIGHT = [score_of(query, text) for query, text in PAIRS]


@pytest.fixture(params=MODES)
def score(request: pytest.FixtureRequest) -> Any:
    """Sync and async."""
    return MODES[request.param]


def serve(server: FakeServer, api: str, limit: int = 32) -> EasyLLMCrossEncoder:
    if api in ("predict", "tei"):
        serve_tei(server, "reranker", limit)
    elif api == "text-ranking":
        server.on("POST", "/", rank_route(limit))
    else:
        serve_openai(server, "vllm" if api == "score" else "llamacpp", limit)
    given: Any = api if api in ("tei", "text-ranking") else "auto"
    return EasyLLMCrossEncoder(base_url=server.url, api=given)


@pytest.mark.parametrize(
    ("api", "path", "requests"),
    [
        ("predict", "/predict", 3),
        ("score", "/score", 3),
        ("tei", "/rerank", 3),
        ("jina", "/v1/rerank", 3),
        ("text-ranking", "/", 3),
    ],
)
def test_each_pair_has_its_score(
    fake_server: FakeServer, api: str, path: str, requests: int, score: Any
) -> None:
    assert score(serve(fake_server, api), PAIRS) == RIGHT
    assert len(bodies(fake_server, path)) == len(bodies(fake_server)) == requests
    if api == "score":
        assert {body["model"] for body in bodies(fake_server)} == {"tiny"}


@pytest.mark.parametrize("api", ["predict", "score", "jina"])
def test_batches_that_are_too_large_are_halved(
    fake_server: FakeServer, api: str, score: Any
) -> None:
    model = serve(fake_server, api, limit=10).model_copy(update={"batch_size": 25})
    if api == "predict":  # whoever does not ask it, does not know the limit
        model = model.model_copy(update={"api": "predict"})
        fake_server.on("GET", "/info", Reply(status=404))
    assert score(model, PAIRS) == RIGHT


def test_a_reranker_of_langchains_takes_it(fake_server: FakeServer) -> None:
    encoder = serve(fake_server, "predict")
    assert isinstance(encoder, BaseCrossEncoder)
    documents = [Document(text) for _, text in PAIRS[:9]]
    reranker = CrossEncoderReranker(model=encoder, top_n=2)
    best = reranker.compress_documents(documents, "q")
    right = sorted(documents, key=lambda one: -score_of("q", one.page_content))[:2]
    assert best == right
    assert asyncio.run(reranker.acompress_documents(documents, "q")) == right


@pytest.mark.parametrize(
    ("api", "fields", "sent"),
    [
        ("predict", {}, {}),
        (
            "predict",
            {"truncate": True, "truncation_direction": "left", "raw_scores": True},
            {"truncate": True, "truncation_direction": "Left", "raw_scores": True},
        ),
        ("predict", {"model_kwargs": {"raw_scores": False, "x": 1}}, {"raw_scores": False, "x": 1}),
        (
            "score",
            {"truncate": True, "raw_scores": True},
            {"truncate_prompt_tokens": -1, "use_activation": False, "activation": False},
        ),
        ("score", {"raw_scores": False}, {"use_activation": True, "activation": True}),
        ("tei", {"raw_scores": True}, {"raw_scores": True}),
    ],
)
def test_fields_in_the_body(
    fake_server: FakeServer, api: str, fields: dict[str, Any], sent: dict[str, Any]
) -> None:
    model = serve(fake_server, api)
    again = EasyLLMCrossEncoder(base_url=model.base_url, api=model.api, **fields)
    again.score([("a", "b")])
    [body] = bodies(fake_server)
    texts = {
        "predict": {"inputs": [["a", "b"]]},
        "score": {"model": "tiny", "text_1": ["a"], "text_2": ["b"]},
        "tei": {"query": "a", "texts": ["b"]},
    }
    assert body == {**texts[api], **sent}


@pytest.mark.parametrize(
    ("api", "fields", "words"),
    [
        ("score", {"truncation_direction": "left"}, r"truncation_direction.* score api .*\(vllm\)"),
        ("jina", {"raw_scores": True}, r"raw_scores=True .* jina api .*\(llama.cpp\)"),
        ("jina", {"truncate": True}, "truncate=True"),
        ("text-ranking", {"raw_scores": True}, "raw_scores=True"),
        ("predict", {"model_kwargs": {"inputs": []}}, "model_kwargs has 'inputs'"),
        ("score", {"model_kwargs": {"text_1": []}}, "model_kwargs has 'text_1'"),
        ("score", {"model_kwargs": {"text_2": []}}, "model_kwargs has 'text_2'"),
    ],
)
def test_a_field_that_cannot_be_expressed_is_an_error(
    fake_server: FakeServer, api: str, fields: dict[str, Any], words: str, score: Any
) -> None:
    model = serve(fake_server, api).model_copy(update=fields)
    with pytest.raises(ConfigurationError, match=words):
        score(model, PAIRS[:2])
    assert bodies(fake_server) == []


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("a", "b"), ("", "b")], "The first text of pair 1 is empty"),
        ([("a", "b"), ("a", "")], "The second text of pair 1 is empty"),
        ([("a", 5)], "The second text of pair 0 is no string but int"),
        ([("a", "\ud800")], "The second text of pair 0 holds half"),
        ([("a", "b"), ("a", "b", "c")], r"Pair 1 is .* no pair: write \(query, document\)"),
        (["ab"], "Pair 0 is 'ab', no pair"),
        ("ab", "A list of pairs is wanted, not one str"),
        (None, "A list of pairs is wanted, not one NoneType"),
    ],
)
def test_bad_input(fake_server: FakeServer, pairs: Any, words: str, score: Any) -> None:
    model = serve(fake_server, "predict")
    with pytest.raises(ConfigurationError, match=words):
        score(model, pairs)
    assert fake_server.requests == []


def test_no_pairs_need_no_server(fake_server: FakeServer, score: Any) -> None:
    assert score(serve(fake_server, "predict"), []) == []
    assert fake_server.requests == []


@pytest.mark.parametrize(("api", "path"), [("predict", "/predict"), ("jina", "/v1/rerank")])
def test_a_pair_that_is_refused_is_named(
    fake_server: FakeServer, api: str, path: str, score: Any
) -> None:
    model = serve(fake_server, api)
    plain = predict_route() if api == "predict" else rank_route()

    def answer(request: Received) -> Reply:
        return error("tei-too-long") if b'"document 45"' in request.body else plain(request)

    fake_server.on("POST", path, answer)
    words = r"Pair 45 \(.*'document 45'\) was refused.* Split the pair"
    with pytest.raises(BadRequestError, match=words) as caught:
        score(model, PAIRS)
    assert ("or set truncate=True" in str(caught.value)) is (api == "predict")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([[{"score": 1.0, "label": "LABEL_0"}]], "scored 1 pairs of 2"),
        ([[{"score": 1.0, "label": "a"}], [{"score": None, "label": "a"}]], "pair 1 is None"),
        (
            [[{"score": 1.0, "label": "a"}], [{"score": 0.5, "label": "b"}, {"score": 0.5}]],
            "predictions for pair 1",
        ),
        (
            [[{"score": s, "label": c} for c, s in (("neutral", 0.5), ("entails", 0.3))]] * 2,
            r"several classes \(entails, neutral\)",
        ),
        ([[], []], "no predictions"),
        ([0.5, 0.25], "no predictions but '.0.5,"),
        ({"scores": []}, "no predictions"),
        (Reply(b"<html>"), "no predictions but '<html>': check base_url and api"),
    ],
)
def test_senseless_predictions(fake_server: FakeServer, body: Any, words: str, score: Any) -> None:
    model = serve(fake_server, "predict")
    fake_server.on("POST", "/predict", body if isinstance(body, Reply) else Reply(body))
    with pytest.raises(ProtocolError, match=words):
        score(model, [("a", "b"), ("a", "c")])


def test_of_two_unnamed_classes_the_second_means_relevance(
    fake_server: FakeServer, score: Any
) -> None:
    serve_tei(fake_server, "classifier")
    rows = [[{"score": 0.75, "label": "LABEL_1"}, {"score": 0.25, "label": "LABEL_0"}]]
    fake_server.on("POST", "/predict", Reply(rows))
    assert score(EasyLLMCrossEncoder(base_url=fake_server.url), PAIRS[:1]) == [0.75]


def test_scores_of_vllm_that_are_none(fake_server: FakeServer, score: Any) -> None:
    model = serve(fake_server, "score")
    fake_server.on("POST", "/score", Reply({"data": [{"index": 0, "score": "1"}]}))
    with pytest.raises(ProtocolError, match="The score of pair 0 is '1'"):
        score(model, PAIRS[:1])


def test_a_server_that_scores_no_pairs_says_so(fake_server: FakeServer, score: Any) -> None:
    serve_tei(fake_server, "embedding")
    with pytest.raises(ConfigurationError, match="an embedding model"):
        score(EasyLLMCrossEncoder(base_url=fake_server.url), PAIRS[:2])
    fake_server.on("GET", "/info", info_tgi())
    other = EasyLLMCrossEncoder(base_url=fake_server.url, default_headers={"x": "1"})
    with pytest.raises(ConfigurationError, match="a language model"):
        score(other, PAIRS[:2])
    assert bodies(fake_server) == []


def test_queries_are_ranked_side_by_side(fake_server: FakeServer) -> None:
    """A server with a rerank route alone: one query does not wait for the answer to another."""
    model, plain = serve(fake_server, "jina"), rank_route()

    def answer(request: Received) -> Reply:
        return replace(plain(request), before=(Barrier(3, 5.0),))

    fake_server.on("POST", "/v1/rerank", answer)
    assert model.score(PAIRS[:9]) == RIGHT[:9]
    assert fake_server.max_in_flight == 3
