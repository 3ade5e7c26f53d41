"""What cannot be sent is an error that names it, before anything is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from langchain_easyllm import EasyLLMEmbeddings
from langchain_easyllm.errors import ConfigurationError

from ...support.embedding_modes import MANY, embedded
from ...support.fake_embedding_servers import serve_tei, vectors_of
from ...support.fake_server import WireServer


async def _through(arrays: AsyncIterator[Any]) -> list[Any]:
    return [array async for array in arrays]


CALLS: dict[str, Callable[[EasyLLMEmbeddings, Any], object]] = {
    **MANY,
    "iter": lambda model, texts: list(model.iter_embeddings(texts)),
    "aiter": lambda model, texts: asyncio.run(_through(model.aiter_embeddings(texts))),
}


def test_no_texts_need_no_server(wire_server: WireServer, many: str) -> None:
    model = EasyLLMEmbeddings(base_url=wire_server.url, batch_size=5, api="embed")
    assert embedded(many, model, []) == []
    assert wire_server.requests == []


@pytest.mark.parametrize("method", ["documents", "adocuments", "array", "aarray"])
def test_no_texts_need_not_even_a_look_at_it(wire_server: WireServer, method: str) -> None:
    assert embedded(method, EasyLLMEmbeddings(base_url=wire_server.url), []) == []
    assert wire_server.requests == []


@pytest.mark.parametrize(
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
    wire_server: WireServer, bad: object, words: str, way: str
) -> None:
    serve_tei(wire_server)
    model = EasyLLMEmbeddings(base_url=wire_server.url)
    name = "Text 2" if way in MANY else "The query"
    texts = ["one", "two", bad, "four"] if way in MANY else [bad]
    with pytest.raises(ConfigurationError, match=f"{name} {words}"):
        embedded(way, model, texts)
    assert [request for request in wire_server.requests if request.body] == []


def test_a_prompt_makes_no_empty_text_good(wire_server: WireServer, way: str) -> None:
    fields = {"query_prompt": "query: ", "document_prompt": "passage: "}
    model = EasyLLMEmbeddings(base_url=wire_server.url, **fields)
    with pytest.raises(ConfigurationError, match="is empty"):
        embedded(way, model, [""])


def test_a_prompt_that_cannot_be_sent_is_named(wire_server: WireServer, way: str) -> None:
    serve_tei(wire_server)
    name = "document_prompt" if way in MANY else "query_prompt"
    model = EasyLLMEmbeddings(base_url=wire_server.url, **{name: "half \ud83d: "})
    with pytest.raises(ConfigurationError, match=f"{name} holds half a surrogate pair"):
        embedded(way, model, ["text"])


@pytest.mark.parametrize("texts", ["one text", b"bytes", 5, None])
def test_one_text_is_no_list(wire_server: WireServer, texts: Any) -> None:
    model = EasyLLMEmbeddings(base_url=wire_server.url)
    for way in MANY:
        with pytest.raises(ConfigurationError, match=r"write \[text\]"):
            CALLS[way](model, texts)


@pytest.mark.parametrize("make", [list, tuple, np.array, lambda texts: dict.fromkeys(texts).keys()])
def test_any_sequence_will_do_and_stays_as_it_is(wire_server: WireServer, make: Any) -> None:
    serve_tei(wire_server)
    texts = ["b", "a", "a much longer one"]
    given = make(texts)
    model = EasyLLMEmbeddings(base_url=wire_server.url, document_prompt="x: ")
    assert model.embed_documents(given) == vectors_of(["x: " + text for text in texts])
    assert list(given) == texts


def test_every_character_arrives(wire_server: WireServer, way: str) -> None:
    serve_tei(wire_server)
    texts = ["\x00", " ", "\n", '"\\', "é", "e\u0301", "\u2028", "\ufeff", "\U0001f469\u200d"]
    model = EasyLLMEmbeddings(base_url=wire_server.url)
    assert embedded(way, model, texts) == vectors_of(texts)


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


def test_a_misspelt_field_is_told_its_right_name() -> None:
    with pytest.raises(ConfigurationError, match="'normalize'"):
        EasyLLMEmbeddings(base_url="http://localhost:8080", normalise=True)


def test_a_batch_of_one_large_text_is_sent_alone(wire_server: WireServer) -> None:
    serve_tei(wire_server)
    large = "x" * 3_000_000
    model = EasyLLMEmbeddings(base_url=wire_server.url)
    assert model.embed_documents(["a", large, "b"]) == vectors_of(["a", large, "b"])
