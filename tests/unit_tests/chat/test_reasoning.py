"""Thinking stands apart from the answer, whatever the server calls it, and goes back with it."""

from __future__ import annotations

import pytest
from langchain_core.messages import HumanMessage

from langchain_easyllm import EasyLLM, EasyLLMChat

from ...support.fake_server import FakeServer, Received, Reply, sse
from ...support.fake_text_servers import chat, chat_events, serve
from ...support.invocation_modes import STREAM_MODES, answer, body_of

FIELDS = ("reasoning", "reasoning_content")
BLOCKS = [{"type": "reasoning", "reasoning": "Let me see."}, {"type": "text", "text": "Yes."}]


def thinks_aloud(server: FakeServer, field: str) -> None:
    """A server that keeps thinking in a field of its own."""
    serve(server, "vllm")

    def reply(request: Received) -> Reply:
        if not body_of(server).get("stream"):
            return chat("Yes.", server_name="vllm", message={field: "Let me see."})
        events = chat_events(["Ye", "s."], "vllm")
        thought = [
            {"choices": [{"index": 0, "delta": {field: part, "content": None}}]}
            for part in ("Let ", "me see.")
        ]
        return sse(events[0], *thought, *events[1:])

    server.on("POST", "/v1/chat/completions", reply)


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_its_own_becomes_a_block(fake_server: FakeServer, field: str, mode: str) -> None:
    thinks_aloud(fake_server, field)
    message = answer(mode, EasyLLMChat(base_url=fake_server.url))
    assert message.text == "Yes."
    assert message.content_blocks == BLOCKS


@pytest.mark.parametrize("field", FIELDS)
def test_it_goes_back_in_the_name_that_the_server_spoke(
    fake_server: FakeServer, field: str, mode: str
) -> None:
    thinks_aloud(fake_server, field)
    model = EasyLLMChat(base_url=fake_server.url)
    first = answer(mode, model)
    answer(mode, model, [HumanMessage("Hi"), first, HumanMessage("And?")])
    sent = body_of(fake_server)["messages"][1]
    assert sent == {"role": "assistant", "content": "Yes.", field: "Let me see."}


def test_tags_go_back_as_tags(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm", ["<think>", "Let me see.", "</think>", "\n\n", "Yes."])
    model = EasyLLMChat(base_url=fake_server.url)
    first = answer(mode, model)
    assert first.content_blocks == BLOCKS
    answer(mode, model, [HumanMessage("Hi"), first, HumanMessage("And?")])
    sent = body_of(fake_server)["messages"][1]
    assert sent == {"role": "assistant", "content": "<think>Let me see.</think>\n\nYes."}


@pytest.mark.parametrize("server_name", ["vllm", "tgi", "llamacpp", "router"])
def test_tags_are_found_however_they_are_split(fake_server: FakeServer, server_name: str) -> None:
    text = "<think>\nLet me see.\n</think>\n\nYes."
    splits = [list(text), [text], *([text[:at], text[at:]] for at in range(1, len(text)))]
    model = EasyLLMChat(base_url=fake_server.url)
    for tokens in splits:
        serve(fake_server, server_name, tokens)
        message = answer("stream", model)
        assert message.text == "Yes."
        assert message.additional_kwargs["reasoning_content"].strip() == "Let me see."
    assert answer("astream", model).content_blocks == message.content_blocks
    assert answer("invoke", model).content_blocks == message.content_blocks


@pytest.mark.parametrize("name", ["deepseek-ai/DeepSeek-R1", "Qwen/QwQ-32B", "Qwen/Qwen3-8B"])
def test_a_closing_tag_alone_is_enough_for_a_known_reasoning_model(
    fake_server: FakeServer, name: str, mode: str
) -> None:
    serve(fake_server, "vllm", ["Let me", " see.", "</th", "ink>", "\n\n", "Yes."], model=name)
    message = answer(mode, EasyLLMChat(base_url=fake_server.url))
    assert message.text == "Yes."
    assert message.content_blocks == BLOCKS


def test_a_reasoning_model_that_does_not_reason_answers(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm", ["Just", " yes."], model="Qwen/Qwen3-8B")
    message = answer(mode, EasyLLMChat(base_url=fake_server.url))
    assert message.content_blocks == [{"type": "text", "text": "Just yes."}]


def test_a_closing_tag_alone_teaches_what_streams_cannot_see_coming(
    fake_server: FakeServer,
) -> None:
    serve(fake_server, "vllm", ["Let me", " see.", "</think>", "\n\n", "Yes."])
    model = EasyLLMChat(base_url=fake_server.url)
    answer("stream", model)
    for mode in STREAM_MODES:
        assert answer(mode, model).content_blocks == BLOCKS


def test_tags_in_the_middle_of_an_answer_are_text(fake_server: FakeServer, mode: str) -> None:
    said = "Write <think> and </think> around it."
    serve(fake_server, "vllm", list(said))
    assert answer(mode, EasyLLMChat(base_url=fake_server.url)).text == said


def test_unfinished_thinking_is_thinking(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm", ["<think>", "Let me see."], finish_reason="length")
    message = answer(mode, EasyLLMChat(base_url=fake_server.url))
    assert message.text == ""
    assert message.additional_kwargs["reasoning_content"] == "Let me see."
    assert message.response_metadata["finish_reason"] == "length"


def test_thinking_alone_is_no_empty_answer_error(fake_server: FakeServer, mode: str) -> None:
    """vLLM with a stop inside the thinking: content is null."""
    serve(fake_server, "vllm")

    def reply(request: Received) -> Reply:
        if body_of(fake_server).get("stream"):
            events = chat_events([], "vllm")
            part = {"choices": [{"index": 0, "delta": {"reasoning": "Hm"}}]}
            return sse(events[0], part, *events[1:])
        return chat(None, server_name="vllm", message={"reasoning": "Hm"})

    fake_server.on("POST", "/v1/chat/completions", reply)
    message = answer(mode, EasyLLMChat(base_url=fake_server.url))
    assert message.text == ""
    assert message.additional_kwargs["reasoning_content"] == "Hm"


def test_an_llm_answers_without_its_thinking(fake_server: FakeServer, mode: str) -> None:
    for server_name in ("tgi", "vllm"):
        serve(fake_server, server_name, ["<think>", "Let me see.", "</think>", "\n\n", "Yes."])
        assert answer(mode, EasyLLM(base_url=fake_server.url)) == "Yes."


def test_the_usage_tells_the_reasoning_tokens(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    reply = chat("Yes.", server_name="vllm", message={"reasoning": "Hm"})
    usage = {
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "total_tokens": 12,
        "completion_tokens_details": {"reasoning_tokens": 3},
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    fake_server.on("POST", "/v1/chat/completions", Reply({**reply.body, "usage": usage}))
    message = EasyLLMChat(base_url=fake_server.url).invoke("Hi")
    assert message.usage_metadata == {
        "input_tokens": 7,
        "output_tokens": 5,
        "total_tokens": 12,
        "input_token_details": {"cache_read": 2},
        "output_token_details": {"reasoning": 3},
    }


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("server_name", ["vllm", "llamacpp", "openai"])
def test_thinking_is_switched(fake_server: FakeServer, server_name: str, thinking: bool) -> None:
    serve(fake_server, server_name)
    model = EasyLLMChat(base_url=fake_server.url, thinking=thinking)
    model.invoke("Hi")
    switch = body_of(fake_server)["chat_template_kwargs"]
    assert switch["enable_thinking"] is thinking
    model.invoke("Hi", thinking=not thinking)
    assert body_of(fake_server)["chat_template_kwargs"]["enable_thinking"] is not thinking
    model.invoke("Hi", thinking=None)
    assert "chat_template_kwargs" not in body_of(fake_server)


@pytest.mark.parametrize("server_name", ["tgi", "llama-cpp-python"])
def test_thinking_without_a_switch_is_an_error(fake_server: FakeServer, server_name: str) -> None:
    serve(fake_server, server_name)
    with pytest.raises(ValueError, match="thinking"):
        EasyLLMChat(base_url=fake_server.url, thinking=False).invoke("Hi")
    assert not [r for r in fake_server.requests if r.method == "POST"]


def test_content_blocks_of_an_earlier_answer_are_not_sent_as_text(fake_server: FakeServer) -> None:
    thinks_aloud(fake_server, "reasoning")
    model = EasyLLMChat(base_url=fake_server.url)
    first = model.invoke("Hi")
    again = first.model_copy(update={"content": first.content_blocks})
    model.invoke([HumanMessage("Hi"), again, HumanMessage("And?")])
    assert body_of(fake_server)["messages"][1]["content"] == "Yes."


def test_v1_output_has_the_blocks_as_content(fake_server: FakeServer, mode: str) -> None:
    thinks_aloud(fake_server, "reasoning")
    model = EasyLLMChat(base_url=fake_server.url, output_version="v1")
    message = answer(mode, model)
    assert [block["type"] for block in message.content] == ["reasoning", "text"]
    answer(mode, model, [HumanMessage("Hi"), message, HumanMessage("And?")])
    sent = body_of(fake_server)["messages"][1]
    assert sent == {"role": "assistant", "content": "Yes.", "reasoning": "Let me see."}
