"""Errors in the places of vectors, long texts among many, and how many tokens they had."""

from __future__ import annotations

import asyncio
import pickle
from copy import copy, deepcopy
from typing import Any

import numpy as np
import pytest

from langchain_easyllm import EasyLLMEmbeddings
from langchain_easyllm.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ContextOverflowError,
    EasyLLMError,
    ServerError,
)

from ...support.embedding_modes import bodies
from ...support.fake_embedding_servers import (
    DIM,
    openai_route,
    serve_openai,
    serve_tei,
    tei_route,
    vectors_of,
)
from ...support.fake_errors import error
from ...support.fake_server import FakeServer, Received, Reply

LONG = "word " * 600
"""A text of more tokens than the server takes."""


def arrays(model: EasyLLMEmbeddings, texts: Any, *, asynchronous: bool) -> list[Any]:
    async def collect() -> list[Any]:
        return [array async for array in model.aiter_embeddings(texts, return_exceptions=True)]

    if asynchronous:
        return asyncio.run(collect())
    return list(model.iter_embeddings(texts, return_exceptions=True))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_list_has_errors_in_the_places_of_vectors(
    fake_server: FakeServer, asynchronous: bool
) -> None:
    serve_tei(fake_server)
    texts: list[Any] = [f"text {number}" for number in range(100)]
    texts[3], texts[40], texts[41], texts[77] = "", LONG, None, "\ud800"
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    if asynchronous:
        results = asyncio.run(model.aembed_documents(texts, return_exceptions=True))
    else:
        results = model.embed_documents(texts, return_exceptions=True)
    errors = {at: one for at, one in enumerate(results) if isinstance(one, Exception)}
    assert {at: type(one) for at, one in errors.items()} == {
        3: ConfigurationError, 40: ContextOverflowError, 41: ConfigurationError,
        77: ConfigurationError,
    }  # fmt: skip
    assert all(one.index == at for at, one in errors.items())
    good = [text for at, text in enumerate(texts) if at not in errors]
    assert [one for one in results if not isinstance(one, Exception)] == vectors_of(good)
    assert pickle.loads(pickle.dumps(errors[40])).index == 40


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_array_has_rows_of_nan_and_its_errors(
    fake_server: FakeServer, asynchronous: bool
) -> None:
    serve_tei(fake_server)
    texts = [f"text {number}" for number in range(70)]
    texts[69] = LONG
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    if asynchronous:
        array = asyncio.run(model.aembed_documents_array(texts, return_exceptions=True))
    else:
        array = model.embed_documents_array(texts, return_exceptions=True)
    assert array.dtype == np.float32
    assert array[:69].tolist() == vectors_of(texts[:69])
    assert np.isnan(array[69]).all()
    assert list(array.errors) == [69]
    assert (array + 1).errors == array[:5].errors == {}
    for same in (
        array.copy(), copy(array), deepcopy(array), pickle.loads(pickle.dumps(array)),
    ):  # fmt: skip
        assert np.array_equal(same, array, equal_nan=True)
        assert same is not array
        assert [(row, one.index) for row, one in same.errors.items()] == [(69, 69)]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_iterator_goes_on_behind_an_error(fake_server: FakeServer, asynchronous: bool) -> None:
    serve_tei(fake_server)
    texts = [f"text {number}" for number in range(2500)]
    texts[2047] = LONG
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    found = arrays(model, texts, asynchronous=asynchronous)
    assert [len(array) for array in found] == [1024, 1024, 452]
    assert [[(row, one.index) for row, one in array.errors.items()] for array in found] == [
        [], [(1023, 2047)], [],
    ]  # fmt: skip


@pytest.mark.parametrize("asynchronous", [False, True])
def test_arrays_without_vectors_are_as_wide_as_those_before(
    fake_server: FakeServer, asynchronous: bool
) -> None:
    serve_tei(fake_server)
    texts = [""] * 1024 + [f"text {number}" for number in range(1024)] + [""] * 1030
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    found = arrays(model, texts, asynchronous=asynchronous)
    assert [array.shape for array in found] == [(1024, 0), (1024, DIM), (1024, DIM), (6, DIM)]
    assert [len(array.errors) for array in found] == [1024, 0, 1024, 6]
    assert all(np.isnan(array).all() for array in found[2:])
    # Who says how many dimensions there are gets as many from the beginning.
    fixed = EasyLLMEmbeddings(base_url=fake_server.url, dimensions=4)
    assert {array.shape[1] for array in arrays(fixed, texts, asynchronous=asynchronous)} == {4}
    assert fixed.embed_documents_array(["", ""], return_exceptions=True).shape == (2, 4)


def test_nothing_but_errors_sends_nothing(fake_server: FakeServer) -> None:
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    results = model.embed_documents(["", ""], return_exceptions=True)
    assert [type(one) for one in results] == [ConfigurationError] * 2
    array = model.embed_documents_array(["", ""], return_exceptions=True)
    assert (array.shape, list(array.errors)) == ((2, 0), [0, 1])
    assert not bodies(fake_server)


def test_what_concerns_all_texts_is_raised(fake_server: FakeServer) -> None:
    serve_tei(fake_server)
    fake_server.on("POST", "/v1/embeddings", error("router-unauthorized"))
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    with pytest.raises(AuthenticationError):
        model.embed_documents(["one", "two"], return_exceptions=True)


def test_a_batch_that_fails_concerns_its_own_texts(fake_server: FakeServer) -> None:
    """The server breaks for one batch, however often it is asked; each text has its own error."""
    serve_tei(fake_server)
    plain: Any = openai_route()

    def route(request: Received) -> Reply:
        if b"text 5" in request.body:
            return Reply({"error": "the model is broken"}, status=500)
        return plain(request)

    fake_server.on("POST", "/v1/embeddings", route)
    model = EasyLLMEmbeddings(base_url=fake_server.url, batch_size=2, max_retries=0)
    texts = [f"text {number}" for number in range(8)]
    results = model.embed_documents(texts, return_exceptions=True)
    failed = [one for one in results if isinstance(one, EasyLLMError)]
    assert [type(one) for one in failed] == [ServerError, ServerError]
    assert len({id(one) for one in failed}) == 2
    assert sorted(one.index or 0 for one in failed) == [
        at for at, one in enumerate(results) if isinstance(one, EasyLLMError)
    ]
    assert results[0] == vectors_of(texts)[0]


def test_the_error_that_is_raised_names_its_text(fake_server: FakeServer) -> None:
    serve_tei(fake_server)
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    with pytest.raises(BadRequestError) as refused:
        model.embed_documents(["short", LONG, "short"])
    assert refused.value.index == 1
    with pytest.raises(ConfigurationError) as empty:
        model.embed_documents(["short", "", ""])
    assert empty.value.index == 1


def test_a_long_text_leaves_the_others_together(fake_server: FakeServer) -> None:
    """Its batch is halved until it stands alone; 100 requests would be enough without it."""
    serve_tei(fake_server)
    texts = [f"text {number}" for number in range(3200)]
    texts[1234] = LONG
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    results = model.embed_documents(texts, return_exceptions=True)
    assert [at for at, one in enumerate(results) if isinstance(one, Exception)] == [1234]
    assert len(bodies(fake_server)) <= 110


class Counted:
    """A corpus that notes how much of it was read."""

    def __init__(self, texts: int, length: int) -> None:
        self.text, self.texts, self.read = "x" * length, texts, 0

    def __iter__(self) -> Any:
        for _ in range(self.texts):
            self.read += 1
            yield self.text


@pytest.mark.parametrize(("length", "most"), [(10, 3 * 4096), (40_000, 1200)])
def test_what_is_read_ahead_has_a_bound(fake_server: FakeServer, length: int, most: int) -> None:
    """In texts and in characters, though the server takes 8,192 in a request."""
    serve_tei(fake_server, limit=8192)
    plain: Any = tei_route(8192, longest=10**9)
    fake_server.on("POST", "/v1/embeddings", openai_route(8192))
    fake_server.on("POST", "/embed", plain)
    corpus = Counted(40_000, length)
    model = EasyLLMEmbeddings(base_url=fake_server.url, api="embed", max_batch_bytes=10**8)
    found = model.iter_embeddings(corpus)
    next(found)
    assert corpus.read <= most
    found.close()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_usage_is_what_the_server_counted(fake_server: FakeServer, asynchronous: bool) -> None:
    serve_openai(fake_server)
    plain: Any = openai_route()

    def route(request: Received) -> Reply:
        reply = plain(request)
        body: Any = request.json
        return Reply({**reply.body, "usage": {"prompt_tokens": 3 * len(body["input"])}})

    fake_server.on("POST", "/v1/embeddings", route)
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    texts = [f"text {number}" for number in range(100)]
    if asynchronous:
        vectors, usage = asyncio.run(model.aembed_documents_with_usage(texts))
    else:
        vectors, usage = model.embed_documents_with_usage(texts)
    assert vectors == vectors_of(texts)
    assert usage == {"input_tokens": 300, "output_tokens": 0, "total_tokens": 300}


def test_usage_of_tei_comes_in_a_header_or_not_at_all(fake_server: FakeServer) -> None:
    serve_tei(fake_server)
    plain = tei_route()
    fake_server.on("POST", "/embed", plain)
    model = EasyLLMEmbeddings(base_url=fake_server.url, api="embed")
    assert model.embed_documents_with_usage(["one"]) == (vectors_of(["one"]), None)
    fake_server.on(
        "POST", "/embed", lambda r: Reply(plain(r).body, headers={"x-compute-tokens": "7"})
    )
    _, usage = model.embed_documents_with_usage([f"text {number}" for number in range(64)])
    assert usage == {"input_tokens": 14, "output_tokens": 0, "total_tokens": 14}
