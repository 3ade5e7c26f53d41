"""EasyLLM's `Embedding`: texts in, OpenAI's format out, with the server's own token counts."""

from __future__ import annotations

import asyncio
import base64
import logging
import struct
from typing import Any

import pytest

from langchain_easyllm import huggingface
from langchain_easyllm.errors import AuthenticationError, ConfigurationError

from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import info_tei, models

EVERY_MODE = pytest.mark.parametrize("mode", ["sync", "async"])


def embed(mode: str, *given: object, **kwargs: object) -> Any:
    client: Any = huggingface.Embedding
    if mode == "sync":
        return client.create(*given, **kwargs)
    return asyncio.run(client.acreate(*given, **kwargs))


def openai(request: Received) -> Reply:
    """A vector of each text's length, base64-encoded where that is asked for; one token a text."""
    body: Any = request.json
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    vectors: list[Any] = [[float(len(text)), 0.5] for text in texts]
    if body.get("encoding_format") == "base64":
        vectors = [base64.b64encode(struct.pack("<2f", *v)).decode() for v in vectors]
    data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return Reply({"object": "list", "data": data, "model": "tiny", "usage": usage})


@pytest.fixture(autouse=True)
def tei(fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    monkeypatch.setattr(huggingface, "api_base", fake_server.url)
    fake_server.on("GET", "/info", info_tei())
    fake_server.on("POST", "/v1/embeddings", openai)
    return fake_server


@EVERY_MODE
@pytest.mark.parametrize("name", ["input", "text"])
def test_one_text(mode: str, name: str) -> None:
    assert embed(mode, **{name: "Hello"}) == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [5.0, 0.5]}],
        "model": "tiny",
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }


@EVERY_MODE
def test_many_texts_in_several_requests_count_all_their_tokens(tei: FakeServer, mode: str) -> None:
    texts = ["x" * size for size in range(1, 101)]
    result = embed(mode, texts, model="org/model")
    assert [one["embedding"][0] for one in result["data"]] == [float(n) for n in range(1, 101)]
    assert [one["index"] for one in result["data"]] == [*range(100)]
    assert result["model"] == "org/model"
    assert result["usage"] == {"prompt_tokens": 100, "total_tokens": 100}
    assert len(tei.received("/v1/embeddings")) == 4


@EVERY_MODE
def test_a_server_that_does_not_count_gives_no_usage(fake_server: FakeServer, mode: str) -> None:
    fake_server.on("GET", "/info", Reply(status=404))
    fake_server.on("GET", "/v1/models", models("tiny"))
    answer = {"object": "list", "data": [{"index": 0, "embedding": [1.0]}]}
    fake_server.on("POST", "/v1/embeddings", Reply(answer))
    assert embed(mode, "Hello")["usage"] is None


@EVERY_MODE
def test_the_modules_key_goes_along(tei: FakeServer, monkeypatch: Any, mode: str) -> None:
    monkeypatch.setattr(huggingface, "api_key", "hf_set_by_hand")
    embed(mode, "Hello")
    assert tei.requests[-1].headers["authorization"] == "Bearer hf_set_by_hand"
    tei.on("POST", "/v1/embeddings", Reply({"error": "no"}, status=401))
    with pytest.raises(AuthenticationError):
        embed(mode, "Hello", api_key="hf_another")
    assert tei.requests[-1].headers["authorization"] == "Bearer hf_another"


def test_debug_logs_this_call(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "langchain_easyllm.huggingface"):
        embed("sync", "Hello", debug=True)
    assert "Embedded 1 texts: {'prompt_tokens': 1, 'total_tokens': 1}" in caplog.text


@EVERY_MODE
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"input": "a", "text": "b"}, "input and text are one parameter"),
        ({}, "input is missing"),
        ({"input": ""}, "empty"),
        ({"input": ["a", ""]}, "empty"),
        ({"input": ["a", 7]}, "int"),
        ({"input": 7}, "a text or a list of texts"),
        ({"inputs": "a"}, "did you mean 'input'"),
        ({"input": "a", "timeout": 0}, "timeout"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_sent(
    tei: FakeServer, mode: str, given: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        embed(mode, **given)
    assert tei.requests == []
