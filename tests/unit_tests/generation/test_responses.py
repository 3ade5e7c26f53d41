"""The same answer from every server, in every way of asking."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage

from langchain_easyllm import EasyLLM, EasyLLMChat

from ...support.fake_server import WireServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import CLASSES, DIALECTS, STREAMS, WHOLE, answer, body_of, text_of

CLASS = pytest.mark.parametrize("cls", CLASSES)
DIALECT = pytest.mark.parametrize("dialect", DIALECTS)


@CLASS
@DIALECT
def test_every_way_gives_the_same_text(
    wire_server: WireServer, cls: type, dialect: str, any_way: str
) -> None:
    serve(wire_server, dialect, ["Grüß", "e, ", "W", "elt \N{GRINNING FACE}", "!"])
    model = cls(base_url=wire_server.url)
    assert text_of(answer(any_way, model)) == "Grüße, Welt \N{GRINNING FACE}!"


@CLASS
@DIALECT
@pytest.mark.parametrize("streaming", [True, False])
def test_streaming_changes_how_and_not_what(
    wire_server: WireServer, cls: type, dialect: str, streaming: bool, way: str
) -> None:
    serve(wire_server, dialect, ["One", " two", " three"])
    model = cls(base_url=wire_server.url, streaming=streaming)
    assert text_of(answer(way, model)) == "One two three"
    asked = wire_server.requests[-1]
    assert (asked.path == "/generate_stream" or bool(body_of(wire_server).get("stream"))) is (
        streaming
    )


@DIALECT
@pytest.mark.parametrize("reason", ["stop", "length"])
def test_a_chat_answer_tells_how_it_ended_and_who_gave_it(
    wire_server: WireServer, dialect: str, reason: str, way: str
) -> None:
    serve(wire_server, dialect, finish_reason=reason)
    message = answer(way, EasyLLMChat(base_url=wire_server.url))
    assert isinstance(message, AIMessageChunk if way in STREAMS else AIMessage)
    assert message.response_metadata["finish_reason"] == reason
    assert message.response_metadata["model_name"] == "tiny"
    assert message.response_metadata["model_provider"] == "huggingface"
    assert message.id


@DIALECT
def test_a_whole_chat_answer_counts_its_tokens(
    wire_server: WireServer, dialect: str, whole: str
) -> None:
    serve(wire_server, dialect)
    message = answer(whole, EasyLLMChat(base_url=wire_server.url))
    assert message.usage_metadata == {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}


@DIALECT
def test_a_streamed_chat_answer_counts_its_tokens_once(
    wire_server: WireServer, dialect: str, streamed: str
) -> None:
    serve(wire_server, dialect)
    message = answer(streamed, EasyLLMChat(base_url=wire_server.url))
    if dialect == "llama-cpp-python":  # the one server that never counts
        assert message.usage_metadata is None
    else:
        assert message.usage_metadata == {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}
    assert message.chunk_position == "last"


def test_usage_comes_with_the_last_chunk_only(wire_server: WireServer) -> None:
    serve(wire_server, "vllm", ["a", "b", "c"])
    chunks = list(EasyLLMChat(base_url=wire_server.url).stream("Hi"))
    assert [bool(chunk.usage_metadata) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert [chunk.chunk_position for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)


def test_stream_usage_false_asks_for_none(wire_server: WireServer) -> None:
    serve(wire_server, "vllm")
    model = EasyLLMChat(base_url=wire_server.url, stream_usage=False)
    assert answer("stream", model).usage_metadata is None
    assert "stream_options" not in body_of(wire_server)
    assert answer("stream", model, stream_usage=True).usage_metadata["total_tokens"] == 9
    assert body_of(wire_server)["stream_options"] == {"include_usage": True}


@DIALECT
def test_pieces_are_handed_on_one_by_one(wire_server: WireServer, dialect: str) -> None:
    tokens = ["one", " two", " three", " four"]
    serve(wire_server, dialect, tokens)
    for cls in CLASSES:
        chunks = cls(base_url=wire_server.url).stream("Hi")
        assert [text for chunk in chunks if (text := text_of(chunk))] == tokens


def test_a_conversation_reaches_the_server_in_order(wire_server: WireServer, way: str) -> None:
    serve(wire_server, "vllm")
    talk = [
        SystemMessage("Be brief."),
        HumanMessage("Hi"),
        AIMessage("Hello"),
        HumanMessage("Bye", name="Ann"),
    ]
    answer(way, EasyLLMChat(base_url=wire_server.url), talk)
    assert body_of(wire_server)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye", "name": "Ann"},
    ]


@pytest.mark.parametrize("way", WHOLE)
def test_an_llm_result_has_the_facts(wire_server: WireServer, way: str) -> None:
    serve(wire_server, "vllm", finish_reason="length")
    model = EasyLLM(base_url=wire_server.url)
    prompts = ["a", "b"]
    sync = way == "invoke"
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


@DIALECT
def test_an_empty_answer_is_an_answer(wire_server: WireServer, dialect: str, way: str) -> None:
    serve(wire_server, dialect, [])
    for cls in CLASSES:
        assert text_of(answer(way, cls(base_url=wire_server.url))) == ""


def test_chunks_are_what_langchain_would_build(wire_server: WireServer) -> None:
    serve(wire_server, "vllm", ["a", "b"])
    chunks = list(EasyLLMChat(base_url=wire_server.url)._stream([HumanMessage("Hi")]))
    plain = next(chunk for chunk in chunks if chunk.text == "b")
    assert plain.message == AIMessageChunk(content="b")
    assert plain == type(plain)(message=AIMessageChunk(content="b"))
    assert plain.message.content_blocks == [{"type": "text", "text": "b"}]
    assert plain.message.model_dump() == AIMessageChunk(content="b").model_dump()
    plain.message.additional_kwargs["mine"] = 1
    assert all("mine" not in chunk.message.additional_kwargs for chunk in chunks if chunk != plain)
