"""No stop sequence ever reaches the caller, whoever enforces it and however it is cut up."""

from __future__ import annotations

import asyncio
from itertools import combinations

import pytest
from langchain_core.messages import HumanMessage

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.prompts import ChatPrompt, get_prompt

from ...support.cases import each_case
from ...support.fake_server import FakeServer, Received, Reply, Stall, sse
from ...support.fake_text_servers import chat, chat_events, serve, tgi_generate_events
from ...support.invocation_modes import (
    CLASSES,
    MODES,
    SERVER_NAMES,
    STREAM_MODES,
    answer,
    body_of,
    text_of,
)

TEXT = "Thought: look\nObservation: found"
STOP = "\nObservation"
SPLITS = [[TEXT[:a], TEXT[a:b], TEXT[b:]] for a, b in combinations(range(11, 28, 3), 2)]


def deaf(server: FakeServer, tokens: list[str]) -> None:
    """A vLLM that does not honour `stop`, and whose stream goes on and on."""
    serve(server, "vllm")

    def reply(request: Received) -> Reply:
        if body_of(server).get("stream"):
            return sse(*chat_events(tokens, "vllm")[:-2], Stall())
        return chat("".join(tokens), server_name="vllm")

    server.on("POST", "/v1/chat/completions", reply)


@each_case("server_name", SERVER_NAMES)
@each_case("cls", CLASSES)
def test_a_stop_is_cut_in_every_mode(
    fake_server: FakeServer, cls: type, server_name: str, mode: str
) -> None:
    serve(fake_server, server_name, ["Thought: look", "\nObs", "erva", "tion: ", "found"])
    result = answer(mode, cls(base_url=fake_server.url), stop=[STOP])
    assert text_of(result) == "Thought: look"


@pytest.mark.parametrize("tokens", SPLITS)
def test_a_server_that_ignores_stops_is_hung_up_on(
    fake_server: FakeServer, tokens: list[str]
) -> None:
    deaf(fake_server, tokens)
    for mode in STREAM_MODES:
        model = EasyLLMChat(base_url=fake_server.url, stop=[STOP], timeout=20)
        assert answer(mode, model).text == "Thought: look"
    fake_server.wait_until(lambda: fake_server.disconnects == 2)
    for mode in ("invoke", "ainvoke"):
        assert answer(mode, model).text == "Thought: look"
    assert body_of(fake_server)["stop"] == [STOP]


def test_the_finish_reason_of_a_cut_is_stop(fake_server: FakeServer, mode: str) -> None:
    deaf(fake_server, [TEXT])
    message = answer(mode, EasyLLMChat(base_url=fake_server.url), stop=[STOP])
    assert message.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("tail", ["\nObs", "\n", "\nObservatio", "\nObserver"])
def test_what_only_looks_like_a_stop_is_kept(fake_server: FakeServer, tail: str, mode: str) -> None:
    serve(fake_server, "tgi", ["Thought", *tail])
    for cls in CLASSES:
        assert text_of(answer(mode, cls(base_url=fake_server.url), stop=[STOP])) == "Thought" + tail


def test_the_earliest_stop_wins_and_the_longest_hides_nothing(
    fake_server: FakeServer, mode: str
) -> None:
    deaf(fake_server, list("ab<|end|>cd"))
    model = EasyLLMChat(base_url=fake_server.url, timeout=20)
    assert answer(mode, model, stop=["<|end|>", "<|e", "cd"]).text == "ab"
    assert answer(mode, model, stop=["cd", "c"]).text == "ab<|end|>"
    assert answer(mode, model, stop=["ab"]).text == ""


@pytest.mark.parametrize("api", ["chat", "generate"])
def test_more_stops_than_the_server_allows_all_work(
    fake_server: FakeServer, api: str, mode: str
) -> None:
    many = [f"<{number}>" for number in range(8)]
    builder = {"prompt_builder": get_prompt("zephyr")} if api == "generate" else {}
    model = EasyLLMChat(base_url=fake_server.url, stop=many, timeout=20, **builder)
    for last in ("<1>", "<7>"):
        serve(fake_server, "tgi", ["One", " two", *last, "never", " seen"])
        assert answer(mode, model).text == "One two"
        sent = body_of(fake_server)
        assert len((sent.get("parameters") or sent)["stop"]) == 4


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
def test_a_stop_that_is_not_sent_ends_the_generation_early(
    fake_server: FakeServer, mode: str
) -> None:
    serve(fake_server, "tgi")
    events = tgi_generate_events(["One", " two", "<7>", "never"])
    fake_server.on("POST", "/generate_stream", sse(*events[:-2], Stall(), done=False))
    model = EasyLLM(base_url=fake_server.url, stop=[f"<{n}>" for n in range(8)], timeout=20)
    assert answer(mode, model) == "One two"
    fake_server.wait_until(lambda: fake_server.disconnects == 1)


def test_a_template_brings_its_own_stops(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "tgi", ["Hi", "</s>", "<|user|>", "More"])
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="zephyr", stop=["###"])
    assert answer(mode, model).text == "Hi"
    sent = body_of(fake_server)["parameters"]["stop"]
    template = get_prompt("zephyr")
    assert isinstance(template, ChatPrompt)
    assert set(sent) == {"###", *template.stop}


def test_a_stop_in_the_call_replaces_the_objects(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm", list("a1b2c3"))
    model = EasyLLMChat(base_url=fake_server.url, stop=["1"])
    assert answer(mode, model).text == "a"
    assert answer(mode, model, stop=["2"]).text == "a1b"
    assert answer(mode, model, stop_sequences=["3"]).text == "a1b2c"
    assert answer(mode, model.bind(stop=["2"])).text == "a1b"
    assert answer(mode, model, stop="3").text == "a1b2c"
    assert answer(mode, model, stop=[]).text == "a1b2c3"


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
@pytest.mark.parametrize("mode", MODES)
def test_a_stop_does_not_fire_inside_thinking(
    fake_server: FakeServer, name: str, mode: str
) -> None:
    serve(fake_server, "vllm", model="deepseek-ai/DeepSeek-R1")

    def reply(request: Received) -> Reply:
        sent = body_of(fake_server)
        assert "stop" not in sent
        whole = {name: "I think. STOP No.", "content": "So: yes"}
        if not sent.get("stream"):
            return chat("So: yesSTOPno", server_name="vllm", message={name: whole[name]})
        events = chat_events(["So: ", "yesS", "TOPno"], "vllm")
        start = {"choices": [{"index": 0, "delta": {name: whole[name]}}]}
        return sse(events[0], start, *events[1:])

    fake_server.on("POST", "/v1/chat/completions", reply)
    message = answer(mode, EasyLLMChat(base_url=fake_server.url), stop=["STOP"])
    assert message.text == "So: yes"
    assert message.additional_kwargs["reasoning_content"] == "I think. STOP No."


def test_a_stop_does_not_fire_inside_think_tags(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm", ["<think>", "a STOP b", "</think>", "\n\nyes", "STOP", "no"])
    deaf(fake_server, ["<think>", "a STOP b", "</think>", "\n\nyes", "STOP", "no"])
    model = EasyLLMChat(base_url=fake_server.url, model="qwen/qwq-32b")
    message = answer(mode, model, stop=["STOP"])
    assert message.text == "yes"
    assert "stop" not in body_of(fake_server)
    assert "a STOP b" in message.additional_kwargs["reasoning_content"]


def test_once_seen_thinking_a_model_is_no_longer_sent_stops(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm", ["<think>", "hm", "</think>", "yes"])
    model = EasyLLMChat(base_url=fake_server.url)
    model.invoke("Hi")
    model.invoke("Hi", stop=["x"])
    assert "stop" not in body_of(fake_server)


def test_the_usage_of_a_cut_answer_is_never_invented(fake_server: FakeServer) -> None:
    deaf(fake_server, ["a", "STOP", "b"])
    message = answer("stream", EasyLLMChat(base_url=fake_server.url), stop=["STOP"])
    assert message.usage_metadata is None


@pytest.mark.parametrize("server_name", ["vllm", "tgi"])
def test_the_usage_that_follows_an_honoured_stop_is_kept(
    fake_server: FakeServer, server_name: str, stream_mode: str
) -> None:
    serve(fake_server, server_name, ["a", "STOP", "b"])
    message = answer(stream_mode, EasyLLMChat(base_url=fake_server.url), stop=["STOP"])
    assert message.text == "a"
    assert message.usage_metadata["input_tokens"] == 7


def test_logprobs_of_what_was_cut_are_not_reported(fake_server: FakeServer) -> None:
    serve(fake_server, "tgi")
    events = tgi_generate_events(["a", "b", "STOP", "c"])
    fake_server.on("POST", "/generate_stream", sse(*events, done=False))
    model = EasyLLMChat(
        base_url=fake_server.url, prompt_builder="zephyr", stop=["STOP"], logprobs=True
    )
    message = answer("stream", model)
    tokens = [one["token"] for one in message.response_metadata["logprobs"]["content"]]
    assert tokens == ["a", "b"]


async def test_stops_hold_in_concurrent_streams_of_one_object(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm", list("abcdef"))
    model = EasyLLMChat(base_url=fake_server.url)

    async def text(stop: str) -> str:
        return "".join([chunk.text async for chunk in model.astream("Hi", stop=[stop])])

    assert await asyncio.gather(*map(text, "bdf")) == ["a", "abc", "abcde"]


def test_an_agents_stop_is_bound(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "tgi", ["Action: search", "\nObservation", ": made up"])
    for cls in CLASSES:
        model = cls(base_url=fake_server.url).bind(stop=[STOP])
        assert text_of(answer(mode, model, [HumanMessage("Go")])) == "Action: search"
