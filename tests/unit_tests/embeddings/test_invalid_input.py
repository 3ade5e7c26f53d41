"""What cannot be sent is an error that names it, before anything is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from langchain_easyllm import EasyLLMEmbeddings
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.embedding_modes import BATCH_MODES, embedded
from ...support.fake_embedding_servers import serve_tei, vectors_of
from ...support.fake_server import FakeServer


async def _through(arrays: AsyncIterator[Any]) -> list[Any]:
    return [array async for array in arrays]


CALLS: dict[str, Callable[[EasyLLMEmbeddings, Any], object]] = {
    **BATCH_MODES,
    "iter": lambda model, texts: list(model.iter_embeddings(texts)),
    "aiter": lambda model, texts: asyncio.run(_through(model.aiter_embeddings(texts))),
}


def test_no_texts_need_no_server(fake_server: FakeServer, batch_mode: str) -> None:
    model = EasyLLMEmbeddings(base_url=fake_server.url, batch_size=5, api="embed")
    assert embedded(batch_mode, model, []) == []
    assert fake_server.requests == []


@pytest.mark.parametrize("method", ["documents", "adocuments", "array", "aarray"])
def test_no_texts_need_no_request_of_any_kind(fake_server: FakeServer, method: str) -> None:
    assert embedded(method, EasyLLMEmbeddings(base_url=fake_server.url), []) == []
    assert fake_server.requests == []


@each_case(
    ("bad", "words"),
    [
        ("", "is empty"),
        (None, "is no string but NoneType"),
        (b"bytes", "is no string but bytes"),
        (7, "is no string but int"),
        (["nested"], "is no string but list"),
        ("half \ud83d of a pair", "holds half a surrogate pair at character 5"),
    ],
)
def test_a_text_that_cannot_be_sent(
    fake_server: FakeServer, bad: object, words: str, mode: str
) -> None:
    serve_tei(fake_server)
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    name = "Text 2" if mode in BATCH_MODES else "The query"
    texts = ["one", "two", bad, "four"] if mode in BATCH_MODES else [bad]
    with pytest.raises(ConfigurationError, match=f"{name} {words}"):
        embedded(mode, model, texts)
    assert [request for request in fake_server.requests if request.body] == []


def test_a_prompt_makes_no_empty_text_good(fake_server: FakeServer, mode: str) -> None:
    fields = {"query_prompt": "query: ", "document_prompt": "passage: "}
    model = EasyLLMEmbeddings(base_url=fake_server.url, **fields)
    with pytest.raises(ConfigurationError, match="is empty"):
        embedded(mode, model, [""])


def test_a_prompt_that_cannot_be_sent_is_named(fake_server: FakeServer, mode: str) -> None:
    serve_tei(fake_server)
    name = "document_prompt" if mode in BATCH_MODES else "query_prompt"
    model = EasyLLMEmbeddings(base_url=fake_server.url, **{name: "half \ud83d: "})
    with pytest.raises(ConfigurationError, match=f"{name} holds half a surrogate pair"):
        embedded(mode, model, ["text"])


@pytest.mark.parametrize("texts", ["one text", b"bytes", 5, None])
def test_one_text_is_no_list(fake_server: FakeServer, texts: Any) -> None:
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    for mode in BATCH_MODES:
        with pytest.raises(ConfigurationError, match=r"write \[text\]"):
            CALLS[mode](model, texts)


@pytest.mark.parametrize("make", [list, tuple, np.array, lambda texts: dict.fromkeys(texts).keys()])
def test_any_sequence_will_do_and_stays_as_it_is(fake_server: FakeServer, make: Any) -> None:
    serve_tei(fake_server)
    texts = ["b", "a", "a much longer one"]
    given = make(texts)
    model = EasyLLMEmbeddings(base_url=fake_server.url, document_prompt="x: ")
    assert model.embed_documents(given) == vectors_of(["x: " + text for text in texts])
    assert list(given) == texts


def test_every_character_arrives(fake_server: FakeServer, mode: str) -> None:
    serve_tei(fake_server)
    texts = ["\x00", " ", "\n", '"\\', "é", "e\u0301", "\u2028", "\ufeff", "\U0001f469\u200d"]
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    assert embedded(mode, model, texts) == vectors_of(texts)


@pytest.mark.parametrize(
    "fields",
    [
        {"batch_size": 0},
        {"batch_size": -1},
        {"max_batch_bytes": 0},
        {"max_concurrency": 0},
        {"dimensions": 0},
        {"pooling": "max"},
        {"truncation_direction": "middle"},
        {"api": "generate"},
        {"timeout": 0},
    ],
)
def test_a_setting_that_cannot_work_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(fields))):
        EasyLLMEmbeddings(base_url="http://localhost:8080", **fields)


def test_the_error_of_a_misspelt_field_gives_the_right_name() -> None:
    with pytest.raises(ConfigurationError, match="'normalize'"):
        EasyLLMEmbeddings(base_url="http://localhost:8080", normalise=True)


def test_a_batch_of_one_large_text_is_sent_alone(fake_server: FakeServer) -> None:
    serve_tei(fake_server)
    large = "x" * 3_000_000
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    assert model.embed_documents(["a", large, "b"]) == vectors_of(["a", large, "b"])
