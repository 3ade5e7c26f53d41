"""The events of `stream_events(version="v3")`, which this package makes itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGenerationChunk

from langchain_easyllm import EasyLLMChat
from langchain_easyllm._langchain import events
from langchain_easyllm.errors import BadRequestError

from ...support.fake_server import FakeServer, sse
from ...support.fake_text_servers import chat_stream, error, serve
from ..chat.test_answer_blocks import ANSWERS, BROKEN, CHAT, INVALID, TOOL, give, plain

pytestmark = [
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),
    pytest.mark.skipif(not events.SUPPORTED, reason="langchain-core 1.7 has this form of events"),
]
MODES = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


def stream(model: Any, *, asynchronous: bool, **kwargs: Any) -> tuple[list[Any], AIMessage]:
    """Return the events of a call, and the message that langchain-core makes of them."""
    if not asynchronous:
        given = model.stream_events("Hi", version="v3", **kwargs)
        return list(given), given.output

    async def read() -> tuple[list[Any], AIMessage]:
        given = await model.astream_events("Hi", version="v3", **kwargs)
        return [event async for event in given], await given.output

    return asyncio.run(read())


def bridged(model: EasyLLMChat, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], AIMessage]:
    """Return what langchain-core itself makes of the chunks."""
    with monkeypatch.context() as patched:
        patched.setattr(EasyLLMChat, "_stream_chat_model_events", None)
        return stream(model, asynchronous=False)


def same(message: AIMessage) -> dict[str, Any]:
    fields = message.model_dump(exclude={"id"})
    fields["response_metadata"].pop("timing")
    return fields


@MODES
@pytest.mark.parametrize("name", ["text", "reasoning", "calls", "images"])
def test_events_are_those_that_langchain_core_makes(
    fake_server: FakeServer, name: str, asynchronous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(fake_server, "vllm")
    give(fake_server, "events", ANSWERS[name])
    model: Any = EasyLLMChat(base_url=fake_server.url).bind_tools([TOOL])
    own, message = stream(model, asynchronous=asynchronous)
    other, expected = bridged(model, monkeypatch)
    assert plain(message.content) == plain(expected.content)
    assert {**same(message), "content": None} == {**same(expected), "content": None}
    assert own[0].pop("metadata") == {"provider": "huggingface"}
    for start in (own[0], other[0]):
        assert start.pop("id").startswith("lc_run-")
    if name != "images":  # langchain-core writes the data of an image twice, and numbers of its own
        assert own[:-1] == other[:-1]
    assert own[-1].keys() == other[-1].keys()


@MODES
def test_an_invalid_call_keeps_its_reason(fake_server: FakeServer, asynchronous: bool) -> None:
    serve(fake_server, "vllm")
    give(fake_server, "events", BROKEN)
    model = EasyLLMChat(base_url=fake_server.url)
    own, message = stream(model.bind_tools([TOOL]), asynchronous=asynchronous)
    assert message.invalid_tool_calls == [INVALID]
    assert [call["id"] for call in message.tool_calls] == ["call-1"]
    assert INVALID in [event.get("content") for event in own]
    pieces = [event["delta"].get("args", "") for event in own if "delta" in event]
    assert "".join(pieces) == '{"a":nope}{"a": 2}'
    assert (plain(message.content)[0], message.content[1]) == (
        {"type": "text", "text": "Ok. "},
        INVALID,
    )


@MODES
def test_a_refusal_and_a_sound_are_not_lost(fake_server: FakeServer, asynchronous: bool) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url)
    give(fake_server, "events", ANSWERS["refusal"])
    _, message = stream(model, asynchronous=asynchronous)
    refused = {"type": "non_standard", "value": ANSWERS["refusal"].blocks[1]}
    assert plain(message.content) == [ANSWERS["refusal"].blocks[0], refused]
    give(fake_server, "events", ANSWERS["audio"])
    _, message = stream(model, asynchronous=asynchronous)
    assert plain(message.content) == ANSWERS["audio"].blocks


@MODES
def test_a_message_of_events_goes_back(fake_server: FakeServer, asynchronous: bool) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url)
    for said in ANSWERS.values():
        give(fake_server, "events", said)
        _, message = stream(model.bind_tools([TOOL]), asynchronous=asynchronous)
        give(fake_server, "invoke", ANSWERS["text"])
        model.invoke([("human", "Hi"), message, ("human", "And?")])
        [_, sent, _] = fake_server.requests[-1].json["messages"]
        assert sent == {"role": "assistant", **said.back}


@MODES
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_an_answer_that_is_not_streamed_has_the_same_events(
    fake_server: FakeServer, version: str, asynchronous: bool
) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url, streaming=False, output_version=version)
    for said in (*ANSWERS.values(), BROKEN):
        give(fake_server, "invoke", said)
        whole, message = stream(model.bind_tools([TOOL]), asynchronous=asynchronous)
        assert not fake_server.requests[-1].json.get("stream")
        give(fake_server, "events", said)
        streamed = EasyLLMChat(base_url=fake_server.url).bind_tools([TOOL])
        pieces, expected = stream(streamed, asynchronous=asynchronous)
        assert _ends(whole) == _ends(pieces)
        assert message.invalid_tool_calls == expected.invalid_tool_calls


def _ends(given: list[Any]) -> list[Any]:
    ends = [event["content"] for event in given if event["event"] == "content-block-finish"]
    return sorted(plain(ends), key=str)


@MODES
def test_a_failure_ends_the_events(fake_server: FakeServer, asynchronous: bool) -> None:
    serve(fake_server, "vllm")
    fake_server.on("POST", CHAT, error("vllm-too-long"))
    seen: list[Any] = []

    class Handler(BaseCallbackHandler):
        def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
            seen.append((error, kwargs["response"].generations))

    model = EasyLLMChat(base_url=fake_server.url, callbacks=[Handler()])

    async def fail() -> None:
        with pytest.raises(BadRequestError):
            await (await model.astream_events("Hi", version="v3")).output
        while not seen:  # noqa: ASYNC110 - langchain-core tells its caller first
            await asyncio.sleep(0.001)

    if asynchronous:
        asyncio.run(asyncio.wait_for(fail(), 30))
    else:
        with pytest.raises(BadRequestError):
            stream(model, asynchronous=False)
    [(failure, [[generation]])] = seen
    assert isinstance(failure, BadRequestError)
    assert generation.message.response_metadata["status_code"] == 400


@MODES
def test_a_subclass_with_a_stream_of_its_own_keeps_it(
    fake_server: FakeServer, asynchronous: bool
) -> None:
    class Loud(EasyLLMChat):
        def _stream(self, *given: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            for chunk in super()._stream(*given, **kwargs):
                chunk.message.content = str(chunk.message.content).upper()
                yield chunk

        async def _astream(self, *given: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
            async for chunk in super()._astream(*given, **kwargs):
                chunk.message.content = str(chunk.message.content).upper()
                yield chunk

    serve(fake_server, "vllm")
    fake_server.on("POST", CHAT, chat_stream(["Hel", "lo"], "vllm"))
    _, message = stream(Loud(base_url=fake_server.url), asynchronous=asynchronous)
    assert message.text == "HELLO"
    _, message = stream(EasyLLMChat(base_url=fake_server.url), asynchronous=asynchronous)
    assert message.text == "Hello"


def test_langchain_core_has_the_hook() -> None:
    """It is found by its name: a version without it would pass it over in silence."""
    names = BaseChatModel._iter_v2_events.__code__.co_consts
    assert "_stream_chat_model_events" in names
    names = BaseChatModel._aiter_v2_events.__code__.co_consts
    assert "_astream_chat_model_events" in names


def test_log_probabilities_of_all_pieces(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    tokens = [{"content": [{"token": text, "logprob": -0.5}]} for text in ("Hel", "lo")]
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": {"content": piece["content"][0]["token"]}, "logprobs": piece}
        for piece in tokens
    ]
    choices[-1]["finish_reason"] = "stop"
    fake_server.on("POST", CHAT, sse(*({"choices": [choice]} for choice in choices)))
    _, message = stream(EasyLLMChat(base_url=fake_server.url, logprobs=True), asynchronous=False)
    logprobs = message.response_metadata["logprobs"]["content"]
    assert [token["token"] for token in logprobs] == ["Hel", "lo"]
