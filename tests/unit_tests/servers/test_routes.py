"""Where requests go below an address: behind `/v1`, another version path, or neither."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.documents import Document

from langchain_easyllm import (
    EasyLLM,
    EasyLLMChat,
    EasyLLMEmbeddings,
    EasyLLMRerank,
    huggingface,
)
from langchain_easyllm.errors import ConfigurationError, NotFoundError

from ...support.fake_embedding_servers import openai_route, rank_route, vector_of
from ...support.fake_errors import error
from ...support.fake_server import FakeServer
from ...support.fake_text_servers import chat, completions, models, serve
from ...support.invocation_modes import answer, body_of, text_of

BASES = ["/api/v3", "/api/paas/v4", "/v1beta/openai", "/v1/openai", "/V1"]


def serve_below(server: FakeServer, base: str, owned_by: str = "somebody") -> None:
    """Put OpenAI's routes right below a path, and nothing elsewhere."""
    server.on("GET", base + "/models", models("tiny", owned_by=owned_by))
    server.on("POST", base + "/chat/completions", chat("Hello"))
    server.on("POST", base + "/completions", completions("Hello"))
    server.on("POST", base + "/embeddings", openai_route())
    server.on("POST", base + "/rerank", rank_route())


DOCUMENTS = [Document("a"), Document("b")]


def rank(model: EasyLLMRerank) -> list[str]:
    return [document.page_content for document in model.compress_documents(DOCUMENTS, "Hi")]


def paths(server: FakeServer) -> list[str]:
    return [request.path for request in server.requests]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("full", [False, True])
def test_everything_goes_behind_a_version_path(
    fake_server: FakeServer, base: str, full: bool
) -> None:
    serve_below(fake_server, base)

    def url(route: str) -> str:
        return fake_server.url + base + (route if full else "/")

    assert EasyLLMChat(base_url=url("/chat/completions")).invoke("Hi").text == "Hello"
    assert EasyLLM(base_url=url("/completions")).invoke("Hi") == "Hello"
    assert EasyLLMEmbeddings(base_url=url("/embeddings")).embed_query("Hi") == vector_of("Hi")
    assert sorted(rank(EasyLLMRerank(base_url=url("/rerank")))) == ["a", "b"]
    routes = ["/models", "/chat/completions", "/completions", "/embeddings", "/rerank"]
    assert paths(fake_server) == [base + route for route in routes]


def test_a_version_path_in_every_mode(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    for method, path in (("GET", "/v1/models"), ("POST", "/v1/chat/completions")):
        fake_server.on(method, path, error("fastapi-not-found"))
    serve_below(fake_server, "/api/v3", "vllm")
    model = EasyLLMChat(base_url=fake_server.url + "/api/v3?key=a", top_k=3)
    assert text_of(answer("invoke", model)) == "Hello"
    with pytest.raises(ConfigurationError, match="vllm"):  # it is known by its list
        answer(mode, model, watermark=True)
    assert paths(fake_server) == ["/api/v3/models", "/api/v3/chat/completions"]
    assert all(request.query == {"key": "a"} for request in fake_server.requests)


def test_a_full_route_without_a_version(fake_server: FakeServer) -> None:
    serve_below(fake_server, "/openai/deployments/gpt")
    url = fake_server.url + "/openai/deployments/gpt/chat/completions?api-version=2"
    assert EasyLLMChat(base_url=url).invoke("Hi").text == "Hello"
    deployment = "/openai/deployments/gpt"
    assert paths(fake_server) == [
        deployment + route for route in ("/info", "/models", "/chat/completions")
    ]
    assert {request.query["api-version"] for request in fake_server.requests} == {"2"}


def test_easyllms_clients_take_a_version_path(fake_server: FakeServer) -> None:
    serve_below(fake_server, "/api/v3")
    base = fake_server.url + "/api/v3"
    messages = [{"role": "user", "content": "Hi"}]
    answered = huggingface.ChatCompletion.create(messages=messages, api_base=base)
    assert answered["choices"][0]["message"]["content"] == "Hello"
    embedded = huggingface.Embedding.create(input="Hi", api_base=base)
    assert embedded["data"][0]["embedding"] == vector_of("Hi")
    assert {path.startswith("/api/v3/") for path in paths(fake_server)} == {True}


def test_objects_with_and_without_v1_share_no_session(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    serve_below(fake_server, "")
    EasyLLMChat(base_url=fake_server.url).invoke("Hi")
    EasyLLMChat(base_url=fake_server.url + "/chat/completions").invoke("Hi")
    posted = [path for path in paths(fake_server) if path.endswith("completions")]
    assert posted == ["/v1/chat/completions", "/chat/completions"]


def test_a_version_path_has_no_tokenizer(fake_server: FakeServer) -> None:
    serve_below(fake_server, "/api/v3", "vllm")
    model = EasyLLMChat(base_url=fake_server.url + "/api/v3")
    with pytest.raises(ConfigurationError, match="Tokens cannot be counted"):
        model.get_num_tokens("Hi")
    assert paths(fake_server) == ["/api/v3/models"]


# Infinity


def serve_infinity(server: FakeServer, prefix: str) -> None:
    for path in ("/info", "/v1/models"):
        server.on("GET", path, error("fastapi-not-found"))
    serve_below(server, prefix, "infinity")


def embed(server: FakeServer, **fields: Any) -> list[float]:
    return EasyLLMEmbeddings(base_url=server.url, **fields).embed_query("Hi")


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize("given", ["", "/v1", "/rerank", "/v1/rerank"])
def test_infinity_with_and_without_v1(fake_server: FakeServer, prefix: str, given: str) -> None:
    serve_infinity(fake_server, prefix)
    base = fake_server.url + given
    vectors = EasyLLMEmbeddings(base_url=base, dimensions=3).embed_documents(["a", "b"])
    assert vectors == [vector_of(text)[:3] for text in "ab"]
    assert sorted(rank(EasyLLMRerank(base_url=base))) == ["a", "b"]
    assert paths(fake_server)[-2:] == [prefix + "/embeddings", prefix + "/rerank"]
    assert len(paths(fake_server)) == (4 if prefix else 5)
    assert body_of(fake_server)["model"] == "tiny"


async def test_infinity_asynchronously(fake_server: FakeServer) -> None:
    serve_infinity(fake_server, "")
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    assert await model.aembed_query("Hi") == vector_of("Hi")
    reranker = EasyLLMRerank(base_url=fake_server.url)
    assert len(await reranker.acompress_documents(DOCUMENTS, "Hi")) == 2


def test_infinity_generates_nothing(fake_server: FakeServer, mode: str) -> None:
    serve_infinity(fake_server, "")
    for cls in (EasyLLMChat, EasyLLM):
        with pytest.raises(ConfigurationError, match=r"\(infinity\) generates no text: use Easy"):
            answer(mode, cls(base_url=fake_server.url))
    assert {request.method for request in fake_server.requests} == {"GET"}


def test_infinity_truncates_whatever_is_asked(fake_server: FakeServer) -> None:
    serve_infinity(fake_server, "")
    with pytest.raises(ConfigurationError, match=r"truncate=True .*\(infinity\)"):
        embed(fake_server, truncate=True)
    with pytest.raises(ConfigurationError, match=r"truncate=True .*\(infinity\)"):
        rank(EasyLLMRerank(base_url=fake_server.url, truncate=True))


@pytest.mark.parametrize("owned_by", ["llamacpp", "sglang"])
def test_vllms_name_of_truncation_is_sent_to_vllm(fake_server: FakeServer, owned_by: str) -> None:
    fake_server.on("GET", "/v1/models", models("tiny", owned_by=owned_by))
    fake_server.on("POST", "/v1/rerank", rank_route())
    reranker = EasyLLMRerank(base_url=fake_server.url, truncate=True)
    with pytest.raises(ConfigurationError, match=r"truncate=True .* on the jina api of this"):
        rank(reranker)
    fake_server.on("GET", "/v1/models", models("tiny", owned_by="vllm"))
    vllm = EasyLLMRerank(base_url=fake_server.url, truncate=True, default_headers={"X-New": "1"})
    rank(vllm)
    assert body_of(fake_server)["truncate_prompt_tokens"] == -1


def test_a_server_with_v1_gained_later_is_found(fake_server: FakeServer) -> None:
    serve_infinity(fake_server, "")
    model = EasyLLMEmbeddings(base_url=fake_server.url)
    assert model.embed_query("Hi") == vector_of("Hi")
    fake_server.on("POST", "/embeddings", error("fastapi-not-found"))
    fake_server.on("GET", "/v1/models", models("tiny", owned_by="infinity"))
    fake_server.on("POST", "/v1/embeddings", openai_route())
    with pytest.raises(NotFoundError):  # the call that finds out
        model.embed_query("Hi")
    assert model.embed_query("Hi") == vector_of("Hi")
