"""Fields of a call that a prompt template expresses, where it has a switch for them."""

from __future__ import annotations

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError, EasyLLMError

from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import answer, body_of

OFF = "<think>\n\n</think>\n\n"
SWITCHED = "{{ messages[0].content }} {{ enable_thinking }}"


@pytest.mark.parametrize("server_name", ["tgi", "vllm", "llamacpp", "openai"])
def test_thinking_is_written_in_the_prompt(
    fake_server: FakeServer, server_name: str, mode: str
) -> None:
    serve(fake_server, server_name)
    api = "generate" if server_name == "tgi" else "completions"
    model = EasyLLMChat(base_url=fake_server.url, api=api, prompt_builder="qwen3")
    for given, end in ((False, OFF), (True, "assistant\n"), (None, "assistant\n")):
        answer(mode, model.bind(thinking=given))
        body = body_of(fake_server)
        assert str(body.get("prompt", body.get("inputs"))).endswith(end)
        assert "thinking" not in str(
            {k: v for k, v in body.items() if k not in ("prompt", "inputs")}
        )


def test_the_object_s_own_value_counts(fake_server: FakeServer) -> None:
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="glm-4.5", thinking=False)
    assert model.to_prompt("Hi").endswith("Hi/nothink<|assistant|>\n<think></think>")
    llm = EasyLLM(base_url=fake_server.url, prompt_builder=SWITCHED, thinking=False, api="generate")
    serve(fake_server, "tgi")
    llm.invoke("Hi")
    assert body_of(fake_server)["inputs"] == "Hi False"


def test_with_tools(fake_server: FakeServer) -> None:
    tool = {"name": "look", "description": "Look.", "parameters": {"type": "object"}}
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="qwen3", thinking=False)
    assert model.to_prompt("Hi", tools=[tool]).endswith(OFF)


def test_a_template_without_the_switch(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "tgi")
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="llama2", thinking=False)
    with pytest.raises(ConfigurationError, match="thinking"):
        answer(mode, model)
    assert not [request for request in fake_server.requests if request.method == "POST"]


@pytest.mark.parametrize(
    ("builder", "thinking", "tokens"),
    [
        ("qwen3-thinking-2507", None, ["Let me", " see.", "</think>", "\n\n", "Yes."]),
        ("minimax-m2", None, ["Let me see.</thi", "nk>\n\nYes."]),
        ("deepseek-v3.1", True, ["Let me see.", "</think>", "Yes."]),
    ],
)
def test_an_answer_that_begins_inside_the_reasoning(
    fake_server: FakeServer, builder: str, thinking: bool | None, tokens: list[str], mode: str
) -> None:
    serve(fake_server, "tgi", tokens, model="some/model")
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder=builder, thinking=thinking)
    message = answer(mode, model)
    assert message.text == "Yes."
    assert message.additional_kwargs["reasoning_content"].strip() == "Let me see."


LOOK = {"name": "look", "description": "Look.", "parameters": {"type": "object"}}


def test_a_call_that_is_required_does_not_begin_inside_the_reasoning(
    fake_server: FakeServer, mode: str
) -> None:
    serve(fake_server, "tgi", ['{"name": "look", "arguments": {}}', "\n</tool_call>"])
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="qwen3-thinking-2507")
    message = answer(mode, model.bind_tools([LOOK], tool_choice="any"))
    assert body_of(fake_server)["inputs"].endswith(f"assistant\n{OFF}<tool_call>\n")
    assert [call["name"] for call in message.tool_calls] == ["look"]
    answer(mode, model.bind_tools([LOOK]))
    assert body_of(fake_server)["inputs"].endswith("assistant\n<think>\n")


@pytest.mark.parametrize(
    ("builder", "end"), [("minimax-m2", OFF), ("deepseek-v3.1", "<｜Assistant｜><think></think>")]
)
def test_constrained_answers_do_not_begin_inside_the_reasoning(
    fake_server: FakeServer, builder: str, end: str, mode: str
) -> None:
    serve(fake_server, "tgi", ['{"a": 1}'])
    switch = {"thinking": True} if builder == "deepseek-v3.1" else {}
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder=builder, **switch)
    schema = {"title": "A", "type": "object", "properties": {"a": {"type": "integer"}}}
    wanted = model.with_structured_output(schema, method="json_schema")
    assert answer(mode, wanted) == {"a": 1}
    assert body_of(fake_server)["inputs"].endswith(end)


def test_an_answer_behind_the_reasoning_is_streamed_at_once(fake_server: FakeServer) -> None:
    # The name alone would say that the model reasons first.
    serve(fake_server, "tgi", ["Yes", ", it", " is."], model="Qwen/Qwen3-8B")
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="qwen3", thinking=False)
    assert [c.text for c in model.stream("Hi") if c.text] == ["Yes", ", it", " is."]


def test_thinking_that_was_asked_for_teaches_nothing(fake_server: FakeServer) -> None:
    serve(fake_server, "tgi", ["Let me see.", "</think>", "Yes."], model="some/model")
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="deepseek-v3.1")
    assert model.invoke("Hi", thinking=True).text == "Yes."
    serve(fake_server, "tgi", ["Yes", ", it", " is."], model="some/model")
    assert [c.text for c in model.stream("Hi") if c.text] == ["Yes", ", it", " is."]
    plain = model.model_copy(update={"prompt_builder": "zephyr"})
    assert [c.text for c in plain.stream("Hi") if c.text] == ["Yes", ", it", " is."]


@pytest.mark.parametrize("builder", ["gpt-oss", "smollm3", "mistral-small-3", "granite-3.3"])
def test_dated_templates_are_rendered_for_each_call(
    fake_server: FakeServer, builder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder=builder)
    before = model.to_prompt("Hi")
    monkeypatch.setattr("langchain_easyllm.prompts.switches.format_date", lambda *_: "another day")
    assert "another day" in model.to_prompt("Hi")
    assert "another day" not in before


def test_an_unknown_builder_names_the_nearest(fake_server: FakeServer) -> None:
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="zephyr")
    with pytest.raises(EasyLLMError, match="qwen3-coder"):
        model.model_copy(update={"prompt_builder": "qwen-3-coder"}).to_prompt("Hi")
