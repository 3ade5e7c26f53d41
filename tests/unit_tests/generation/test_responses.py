"""The same answer from every server, in every invocation mode."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage

from langchain_easyllm import EasyLLM, EasyLLMChat

from ...support.cases import each_case
from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import (
    CLASSES,
    SERVER_NAMES,
    STREAM_MODES,
    WHOLE_MODES,
    answer,
    body_of,
    text_of,
)

CLASS = pytest.mark.parametrize("cls", CLASSES)
EVERY_SERVER = each_case("server_name", SERVER_NAMES)


@CLASS
@EVERY_SERVER
def test_every_mode_gives_the_same_text(
    fake_server: FakeServer, cls: type, server_name: str, any_mode: str
) -> None:
    serve(fake_server, server_name, ["Grüß", "e, ", "W", "elt \N{GRINNING FACE}", "!"])
    model = cls(base_url=fake_server.url)
    assert text_of(answer(any_mode, model)) == "Grüße, Welt \N{GRINNING FACE}!"


@CLASS
@EVERY_SERVER
@each_case("streaming", [True, False])
def test_streaming_changes_how_and_not_what(
    fake_server: FakeServer, cls: type, server_name: str, streaming: bool, mode: str
) -> None:
    serve(fake_server, server_name, ["One", " two", " three"])
    model = cls(base_url=fake_server.url, streaming=streaming)
    assert text_of(answer(mode, model)) == "One two three"
    asked = fake_server.requests[-1]
    assert (asked.path == "/generate_stream" or bool(body_of(fake_server).get("stream"))) is (
        streaming
    )


@EVERY_SERVER
@each_case("reason", ["stop", "length"])
def test_a_chat_answer_tells_how_it_ended_and_who_gave_it(
    fake_server: FakeServer, server_name: str, reason: str, mode: str
) -> None:
    serve(fake_server, server_name, finish_reason=reason)
    message = answer(mode, EasyLLMChat(base_url=fake_server.url))
    assert isinstance(message, AIMessageChunk if mode in STREAM_MODES else AIMessage)
    assert message.response_metadata["finish_reason"] == reason
    assert message.response_metadata["model_name"] == "tiny"
    assert message.response_metadata["model_provider"] == "huggingface"
    assert message.id


@EVERY_SERVER
def test_a_whole_chat_answer_counts_its_tokens(
    fake_server: FakeServer, server_name: str, whole_mode: str
) -> None:
    serve(fake_server, server_name)
    message = answer(whole_mode, EasyLLMChat(base_url=fake_server.url))
    assert message.usage_metadata == {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}


@EVERY_SERVER
def test_a_streamed_chat_answer_counts_its_tokens_once(
    fake_server: FakeServer, server_name: str, stream_mode: str
) -> None:
    serve(fake_server, server_name)
    message = answer(stream_mode, EasyLLMChat(base_url=fake_server.url))
    if server_name == "llama-cpp-python":  # the one server that never counts
        assert message.usage_metadata is None
    else:
        assert message.usage_metadata == {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}
    assert message.chunk_position == "last"


def test_usage_comes_with_the_last_chunk_only(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm", ["a", "b", "c"])
    chunks = list(EasyLLMChat(base_url=fake_server.url).stream("Hi"))
    assert [bool(chunk.usage_metadata) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert [chunk.chunk_position for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)


def test_stream_usage_false_asks_for_none(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url, stream_usage=False)
    assert answer("stream", model).usage_metadata is None
    assert "stream_options" not in body_of(fake_server)
    assert answer("stream", model, stream_usage=True).usage_metadata["total_tokens"] == 9
    assert body_of(fake_server)["stream_options"] == {"include_usage": True}


@EVERY_SERVER
def test_chunks_are_handed_on_one_by_one(fake_server: FakeServer, server_name: str) -> None:
    tokens = ["one", " two", " three", " four"]
    serve(fake_server, server_name, tokens)
    for cls in CLASSES:
        chunks = cls(base_url=fake_server.url).stream("Hi")
        assert [text for chunk in chunks if (text := text_of(chunk))] == tokens


def test_a_conversation_reaches_the_server_in_order(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    messages = [
        SystemMessage("Be brief."),
        HumanMessage("Hi"),
        AIMessage("Hello"),
        HumanMessage("Bye", name="Ann"),
    ]
    answer(mode, EasyLLMChat(base_url=fake_server.url), messages)
    assert body_of(fake_server)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye", "name": "Ann"},
    ]


@pytest.mark.parametrize("mode", WHOLE_MODES)
def test_an_llm_result_has_the_facts(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm", finish_reason="length")
    model = EasyLLM(base_url=fake_server.url)
    prompts = ["a", "b"]
    sync = mode == "invoke"
    result = model.generate(prompts) if sync else asyncio.run(model.agenerate(prompts))
    assert [group[0].text for group in result.generations] == ["Hello world"] * 2
    info = result.generations[1][0].generation_info
    assert info["finish_reason"] == "length"
    assert info["model_name"] == "tiny"
    assert result.llm_output["token_usage"] == {
        "prompt_tokens": 14,
        "completion_tokens": 4,
        "total_tokens": 18,
    }
    assert result.llm_output["model_name"] == "tiny"


@EVERY_SERVER
def test_an_empty_answer_is_an_answer(fake_server: FakeServer, server_name: str, mode: str) -> None:
    serve(fake_server, server_name, [])
    for cls in CLASSES:
        assert text_of(answer(mode, cls(base_url=fake_server.url))) == ""


def test_chunks_are_what_langchain_would_build(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm", ["a", "b"])
    chunks = list(EasyLLMChat(base_url=fake_server.url)._stream([HumanMessage("Hi")]))
    plain = next(chunk for chunk in chunks if chunk.text == "b")
    assert plain.message == AIMessageChunk(content="b")
    assert plain == type(plain)(message=AIMessageChunk(content="b"))
    assert plain.message.content_blocks == [{"type": "text", "text": "b"}]
    assert plain.message.model_dump() == AIMessageChunk(content="b").model_dump()
    plain.message.additional_kwargs["mine"] = 1
    assert all("mine" not in chunk.message.additional_kwargs for chunk in chunks if chunk != plain)
