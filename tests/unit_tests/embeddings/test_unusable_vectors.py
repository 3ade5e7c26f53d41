"""Vectors that no search can compare: all zeros, or with what is no finite number."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from langchain_easyllm import EasyLLMEmbeddings
from langchain_easyllm.errors import EasyLLMError, ProtocolError

from ...support.embedding_modes import BATCH_MODES, MODES, bodies, embedded
from ...support.fake_embedding_servers import base64_vector, serve_openai, serve_tei, vector_of
from ...support.fake_server import FakeServer, Received, Reply

ZEROS = [0.0, 0.0, 0.0]
NAN, MINUS = float("nan"), -0.0
UNKNOWN = "Привет, как дела? Это длинный текст без единого знакомого слова."


def serve(server: FakeServer, api: str, unusable: dict[str, list[float]]) -> EasyLLMEmbeddings:
    """A server that answers some texts with these vectors, the others with good ones."""

    def vectors(texts: Sequence[str]) -> list[list[float]]:
        return [unusable.get(text, [0.0, *vector_of(text, 2)]) for text in texts]

    def tei(request: Received) -> Reply:
        return Reply(vectors(request.json["inputs"]))

    def openai(request: Received) -> Reply:
        found = vectors(request.json["input"])
        coded = request.json.get("encoding_format") == "base64"
        data = [
            {
                "index": n,
                "embedding": base64_vector(vector) if coded and api == "base64" else vector,
            }
            for n, vector in enumerate(found)
        ]
        return Reply({"data": data})

    if api == "embed":
        serve_tei(server)
        server.on("POST", "/embed", tei)
        return EasyLLMEmbeddings(base_url=server.url, api="embed", batch_size=4)
    serve_openai(server)
    server.on("POST", "/v1/embeddings", openai)
    return EasyLLMEmbeddings(base_url=server.url, api="embeddings", batch_size=4)


@pytest.mark.parametrize("api", ["embed", "floats", "base64"])
@pytest.mark.parametrize("mode", BATCH_MODES)
def test_a_zero_vector_is_refused_with_its_text(
    fake_server: FakeServer, api: str, mode: str
) -> None:
    model = serve(fake_server, api, {UNKNOWN: ZEROS})
    texts = [f"text {number}" for number in range(11)]
    assert len(embedded(mode, model, texts)) == 11  # a first zero alone means nothing
    texts.insert(9, UNKNOWN)
    with pytest.raises(ProtocolError) as caught:
        embedded(mode, model, texts)
    error = caught.value
    assert str(error).startswith(f"The vector of text 9 ({UNKNOWN[:39] + '…'!r}) is all zeros")
    assert "Leave the text out, or use a model that knows its language." in str(error)
    assert (error.index, error.status_code, error.is_retryable) == (9, 200, False)
    assert error.url is not None
    assert len(bodies(fake_server)) <= 2 * 3  # nothing was sent again


@pytest.mark.parametrize("mode", sorted(MODES.keys() - BATCH_MODES.keys()))
def test_a_querys_zero_vector_is_refused(fake_server: FakeServer, mode: str) -> None:
    model = serve(fake_server, "base64", {"🙂": ZEROS})
    with pytest.raises(ProtocolError, match=r"vector of text 0 \('🙂'\) is all zeros"):
        embedded(mode, model, ["🙂"])


@pytest.mark.parametrize(
    ("api", "vector"),
    [
        ("embed", ZEROS), ("embed", [0, 0, 0]), ("embed", [MINUS] * 3), ("floats", [0, MINUS, 0.0]),
        ("base64", [MINUS] * 3), ("base64", [NAN, 1.0, 1.0]), ("base64", [0.0, 0.0, float("inf")]),
    ],
)  # fmt: skip
def test_texts_without_a_vector_have_errors_in_place_and_nothing_is_sent_again(
    fake_server: FakeServer, api: str, vector: Any
) -> None:
    model = serve(fake_server, api, {"two": vector, "three": vector})
    texts = ["one", "two", "three", "four", "five"]
    found = model.embed_documents(texts, return_exceptions=True)
    errors = {at: one for at, one in enumerate(found) if isinstance(one, EasyLLMError)}
    assert {at: (type(one), one.index) for at, one in errors.items()} == {
        1: (ProtocolError, 1), 2: (ProtocolError, 2),
    }  # fmt: skip
    assert found[4] == [0.0, *vector_of("five", 2)]
    assert len(bodies(fake_server)) == 2
    array = asyncio.run(model.aembed_documents_array(texts, return_exceptions=True))
    assert sorted(array.errors) == [1, 2]
    assert np.isnan(array[1:3]).all()
    assert array[[0, 3, 4]].tolist() == [found[at] for at in (0, 3, 4)]
    whole = model.embed_documents(["two", "three"], return_exceptions=True)
    assert [type(one) for one in whole] == [ProtocolError] * 2


def test_small_numbers_are_no_zeros(fake_server: FakeServer) -> None:
    model = serve(fake_server, "embed", {"small": [0.0, 0.0, 5e-324]})
    assert model.embed_query("small") == [0.0, 0.0, 5e-324]


def test_what_float32_cannot_hold_is_an_error_of_its_text_alone(fake_server: FakeServer) -> None:
    unusable = {"large": [1e39, 0.0, 0.0], "small": [1e-50, 0.0, 0.0], "zero": ZEROS}
    model = serve(fake_server, "embed", unusable)
    texts = ["small", "one", "zero", "large"]
    with pytest.raises(ProtocolError, match=r"text 0 .* has only numbers too small") as caught:
        model.embed_documents_array([*texts[:2]])
    assert caught.value.index == 0
    found = model.embed_documents_array(texts, return_exceptions=True)
    assert {at: error.index for at, error in found.errors.items()} == {0: 0, 2: 2, 3: 3}
    assert found[1].tolist() == [0.0, *vector_of("one", 2)]
    assert len(bodies(fake_server)) == 2
    nothing = model.embed_documents_array(["large", "zero"], return_exceptions=True)
    assert [type(nothing.errors[at]) for at in range(2)] == [ProtocolError] * 2
