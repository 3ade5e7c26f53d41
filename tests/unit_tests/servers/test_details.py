"""`server_info()`: what a server says of itself."""

from __future__ import annotations

import asyncio
import socket

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm.errors import ConnectionError
from langchain_easyllm.servers import ServerDetails

from ...support.fake_embedding_servers import serve_tei
from ...support.fake_server import FakeServer, Reply
from ...support.fake_text_servers import info_tei, serve
from ...support.text_servers import TEXT_SERVERS

VERSIONS = {
    "vllm": ("/version", {"version": "0.32.0"}),
    "llama.cpp": ("/props", {"build_info": "b1-abc", "total_slots": 4}),
    "ollama": ("/api/version", {"version": "0.9.1"}),
    "sglang": ("/get_server_info", {"version": "0.5.0"}),
    "litellm": ("/health/readiness", {"litellm_version": "1.104.8"}),
    "tensorrt-llm": ("/version", {"version": "1.2.0"}),
    "llama-cpp-python": ("/openapi.json", {"info": {"version": "0.3.36"}}),
}


def test_every_server_says_who_it_is() -> None:
    for name, row in TEXT_SERVERS.items():
        if name == "router":
            continue
        with FakeServer() as server:
            serve(server, name)
            route, said = VERSIONS.get(row.profile.name, ("/nothing", {}))
            if name != "transformers":
                server.on("GET", route, Reply(said))
            details = EasyLLMChat(base_url=server.url).server_info()
            assert details.server == row.profile.name
            if row.profile.name in VERSIONS:
                version = next(iter(said.values()))
                assert details.version == (
                    version["version"] if isinstance(version, dict) else version
                )
            again = asyncio.run(EasyLLM(base_url=server.url).aserver_info())
            assert again == details
            assert len(server.requests) <= 5


def test_the_facts_of_tgi_and_tei(fake_server: FakeServer) -> None:
    serve(fake_server, "tgi")
    assert EasyLLMChat(base_url=fake_server.url).server_info() == ServerDetails(
        server="tgi",
        version="3.3.4",
        model="tiny",
        models=("tiny",),
        protocols=("generate", "completions", "chat"),
        context_length=2048,
        limits={
            "max_stops": 4,
            "max_input_tokens": 1024,
            "max_batch": 4,
            "max_concurrency": 128,
        },
    )
    with FakeServer() as server:
        serve_tei(server)
        server.on("GET", "/info", info_tei())
        details = EasyLLMEmbeddings(base_url=server.url).server_info()
    assert (details.server, details.version) == ("tei", "1.9.0")
    assert details.protocols == ("embed", "embeddings")
    assert details.context_length == 512
    assert details.limits == {"max_batch": 32, "max_concurrency": 512}


def test_a_server_that_says_nothing_and_one_that_is_not_there(fake_server: FakeServer) -> None:
    found = EasyLLMChat(base_url=fake_server.url).server_info()
    assert (found.server, found.version, found.model) == ("unknown", None, None)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectionError, match="refuses the connection"):
        EasyLLMChat(base_url=f"http://127.0.0.1:{port}", max_retries=0).server_info()


def test_inference_providers_are_not_asked() -> None:
    details = EasyLLMChat(model="org/name", api_key="hf_long_enough").server_info()
    assert (details.server, details.model, details.protocols) == ("router", "org/name", ("chat",))
