"""TEI's routes and the Hub's feature extraction on the offline server."""

from __future__ import annotations

import base64
import struct

import httpx
import pytest

from langchain_easyllm.offline import OfflineServer

from ...support.offline_client import ask, send

TEXTS = ["A cat sleeps on the sofa.", "The stock market fell today."]
UNKNOWN = "Привет, как дела? Это длинный текст без единого знакомого слова."
FEATURES = (
    "/hf-inference/models/some/model/pipeline/feature-extraction",
    "/models/some/model/pipeline/feature-extraction",
    "/pipeline/feature-extraction/some/model",
)


def length(vector: list[float]) -> float:
    return sum(number * number for number in vector) ** 0.5


def test_the_embeddings_of_texts(offline_server: OfflineServer) -> None:
    vectors = ask(offline_server, "/embed", {"inputs": TEXTS})
    assert [len(vector) for vector in vectors] == [256, 256]
    assert [length(vector) for vector in vectors] == pytest.approx([1, 1])
    assert ask(offline_server, "/embed", {"inputs": TEXTS[1]}) == vectors[1:]


def test_embeddings_as_they_are_and_shortened(offline_server: OfflineServer) -> None:
    (plain,) = ask(offline_server, "/embed", {"inputs": TEXTS[0], "normalize": False})
    assert length(plain) != pytest.approx(1)
    (short,) = ask(offline_server, "/embed", {"inputs": TEXTS[0], "dimensions": 3})
    assert short == pytest.approx([number / length(plain[:3]) for number in plain[:3]])


def test_embeddings_as_openai_has_them(offline_server: OfflineServer) -> None:
    vectors = ask(offline_server, "/embed", {"inputs": TEXTS})
    answer = ask(offline_server, "/v1/embeddings", {"input": TEXTS, "model": "any"})
    assert [(each["index"], each["embedding"]) for each in answer["data"]] == [*enumerate(vectors)]
    tokens = ask(offline_server, "/tokenize", {"inputs": TEXTS})
    assert answer["usage"]["prompt_tokens"] == sum(map(len, tokens))
    body = {"input": TEXTS, "encoding_format": "base64"}
    coded = ask(offline_server, "/v1/embeddings", body)["data"]
    decoded = [struct.unpack("<256f", base64.b64decode(each["embedding"])) for each in coded]
    assert [list(vector) for vector in decoded] == vectors


@pytest.mark.parametrize("path", FEATURES)
def test_the_hubs_feature_extraction(offline_server: OfflineServer, path: str) -> None:
    vectors = ask(offline_server, "/embed", {"inputs": TEXTS})
    assert ask(offline_server, path, {"inputs": TEXTS}) == vectors
    assert ask(offline_server, path, {"inputs": TEXTS[0]}) == vectors[0]
    parameters = {"normalize": False}
    plain = ask(offline_server, "/embed", {"inputs": TEXTS, **parameters})
    assert ask(offline_server, path, {"inputs": TEXTS, "parameters": parameters}) == plain


def test_texts_by_relevance(offline_server: OfflineServer) -> None:
    body = {"query": "Which animal is resting?", "texts": TEXTS[::-1]}
    ranks = ask(offline_server, "/rerank", body)
    assert [rank["index"] for rank in ranks] == [1, 0]
    assert all(0 < rank["score"] < 1 and "text" not in rank for rank in ranks)
    raw = ask(offline_server, "/rerank", {**body, "raw_scores": True, "return_text": True})
    assert [rank["text"] for rank in raw] == TEXTS
    assert raw[0]["score"] > raw[1]["score"]
    assert raw[0]["score"] != ranks[0]["score"]


@pytest.mark.parametrize("direction", ["Left", "Right"])
def test_long_texts_are_cut_where_that_is_wanted(
    offline_server: OfflineServer, direction: str
) -> None:
    cat, market = TEXTS
    inputs = f"{cat} " * 100 + f"{market} " * 100
    cut = {"truncate": True, "truncation_direction": direction}
    (vector,) = ask(offline_server, "/embed", {"inputs": inputs, **cut})
    (same,) = ask(offline_server, "/embed", {"inputs": cat if direction == "Right" else market})
    assert sum(a * b for a, b in zip(vector, same, strict=True)) > 0.95
    body = {"query": cat, "texts": [inputs], "raw_scores": True, **cut}
    (rank,) = ask(offline_server, "/rerank", body)
    assert (rank["score"] > 5) is (direction == "Right")


def test_tokens_in_teis_format(offline_server: OfflineServer) -> None:
    (tokens,) = ask(offline_server, "/tokenize", {"inputs": ["the cat"]})
    assert [(t["text"], t["start"], t["stop"], t["special"]) for t in tokens] == [
        ("the", 0, 3, False),
        ("cat", 4, 7, False),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "words"),
    [
        ("/embed", {"inputs": ["a"] * 33}, 422, "Validation", "batch size 33 > maximum allowed"),
        ("/embed", {"inputs": "word " * 513}, 422, "Validation", "less than 512 tokens"),
        ("/embed", {"inputs": "a" * 128_001}, 422, "Validation", "less than 128000 characters"),
        ("/embed", {"inputs": []}, 400, "Empty", "`inputs` cannot be empty"),
        ("/embed", {"inputs": ["a", ""]}, 400, "Empty", "`inputs` cannot be empty"),
        ("/embed", {}, 422, "Validation", "missing field `inputs`"),
        ("/embed", {"inputs": "a", "dimensions": 257}, 422, "Validation", "between 1 and 256"),
        ("/embed", {"inputs": "a", "normalise": 1}, 422, "Validation", "did you mean `normalize`"),
        ("/embed", {"inputs": [[1, 2]]}, 422, "Validation", "token ids are not supported"),
        (
            "/embed",
            {"inputs": ["a", UNKNOWN]},
            422,
            "Validation",
            f"text 1 {UNKNOWN[:39] + '…'!r} has no word",
        ),
        (
            "/embed",
            {"inputs": "🙂"},
            422,
            "Validation",
            "`inputs`: text 0 '🙂' has no word that the model",
        ),
        ("/embed", {"inputs": "字" * 600 + " cat", "truncate": True}, 422, "Validation", "text 0"),
        (FEATURES[0], {"inputs": UNKNOWN, "normalize": False}, 422, "Validation", "text 0"),
        (
            "/rerank",
            {"query": "🙂", "texts": ["a"]},
            422,
            "Validation",
            "`query`: '🙂' has no word",
        ),
        ("/rerank", {"query": "a", "texts": []}, 400, "Empty", "`texts` cannot be empty"),
        ("/rerank", {"query": "a", "texts": ["a"] * 33}, 422, "Validation", "batch size 33"),
        ("/tokenize", {"inputs": ["a", ""]}, 400, "Empty", "`inputs` cannot be empty"),
        ("/tokenize", {"inputs": ["a"] * 33}, 422, "Validation", "batch size 33"),
        (FEATURES[0], {"inputs": ""}, 400, "Empty", "`inputs` cannot be empty"),
    ],
)
def test_what_is_refused(
    offline_server: OfflineServer,
    path: str,
    body: dict[str, object],
    status: int,
    kind: str,
    words: str,
) -> None:
    answer = send(offline_server, path, body)
    assert answer.status_code == status
    assert answer.json()["error_type"] == kind
    assert words in answer.json()["error"]


def test_what_is_refused_as_openai_does(offline_server: OfflineServer) -> None:
    answer = send(offline_server, "/v1/embeddings", {"input": ["a"] * 33})
    assert answer.status_code == 422
    said = answer.json()
    assert (said["code"], said["type"]) == (422, "Validation")
    assert "batch size 33" in said["message"]


def test_a_text_of_unknown_words_is_refused_as_openai_does(offline_server: OfflineServer) -> None:
    answer = send(offline_server, "/v1/embeddings", {"input": ["a cat", "кот", "🙂"]})
    assert answer.status_code == 422
    assert "text 1 'кот' has no word that the model knows" in answer.json()["message"]
    body = {"query": "a cat", "texts": ["кот", "a dog"]}  # a text may be relevant to nothing
    assert [rank["index"] for rank in ask(offline_server, "/rerank", body)] == [1, 0]


def test_what_the_server_says_of_itself(offline_server: OfflineServer) -> None:
    info = httpx.get(offline_server.base_url + "/info").json()
    assert info["router"] == "text-generation-router"
    assert "embedding" in info["model_type"]
    assert info["max_client_batch_size"] == 32
    assert (info["max_input_tokens"], info["max_total_tokens"]) == (1023, 2048)
    (model,) = httpx.get(offline_server.base_url + "/v1/models").json()["data"]
    assert model["id"] == info["model_id"] == "langchain-easyllm/offline"


@pytest.mark.parametrize("path", ["/health", "/", "/ping"])
def test_its_health(offline_server: OfflineServer, path: str) -> None:
    answer = httpx.get(offline_server.base_url + path)
    assert (answer.status_code, answer.content) == (200, b"")
