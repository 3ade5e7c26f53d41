"""Embeddings and rerankers as objects: made, named, copied, pickled, closed, described."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.load import dumps
from langchain_tests.unit_tests import EmbeddingsUnitTests
from pydantic import SecretStr

from langchain_easyllm import (
    EasyLLMCrossEncoder,
    EasyLLMEmbeddings,
    EasyLLMRerank,
    EasyLLMSparseEmbeddings,
)
from langchain_easyllm.errors import BadRequestError, ConfigurationError

from ...support.fake_embedding_servers import serve_tei, vectors_of
from ...support.fake_errors import error
from ...support.fake_server import FakeServer

EMBEDDINGS = (EasyLLMEmbeddings, EasyLLMSparseEmbeddings)
CLASS = pytest.mark.parametrize("cls", [*EMBEDDINGS, EasyLLMRerank, EasyLLMCrossEncoder])


class TestStandard(EmbeddingsUnitTests):
    """langchain-tests' suite."""

    @property
    def embeddings_class(self) -> type[EasyLLMEmbeddings]:
        return EasyLLMEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, object]:
        return {"model": "org/name"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, object], dict[str, object]]:
        return (
            {"HF_TOKEN": "hf_environment", "HUGGINGFACE_API_BASE": "http://localhost:8081"},
            {"model": "org/name"},
            {"api_key": "hf_environment", "base_url": "http://localhost:8081"},
        )


def use(obj: Any) -> None:
    """One call that works."""
    if isinstance(obj, EasyLLMEmbeddings):
        assert obj.embed_query("Hi") == vectors_of(["Hi"])[0]
    elif isinstance(obj, EasyLLMSparseEmbeddings):
        assert len(obj.embed_query("Hi").indices) == 1
    elif isinstance(obj, EasyLLMCrossEncoder):
        assert len(obj.score([("Hi", "Hi")])) == 1
    else:
        assert len(obj.compress_documents([Document("Hi")], "Hi")) == 1


def serve(server: FakeServer, cls: type = EasyLLMEmbeddings) -> str:
    serve_tei(server, "embedding" if cls in EMBEDDINGS else "reranker")
    return server.url


@CLASS
def test_making_one_asks_nobody(fake_server: FakeServer, cls: type) -> None:
    cls(base_url=serve(fake_server, cls), api_key="hf_x")
    assert fake_server.connections == 0


@CLASS
@pytest.mark.parametrize("name", ["endpoint_url", "inference_server_url", "api_base"])
def test_other_packages_names(fake_server: FakeServer, cls: type, name: str) -> None:
    obj = cls(**{name: fake_server.url + "/"}, repo_id="org/name", huggingfacehub_api_token="hf_x")
    assert (obj.base_url, obj.model) == (fake_server.url + "/", "org/name")
    assert obj.api_key.get_secret_value() == "hf_x"


# Calls of LangChain's guides and class docstrings, and the fields that each becomes.
OLD_CALLS: dict[str, tuple[dict[str, Any], dict[str, object]]] = {
    "HuggingFaceEndpointEmbeddings, a server": (
        {"model": "http://localhost:8080"},
        {"base_url": "http://localhost:8080", "model": None},
    ),
    "HuggingFaceEndpointEmbeddings, a model": (
        {"model": "org/name", "task": "feature-extraction", "huggingfacehub_api_token": "abc"},
        {"base_url": None, "model": "org/name", "api_key": SecretStr("abc")},
    ),
    "HuggingFaceEndpointEmbeddings, all its other fields": (
        {
            "repo_id": "org/name",
            "provider": "hf-inference",
            "model_kwargs": {"normalize": True, "other": 1},
            "client": None,
            "async_client": None,
        },
        {
            "model": "org/name",
            "provider": "hf-inference",
            "normalize": True,
            "model_kwargs": {"other": 1},
        },
    ),
    "HuggingFaceInferenceAPIEmbeddings, a model": (
        {"api_key": "abc", "model_name": "org/name"},
        {"model": "org/name", "base_url": None, "api_key": SecretStr("abc")},
    ),
    "HuggingFaceInferenceAPIEmbeddings, a server": (
        {
            "api_key": SecretStr("abc"),
            "api_url": "http://localhost:8080/embed",
            "additional_headers": {"X-A": "b"},
        },
        {"base_url": "http://localhost:8080/embed", "default_headers": {"X-A": "b"}},
    ),
}


@pytest.mark.parametrize("call", OLD_CALLS)
def test_calls_of_other_packages(call: str) -> None:
    arguments, fields = OLD_CALLS[call]
    obj = EasyLLMEmbeddings(**arguments)
    assert {name: getattr(obj, name) for name in fields} == fields


def test_names_of_other_embeddings() -> None:
    obj = EasyLLMEmbeddings(
        model="org/name",
        task="feature-extraction",
        chunk_size=7,
        query_instruction="q: ",
        embed_instruction="d: ",
    )
    assert (obj.batch_size, obj.query_prompt, obj.document_prompt) == (7, "q: ", "d: ")
    with pytest.raises(ConfigurationError, match="task"):
        EasyLLMEmbeddings(model="org/name", task="text-generation")


def test_a_servers_address_given_as_the_model(fake_server: FakeServer) -> None:
    use(EasyLLMEmbeddings(model=serve(fake_server)))


def test_neither_model_nor_server() -> None:
    with pytest.raises(ConfigurationError, match="model"):
        EasyLLMRerank()
    # The bare call of langchain-huggingface's guide.
    assert EasyLLMEmbeddings().model == "sentence-transformers/all-mpnet-base-v2"
    assert EasyLLMEmbeddings(base_url="http://localhost:9").model is None


@CLASS
def test_secrets_are_shown_nowhere(fake_server: FakeServer, cls: type) -> None:
    headers = {"Authorization": "Bearer hf_header"}
    obj = cls(base_url=serve(fake_server, cls), api_key="hf_topsecret", default_headers=headers)
    use(obj)
    for text in (repr(obj), str(obj), dumps(obj)):
        assert "hf_topsecret" not in text
        assert "hf_header" not in text
    assert "hf_topsecret" not in str(obj.model_dump())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = pickle.dumps(obj)
        assert b"hf_topsecret" not in raw
        assert b"hf_header" not in raw
        use(pickle.loads(raw))
    for path in ("/v1/embeddings", "/rerank", "/predict", "/embed_sparse"):
        fake_server.on("POST", path, error("tei-body"))
    with pytest.raises(BadRequestError) as caught:
        use(obj)
    assert "hf_topsecret" not in str(vars(caught.value))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@CLASS
def test_a_key_goes_to_the_server_it_was_given_for(
    fake_server: FakeServer, cls: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(cls(base_url=serve(fake_server, cls), api_key="hf_given"))
    assert {r.headers.get("authorization") for r in fake_server.requests} == {"Bearer hf_given"}
    sent = len(fake_server.requests)
    monkeypatch.setenv("HF_TOKEN", "hf_environment")
    use(cls(base_url=fake_server.url))
    assert {r.headers.get("authorization") for r in fake_server.requests[sent:]} == {None}


@CLASS
@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, lambda m: m.model_copy()])
def test_copies_are_equal_and_work(fake_server: FakeServer, cls: type, copier: Any) -> None:
    obj = cls(base_url=serve(fake_server, cls), batch_size=3, max_concurrency=2)
    for _ in range(2):  # before and after use
        again = copier(obj)
        assert again == obj
        use(again)
        use(obj)


@CLASS
@pytest.mark.parametrize("used", [False, True])
def test_a_pickle_has_all_fields(fake_server: FakeServer, cls: type, used: bool) -> None:
    obj = cls(base_url=serve(fake_server, cls), batch_size=3, truncate=True, api_key=None)
    if used:
        use(obj)
    again = pickle.loads(pickle.dumps(obj))
    assert again.model_dump() == obj.model_dump()
    use(again)


@CLASS
def test_closing_closes_and_the_next_call_opens_again(fake_server: FakeServer, cls: type) -> None:
    with cls(base_url=serve(fake_server, cls)) as obj:
        use(obj)
        assert fake_server.open_connections == 1
    fake_server.wait_until(lambda: fake_server.open_connections == 0)
    use(obj)
    obj.close()


async def test_closing_within_a_loop(fake_server: FakeServer) -> None:
    serve_tei(fake_server)
    async with EasyLLMEmbeddings(base_url=fake_server.url) as model:
        assert await model.aembed_query("Hi") == vectors_of(["Hi"])[0]


@CLASS
def test_one_detection_serves_every_object_of_a_server(fake_server: FakeServer, cls: type) -> None:
    for _ in range(3):
        use(cls(base_url=serve(fake_server, cls)))
    assert len(fake_server.received("/info")) == 1


def test_settings_are_those_of_the_moment(fake_server: FakeServer) -> None:
    serve_tei(fake_server)
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    model.query_prompt = "x: "
    assert model.embed_query("Hi") == vectors_of(["x: Hi"])[0]
    model.timeout, model.max_retries = 0.1, 0
    fake_server.on("POST", "/v1/embeddings", error("tei-overloaded"))
    with pytest.raises(Exception, match="overloaded"):
        model.embed_query("Hi")
