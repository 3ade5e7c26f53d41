"""Thinking stands apart from the answer, whatever the server calls it, and goes back with it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import PromptError

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


def test_the_mark_of_reasoning_in_prose_is_text(fake_server: FakeServer, mode: str) -> None:
    said = "The <think> tag starts it.\n<think> is one word."
    serve(fake_server, "vllm", [*"<think>Let me see.</think>", *said])
    message = answer(mode, EasyLLMChat(base_url=fake_server.url))
    assert message.text == said
    assert message.additional_kwargs["reasoning_content"] == "Let me see."


def test_further_reasoning_that_is_cut_off_is_reasoning(fake_server: FakeServer, mode: str) -> None:
    said = ["<think>", "Let me", "</think>", "\n\n", "Yes.\n", "<think>", " see."]
    serve(fake_server, "vllm", said, finish_reason="length")
    message = answer(mode, EasyLLMChat(base_url=fake_server.url))
    assert message.text == "Yes.\n"
    assert message.additional_kwargs["reasoning_content"] == "Let me see."


@pytest.mark.parametrize("said", ["A </think> tag.", "```html\n</think>\n```\nIt is."])
def test_a_model_that_opens_its_mark_does_not_leave_it_out(
    fake_server: FakeServer, said: str, mode: str
) -> None:
    model = EasyLLMChat(base_url=fake_server.url)
    serve(fake_server, "vllm", ["<think>", "Hm", "</think>", "Yes."])
    assert answer(mode, model).text == "Yes."
    serve(fake_server, "vllm", list(said))
    assert answer(mode, model).text == said


def test_a_closing_mark_in_code_is_text_of_a_known_reasoning_model(
    fake_server: FakeServer, mode: str
) -> None:
    said = "Close it with `</think>`:\n```\n</think>\n```\nThat is it."
    serve(fake_server, "vllm", list(said), model="Qwen/Qwen3-8B")
    assert answer(mode, EasyLLMChat(base_url=fake_server.url)).text == said


ANALYSIS = "<|channel|>analysis<|message|>Hm.<|end|>"
FINAL = "<|start|>assistant<|channel|>final"
PREAMBLE = "<|channel|>commentary<|message|>I look.<|end|>"


@pytest.mark.parametrize("api", ["chat", "completions"])
@pytest.mark.parametrize(
    ("said", "reasoning", "text"),
    [
        (f'{ANALYSIS}{FINAL} <|constrain|>json<|message|>{{"a":1}}', "Hm.", '{"a":1}'),
        (f"{ANALYSIS}{PREAMBLE}{FINAL}<|message|>Yes.<|return|>", "Hm.", "I look.\n\nYes."),
        (f"{PREAMBLE}<|start|>assistant{ANALYSIS}{FINAL}<|message|>Yes.", "Hm.", "I look.\n\nYes."),
        (f"{FINAL}<|message|>a <b> <| c |> 1 <|", "", "a <b> <| c |> 1 <|"),
        ("<|start|>assistant<|message|>Yes.<|end|>", "", "Yes."),
        ("<|channel|> is a token.", "", "<|channel|> is a token."),
    ],
)
def test_messages_of_harmony_are_reasoning_and_text(
    fake_server: FakeServer, api: Any, said: str, reasoning: str, text: str
) -> None:
    builder = "gpt-oss" if api == "completions" else None
    model = EasyLLMChat(base_url=fake_server.url, api=api, prompt_builder=builder)
    for mode, tokens in (("invoke", [said]), ("stream", [said]), ("stream", [*said])):
        serve(fake_server, "vllm", tokens)
        message = answer(mode, model)
        assert message.text == text
        assert message.additional_kwargs.get("reasoning_content", "") == reasoning


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_preamble_before_a_call_is_text(fake_server: FakeServer, api: Any, mode: str) -> None:
    call = '<|channel|>commentary to=functions.look <|constrain|>json<|message|>{"at":"A"}<|call|>'
    serve(fake_server, "vllm", [*f"{ANALYSIS}<|start|>assistant{PREAMBLE}<|start|>assistant{call}"])
    fields: dict[str, Any] = {"parse_tool_calls": "gpt-oss"}
    if api == "completions":
        fields = {"prompt_builder": "gpt-oss"}
    parameters = {"type": "object", "properties": {"at": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "look", "parameters": parameters}}
    model = EasyLLMChat(base_url=fake_server.url, api=api, **fields).bind_tools([tool])
    message = answer(mode, model)
    assert message.text == "I look."
    assert message.additional_kwargs["reasoning_content"] == "Hm."
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [("look", {"at": "A"})]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("<think>Hm</think>\n<response>Yes.</response>", "Yes."),
        ("<think>Hm</think><response>a</response> b</response>\n", "a</response> b"),
        ("<think>Hm</think><response>Yes", "Yes"),
        ("<think>Hm</think><resp", "<resp"),
        ("<think>Hm</think>Yes.</response>", "Yes.</response>"),
    ],
)
def test_the_tags_around_an_answer_of_granite(
    fake_server: FakeServer, said: str, text: str
) -> None:
    model = EasyLLMChat(
        base_url=fake_server.url, api="completions", prompt_builder="granite-3.3", thinking=True
    )
    for mode, tokens in (("invoke", [said]), ("stream", [said]), ("stream", [*said])):
        serve(fake_server, "vllm", tokens)
        message = answer(mode, model)
        assert message.text == text
        assert message.additional_kwargs["reasoning_content"] == "Hm"
    model.thinking = False
    assert answer("invoke", model).text == said.removeprefix("<think>Hm</think>").lstrip("\n")


def test_thinking_of_granite_beside_a_system_message_is_an_error(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm", ["Yes."])
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="granite-3.3", thinking=True)
    with pytest.raises(PromptError, match="thinking=True would do nothing"):
        model.invoke([("system", "Be brief."), ("user", "Hi")])
    assert not [request for request in fake_server.requests if request.body]


def test_json_in_the_reasoning_beside_blank_text(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    reply = chat("\n", server_name="vllm", message={"reasoning_content": '{"a": 3}'})
    fake_server.on("POST", "/v1/chat/completions", reply)
    schema = {"title": "A", "type": "object", "properties": {"a": {"type": "integer"}}}
    model = EasyLLMChat(base_url=fake_server.url).with_structured_output(schema)
    assert model.invoke("Hi") == {"a": 3}


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
