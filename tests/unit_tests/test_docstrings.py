"""The examples in the docstrings of the public classes run as they are written."""

from __future__ import annotations

import inspect
import re
from contextlib import closing
from typing import Any

import pytest

import langchain_easyllm
from langchain_easyllm import (
    EasyLLM,
    EasyLLMChat,
    EasyLLMCrossEncoder,
    EasyLLMEmbeddings,
    EasyLLMRerank,
    EasyLLMSparseEmbeddings,
)
from langchain_easyllm.offline import OfflineServer

from ..support import fake_text_servers
from ..support.documentation import code_blocks, run
from ..support.fake_embedding_servers import score_of, serve_tei
from ..support.fake_server import FakeServer
from ..support.invocation_modes import body_of

URL = "http://localhost:8080"
COMMON = ["Setup", "Key init args (connection)", "Key init args (generation)", "Instantiate"]
COMMON += ["Invoke", "Stream", "Async"]
SECTIONS: dict[type, list[str]] = {
    EasyLLMChat: [
        *COMMON,
        *("Tool calling", "Structured output", "Image input", "Token usage", "Logprobs"),
        "Response metadata",
    ],
    EasyLLM: [*COMMON, "Token usage", "Logprobs"],
    EasyLLMEmbeddings: [
        *("Setup", "Key init args (connection)", "Key init args (embedding)", "Instantiate"),
        *("Embed a single text", "Embed multiple texts", "Embed to numpy arrays", "Async"),
    ],
    EasyLLMRerank: ["Key init args", "Instantiate", "Rerank documents", "Use with a retriever"],
    EasyLLMCrossEncoder: [
        *("Key init args", "Instantiate", "Score pairs", "Use to rerank documents")
    ],
    EasyLLMSparseEmbeddings: ["Key init args", "Instantiate", "Embed", "Use with Qdrant"],
}


def sections(cls: type) -> dict[str, str]:
    """The text of each section of a class's docstring."""
    parts = re.split(r"^(\w.*):\n", inspect.getdoc(cls) or "", flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def run_section(cls: type, name: str, url: str, names: dict[str, Any]) -> dict[str, Any]:
    blocks = code_blocks("python", sections(cls)[name])
    assert blocks
    return run(blocks, {URL: url}, names)


@pytest.mark.parametrize("cls", SECTIONS)
def test_a_class_has_langchains_sections_in_its_order(cls: type) -> None:
    assert [*sections(cls)] == [*SECTIONS[cls], "Raises"]


@pytest.mark.parametrize("cls", SECTIONS)
def test_key_init_args_are_fields(cls: Any) -> None:
    named = {
        name
        for title, text in sections(cls).items()
        if title.startswith("Key init args")
        for name in re.findall(r"^    (\w+): ", text, flags=re.MULTILINE)
    }
    assert "base_url" in named
    assert named <= cls.model_fields.keys()


def test_every_class_that_is_exported_is_tested_here() -> None:
    exported = [getattr(langchain_easyllm, name) for name in langchain_easyllm.__all__]
    assert {one for one in exported if isinstance(one, type)} == SECTIONS.keys()


def test_the_chat_models_examples_run(
    offline_server: OfflineServer, fake_server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    for name in (*SECTIONS[EasyLLMChat][3:9], *SECTIONS[EasyLLMChat][10:]):
        run_section(EasyLLMChat, name, offline_server.base_url, names)
    assert names["message"].text == "The capital of France is Paris."
    assert capsys.readouterr().out == names["message"].text * 2
    assert [answer.text for answer in names["answers"]] == [names["message"].text] * 2
    [call] = names["tool_calls"]
    assert (call["name"], call["args"]) == ("multiply", {"a": 17, "b": 23})
    assert names["person"] == names["Person"](name="Ida Lowell", age=41)
    assert names["usage"]["output_tokens"] > 0
    tokens = "".join(one["token"] for one in names["logprobs"])
    assert tokens.startswith(names["message"].text)
    assert all(one["top_logprobs"] for one in names["logprobs"])
    assert names["metadata"]["finish_reason"] == "stop"

    fake_text_servers.serve(fake_server, "vllm", ["A", " cat."])
    run_section(EasyLLMChat, "Instantiate", fake_server.url, names)
    run_section(EasyLLMChat, "Image input", fake_server.url, names)
    assert names["description"].text == "A cat."
    [message] = body_of(fake_server)["messages"]
    assert [block["type"] for block in message["content"]] == ["text", "image_url"]


def test_the_llms_examples_run(
    offline_server: OfflineServer, fake_server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_text_servers.serve(fake_server, "vllm", [" Paris", ".\n", "Question", ": Why?"])
    names: dict[str, Any] = {}
    for name in SECTIONS[EasyLLM][3:8]:
        run_section(EasyLLM, name, fake_server.url, names)
    assert names["text"] == " Paris."
    assert capsys.readouterr().out == names["text"] * 2
    assert names["texts"] == [names["text"]] * 2
    assert names["usage"]["total_tokens"] > names["usage"]["completion_tokens"] > 0

    run_section(EasyLLM, "Instantiate", offline_server.base_url, names)
    run_section(EasyLLM, "Logprobs", offline_server.base_url, names)
    tokens = "".join(one["token"] for one in names["logprobs"])
    assert tokens.startswith(names["generation"].text)


def test_the_embeddings_examples_run(
    offline_server: OfflineServer, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    for name in SECTIONS[EasyLLMEmbeddings][3:]:
        run_section(EasyLLMEmbeddings, name, offline_server.base_url, names)
    size = len(names["vector"])
    assert [len(vector) for vector in names["vectors"]] == [size]
    rows = re.findall(rf"\((\d+), {size}\)", capsys.readouterr().out)
    assert sum(map(int, rows)) == 2_000


def test_the_rerankers_examples_run(offline_server: OfflineServer) -> None:
    names: dict[str, Any] = {}
    for name in SECTIONS[EasyLLMRerank][1:]:
        run_section(EasyLLMRerank, name, offline_server.base_url, names)
    for documents in (names["best"], names["found"]):
        assert [one.page_content for one in documents] == ["The train leaves at ten."]


def test_the_cross_encoders_examples_run(fake_server: FakeServer) -> None:
    serve_tei(fake_server, "reranker")
    names: dict[str, Any] = {}
    for name in SECTIONS[EasyLLMCrossEncoder][1:]:
        run_section(EasyLLMCrossEncoder, name, fake_server.url, names)
    texts = ["The train leaves at ten.", "Cats sleep a lot."]
    assert names["scores"] == [score_of(names["query"], text) for text in texts]
    assert len(names["best"]) == 1


def test_the_sparse_embeddings_examples_run(
    fake_server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    serve_tei(fake_server)
    names: dict[str, Any] = {}
    for name in SECTIONS[EasyLLMSparseEmbeddings][1:]:
        run_section(EasyLLMSparseEmbeddings, name, fake_server.url, names)
    assert capsys.readouterr().out.count("0.5") == 5
    with closing(names["store"].client):
        [found] = names["store"].similarity_search("train", k=1)
    assert found.page_content == "The train leaves at ten."
