"""Who decides whether a call is streamed: the method, the object, or the call itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk, HumanMessage

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.fake_responses import chat
from ...support.fake_server import FakeServer, Received
from ...support.fake_text_servers import serve
from ...support.fake_tool_calls import Turn, serve_turns
from ...support.invocation_modes import CLASSES, STREAM_MODES, answer, body_of, text_of

CLASS = pytest.mark.parametrize("cls", CLASSES)
OBJECT = each_case("own", [None, True, False])
NAME = each_case("name", ["stream", "streaming"])


class TextChunks(BaseCallbackHandler):
    """Collects chunks of text."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self.texts += [token] if token else []


def posts(fake_server: FakeServer) -> list[Received]:
    return [request for request in fake_server.requests if request.method == "POST"]


def was_streamed(fake_server: FakeServer) -> bool:
    assert body_of(fake_server).get("stream") in (True, None)
    return "stream" in body_of(fake_server)


@CLASS
@OBJECT
@NAME
@each_case("call", [None, True, False])
def test_a_call_decides_before_its_object(
    fake_server: FakeServer, cls: type, own: bool | None, name: str, call: bool | None, mode: str
) -> None:
    serve(fake_server, "vllm", ["a", "b", "c"])
    model = cls(base_url=fake_server.url, streaming=own)
    decided = own if call is None else call
    wanted = mode in STREAM_MODES if decided is None else decided
    for asked, kwargs in ((model, {name: call}), (model.bind(**{name: call}), {})):
        chunks = TextChunks()
        assert text_of(answer(mode, asked, config={"callbacks": [chunks]}, **kwargs)) == "abc"
        assert was_streamed(fake_server) is wanted
        if wanted:
            assert chunks.texts == ["a", "b", "c"]
    assert len(posts(fake_server)) == 2


@CLASS
@NAME
def test_a_batch_is_streamed_if_it_says_so(
    fake_server: FakeServer, cls: type, name: str, any_mode: str
) -> None:
    serve(fake_server, "vllm", ["a", "b"])
    model = cls(base_url=fake_server.url, streaming=True)
    for call, wanted in ((None, True), (False, False), (True, True)):
        assert text_of(answer(any_mode, model, **{name: call})) == "ab"
        assert was_streamed(fake_server) is wanted


@CLASS
@NAME
def test_prompts_of_generate_are_streamed(fake_server: FakeServer, cls: type, name: str) -> None:
    serve(fake_server, "vllm", ["a", "b"])
    model = cls(base_url=fake_server.url)
    given = ["Hi", "Ho"] if cls is EasyLLM else [[("user", "Hi")], [("user", "Ho")]]
    if cls is EasyLLMChat:
        given = [model._convert_input(one).to_messages() for one in given]
    for result in (
        model.generate(given, **{name: True}),
        asyncio.run(model.agenerate(given, **{name: True})),
    ):
        assert [group[0].text for group in result.generations] == ["ab", "ab"]
        assert was_streamed(fake_server)


@CLASS
@OBJECT
@each_case("stream", [True, False])
def test_two_that_contradict_are_an_error(
    fake_server: FakeServer, cls: type, own: bool | None, stream: bool, mode: str
) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url, streaming=own)
    words = f"streaming={not stream} and stream={stream} contradict each other"
    with pytest.raises(ConfigurationError, match=words):
        answer(mode, model, stream=stream, streaming=not stream)
    with pytest.raises(ConfigurationError, match=words):
        answer(mode, model.bind(stream=stream), streaming=not stream)
    assert not posts(fake_server)
    assert text_of(answer(mode, model, stream=stream, streaming=stream)) == "Hello world"
    assert text_of(answer(mode, model, stream=stream, streaming=None)) == "Hello world"
    assert was_streamed(fake_server) is stream


@CLASS
def test_several_answers_are_no_stream(fake_server: FakeServer, cls: type, whole_mode: str) -> None:
    with pytest.raises(ConfigurationError, match="n > 1 cannot be streamed"):
        answer(whole_mode, cls(base_url=fake_server.url, n=2), stream=True)


CALLS = Turn(text=["Let", " me"], calls=[("weather", {"city": "Rome"}), ("now", {})])


@NAME
@pytest.mark.parametrize("turn", [CALLS, Turn(text=["Hel", "lo"])])
def test_a_stream_that_is_none_has_all_that_invoke_has(
    fake_server: FakeServer, name: str, turn: Turn, stream_mode: str
) -> None:
    serve_turns(fake_server, "vllm", turn)
    model = EasyLLMChat(base_url=fake_server.url)
    whole = model.invoke("Hi")
    given = answer(stream_mode, model, **{name: False})
    kept = ("content", "tool_calls", "invalid_tool_calls", "usage_metadata", "response_metadata")
    ids = [[call.pop("id") for call in message.tool_calls] for message in (whole, given)]
    assert all(map(all, ids))
    timings = [message.response_metadata.pop("timing") for message in (whole, given)]
    assert [*map(set, timings)] == [{"duration"}] * 2
    assert [getattr(given, key) for key in kept] == [getattr(whole, key) for key in kept]
    assert not was_streamed(fake_server)


@pytest.mark.parametrize(
    ("own", "call"), [(False, {}), (None, {"stream": False}), (True, {"streaming": False})]
)
def test_a_stream_that_is_none_takes_several_answers_and_the_cache(
    fake_server: FakeServer, own: bool | None, call: dict[str, bool], stream_mode: str
) -> None:
    serve(fake_server, "vllm")
    reply, second = chat("One", server_name="vllm"), chat("Two", server_name="vllm")
    reply.body["choices"] += second.body["choices"]
    fake_server.on("POST", "/v1/chat/completions", reply)
    model = EasyLLMChat(base_url=fake_server.url, streaming=own, n=2, cache=InMemoryCache())
    for _ in range(3):
        assert text_of(answer(stream_mode, model, **call)) == "One"
    assert len(posts(fake_server)) == 1
    assert body_of(fake_server)["n"] == 2


def test_the_one_chunk_is_a_chunk(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    (chunk,) = EasyLLMChat(base_url=fake_server.url)._stream([HumanMessage("Hi")], stream=False)
    assert isinstance(chunk.message, AIMessageChunk)
    assert chunk.message.chunk_position == "last"


@OBJECT
@pytest.mark.parametrize("call", [None, True, False])
@pytest.mark.filterwarnings("ignore:.* is in beta")
def test_events_of_the_newest_version_are_streamed_alike(
    fake_server: FakeServer, own: bool | None, call: bool | None
) -> None:
    serve(fake_server, "vllm", ["a", "b"])
    model = EasyLLMChat(base_url=fake_server.url, streaming=own)
    stream = model.stream_events("Hi", version="v3", streaming=call)
    assert stream.output.text == "ab"
    assert was_streamed(fake_server) is ((own if call is None else call) is not False)

    async def run() -> str:
        awaited = await model.astream_events("Hi", version="v3", streaming=call)
        return (await awaited.output).text

    assert asyncio.run(run()) == "ab"
    assert was_streamed(fake_server) is ((own if call is None else call) is not False)
