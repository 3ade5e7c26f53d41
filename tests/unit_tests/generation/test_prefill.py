"""An AIMessage at the end is continued, or an error says which server would not."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from jinja2 import Environment
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_easyllm import EasyLLMChat
from langchain_easyllm.errors import ConfigurationError
from langchain_easyllm.offline import OfflineServer, offline_server
from langchain_easyllm.prompts import PROMPT_MAPPING
from langchain_easyllm.prompts.jinja import JinjaPrompt

from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import chat, chat_stream, info_tgi, serve
from ...support.invocation_modes import MODES, answer, body_of
from ...support.jinja_templates import OFFICIAL


@pytest.fixture(scope="module")
def llama_cpp() -> Iterator[OfflineServer]:
    with offline_server(like="llama.cpp") as server:
        yield server


COUNT = HumanMessage("Count.")
ONE = AIMessage("One, two,")
TALK: list[BaseMessage] = [COUNT, ONE]
KEYS = {"continue_final_message": True, "add_generation_prompt": False}
CALL = {"name": "add", "args": {"a": 1}, "id": "call_1", "type": "tool_call"}

CONTINUING = {"vllm": KEYS, "sglang": KEYS, "llamacpp": KEYS, "tgi": {}, "lmdeploy": {}}
ANEW = (
    *("llama-cpp-python", "ollama", "lm-studio", "tensorrt-llm", "mlx-lm", "litellm"),
    *("transformers",),
)


def add(a: int) -> int:
    """Add."""
    return a


def continued(body: dict[str, Any]) -> dict[str, Any]:
    return {key: body[key] for key in KEYS if key in body}


@pytest.mark.parametrize("server_name", CONTINUING)
def test_a_chat_server_continues_the_last_message(
    fake_server: FakeServer, server_name: str
) -> None:
    serve(fake_server, server_name, [" three", "."])
    model = EasyLLMChat(base_url=fake_server.url)
    for mode in MODES:
        assert answer(mode, model, TALK).text == " three."
        body = body_of(fake_server)
        assert continued(body) == CONTINUING[server_name]
        assert body["messages"][-1] == {"role": "assistant", "content": "One, two,"}
        answer(mode, model, [COUNT])
        assert not continued(body_of(fake_server))


def test_llama_cpp_repeats_what_it_continues_unless_it_streams(
    fake_server: FakeServer, mode: str
) -> None:
    serve(fake_server, "llamacpp")

    def reply(request: Received) -> Reply:
        body = json.loads(request.body)
        if body.get("stream"):
            return chat_stream([" three", "."], "llamacpp", finish_reason="stop")
        whole: Any = chat("One, two, three.", server_name="llamacpp").body
        return Reply({**whole, "choices": whole["choices"] * body.get("n", 1)})

    fake_server.on("POST", "/v1/chat/completions", reply)
    model = EasyLLMChat(base_url=fake_server.url)
    assert answer(mode, model, TALK).text == " three."
    [two] = model.generate([TALK], n=2).generations
    assert [one.text for one in two] == [" three."] * 2
    # With keys of the caller's own, nothing is done but to send them.
    [two] = model.generate([TALK], n=2, model_kwargs={"add_generation_prompt": False}).generations
    assert [one.text for one in two] == ["One, two, three."] * 2


@pytest.mark.parametrize("said", ["The capital of", " The", "Monday ", "안녕, ☕"])
def test_the_offline_llama_cpp_gives_the_continuation_alone(
    llama_cpp: OfflineServer, said: str
) -> None:
    talk = [HumanMessage("What is the capital of France?"), AIMessage(said)]
    model = EasyLLMChat(base_url=llama_cpp.base_url, temperature=0, max_tokens=12)
    text = EasyLLMChat(
        base_url=llama_cpp.base_url, temperature=0, max_tokens=12, prompt_builder="auto"
    )
    expected = text.invoke(talk).text
    assert expected
    assert [answer(mode, model, talk).text for mode in MODES] == [expected] * len(MODES)


def test_the_offline_llama_cpp_gives_an_object_behind_an_answer(llama_cpp: OfflineServer) -> None:
    model = EasyLLMChat(base_url=llama_cpp.base_url, temperature=0, max_tokens=60)
    person = {"title": "Person", "type": "object", "properties": {"age": {"type": "integer"}}}
    talk = [HumanMessage("How old is Ann?"), AIMessage("Ann is 7 years old.")]
    schema: dict[str, Any] = {**person, "required": ["age"], "additionalProperties": False}
    found = model.with_structured_output(schema).invoke(talk)
    assert isinstance(found["age"], int)  # type: ignore[index]


@pytest.mark.parametrize("server_name", [*ANEW, "tgi, older"])
def test_a_server_that_would_answer_anew_is_an_error_that_names_it(
    fake_server: FakeServer, server_name: str
) -> None:
    serve(fake_server, server_name.partition(",")[0])
    if "older" in server_name:
        fake_server.on("GET", "/info", info_tgi(version="2.4.1"))
    model = EasyLLMChat(base_url=fake_server.url, model="tiny")
    for mode in ("invoke", "astream"):
        with pytest.raises(ConfigurationError, match=r"anew in place.*prompt_builder") as caught:
            answer(mode, model, TALK)
    name = {"transformers": "transformers serve"}.get(server_name, server_name.partition(",")[0])
    assert f"({name.replace('lm-studio', 'lm studio')})" in str(caught.value)
    assert not any(request.method == "POST" for request in fake_server.requests)
    own = {"continue_final_message": True}
    if server_name != "tensorrt-llm":  # which refuses such keys
        assert model.invoke(TALK, model_kwargs=own).text == "Hello world"


def test_inference_providers_are_an_error_without_a_prompt_builder() -> None:
    with pytest.raises(ConfigurationError, match=r"\(router\).*anew") as caught:
        EasyLLMChat(model="some/model", api_key="x").invoke(TALK)
    assert "prompt_builder" not in str(caught.value)


def test_an_unknown_server_is_sent_the_history_with_one_warning(fake_server: FakeServer) -> None:
    serve(fake_server, "openai")
    model = EasyLLMChat(base_url=fake_server.url, model="tiny")
    with pytest.warns(UserWarning, match=r"nobody knows.*prompt_builder"):
        model.invoke(TALK)
    model.invoke(TALK)  # another warning would be an error
    assert not continued(body_of(fake_server))
    assert body_of(fake_server)["messages"][-1]["content"] == "One, two,"


@pytest.mark.parametrize("server_name", ["vllm", "tgi", "ollama", "transformers"])
def test_a_prompt_ends_with_the_text_that_is_continued(
    fake_server: FakeServer, server_name: str, mode: str
) -> None:
    serve(fake_server, server_name, [" three", "."])
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="smollm2", model="tiny")
    assert answer(mode, model, TALK).text == " three."
    body = body_of(fake_server)
    prompt = str(body.get("prompt") or body.get("inputs"))
    assert prompt.endswith("<|im_start|>user\nCount.<|im_end|>\n<|im_start|>assistant\nOne, two,")
    assert model.to_prompt(TALK) == prompt
    assert not continued(body)


def by_transformers(template: str, messages: list[dict[str, str]], **tokens: object) -> str:
    """Render as `apply_chat_template(..., continue_final_message=True)` does."""

    def refuse(why: str) -> None:
        raise ValueError(why)

    environment = Environment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    *before, last = messages
    tagged = [*before, {**last, "content": last["content"] + "TAG "}]
    text = environment.from_string(template).render(
        messages=tagged, add_generation_prompt=False, **tokens
    )
    at = text.rindex("TAG")
    return text[:at] if text[at:].startswith("TAG ") else text[:at].rstrip()


SAID = ("One,", "One,  ", "One,\n\n", "  One, two\n three", "안녕, ☕ {x}", "a\n\nOne")


@pytest.mark.parametrize("name", OFFICIAL)
@pytest.mark.parametrize("own", [False, True], ids=["name", "jinja"])
def test_a_prompt_is_what_transformers_continues(name: str, own: bool) -> None:
    template, bos, eos = OFFICIAL[name]
    builder: object = name
    if own:
        builder = JinjaPrompt.of(template, bos_token=bos, eos_token=eos)
    model = EasyLLMChat(base_url="http://127.0.0.1:9", prompt_builder=builder)
    for said in SAID:
        talk = [("user", "Hi"), ("assistant", "Yes?"), ("user", " Go on "), ("assistant", said)]
        messages = [{"role": role, "content": text} for role, text in talk]
        expected = by_transformers(template, messages, bos_token=bos, eos_token=eos)
        shown = model.to_prompt(talk)
        assert shown == (expected.removeprefix(bos) if bos else expected)


@pytest.mark.parametrize("name", sorted(PROMPT_MAPPING))
def test_every_prompt_ends_with_the_text_that_is_continued(name: str) -> None:
    model = EasyLLMChat(base_url="http://127.0.0.1:9", prompt_builder=name)
    for more in ([], [SystemMessage("Be brief.")]):
        shown = model.to_prompt([*more, COUNT, AIMessage("One, two, ")])
        assert shown.rstrip().endswith("One, two,")
        assert "Count." in shown


def test_a_builder_of_ones_own_may_write_what_it_likes_behind_the_text() -> None:
    def build(messages: list[BaseMessage]) -> str:
        return "".join(f"[{m.type}]{m.text}[end]" for m in messages) + "[ai]"

    model = EasyLLMChat(base_url="http://127.0.0.1:9", prompt_builder=build)
    assert model.to_prompt(TALK) == "[human]Count.[end][ai]One, two,"
    model = EasyLLMChat(base_url="http://127.0.0.1:9", prompt_builder=lambda messages: "Hi")
    with pytest.raises(ConfigurationError, match="leaves the last message out"):
        model.to_prompt(TALK)


BLOCKS = [
    {"type": "reasoning", "reasoning": "Hm."},
    {"type": "text", "text": "One,"},
    {"type": "text", "text": " two,"},
]


@pytest.mark.parametrize(
    "last",
    [
        AIMessage("One, two,"),
        AIMessage(["One, two,"]),
        AIMessage(BLOCKS),
        ChatMessage("One, two,", role="assistant"),
    ],
    ids=lambda last: f"{type(last).__name__} of {type(last.content).__name__}",
)
def test_the_last_message_may_have_any_form(fake_server: FakeServer, last: BaseMessage) -> None:
    serve(fake_server, "vllm")
    EasyLLMChat(base_url=fake_server.url).invoke([COUNT, last])
    body = body_of(fake_server)
    assert continued(body) == KEYS
    assert body["messages"][-1]["content"] == "One, two,"
    shown = EasyLLMChat(base_url=fake_server.url, prompt_builder="chatml").to_prompt([COUNT, last])
    assert shown.endswith("<|im_start|>assistant\nOne, two,")


@pytest.mark.parametrize("empty", ["", " \n", [], [{"type": "reasoning", "reasoning": "Hm."}]])
def test_an_answer_without_a_text_is_left_out(fake_server: FakeServer, empty: Any) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url)
    model.invoke([COUNT, AIMessage(empty)])
    body = body_of(fake_server)
    assert [message["role"] for message in body["messages"]] == ["user"]
    assert not continued(body)
    model.invoke([*TALK, AIMessage(empty)])
    assert continued(body_of(fake_server)) == KEYS


@pytest.mark.parametrize("options", [{}, {"prompt_builder": "chatml"}], ids=["chat", "text"])
def test_tool_calls_cannot_be_continued(fake_server: FakeServer, options: dict[str, Any]) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url, **options)
    with pytest.raises(ConfigurationError, match="add a ToolMessage"):
        model.invoke([COUNT, AIMessage("So:", tool_calls=[CALL])])


@pytest.mark.parametrize("options", [{}, {"prompt_builder": "chatml"}], ids=["chat", "text"])
def test_tools_stand_beside_it(fake_server: FakeServer, options: dict[str, Any]) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url, **options).bind_tools([add])
    said = [COUNT, AIMessage("", tool_calls=[CALL]), ToolMessage("2", tool_call_id="call_1"), ONE]
    assert model.invoke(said).text == "Hello world"
    body = body_of(fake_server)
    if options:
        assert body["prompt"].endswith("<|im_start|>assistant\nOne, two,")
        assert "add" in body["prompt"]
    else:
        assert (continued(body), len(body["tools"])) == (KEYS, 1)


@pytest.mark.parametrize(
    ("server_name", "options", "beside"),
    [
        ("tgi", {"tools": [add]}, "tools"),
        ("llamacpp", {"response_format": {"type": "json_object"}}, "a constraint"),
    ],
)
def test_what_a_server_cannot_have_beside_it_is_an_error(
    fake_server: FakeServer, server_name: str, options: dict[str, Any], beside: str
) -> None:
    serve(fake_server, server_name)
    model = EasyLLMChat(base_url=fake_server.url)
    with pytest.raises(ConfigurationError, match=f"beside {beside}: set prompt_builder"):
        model.invoke(TALK, **options)


def test_tgi_is_sent_the_text_without_space_around_it(fake_server: FakeServer) -> None:
    serve(fake_server, "tgi")
    EasyLLMChat(base_url=fake_server.url).invoke([COUNT, AIMessage(" One, \n")])
    assert body_of(fake_server)["messages"][-1]["content"] == "One,"


@pytest.mark.parametrize("server_name", ["vllm", "transformers"])
def test_an_object_or_a_call_does_not_begin_in_a_text(
    fake_server: FakeServer, server_name: str
) -> None:
    """Agents ask for their last answer as an object: LangGraph's `response_format` does."""
    serve(fake_server, server_name, ['{"a": 1}'])
    model = EasyLLMChat(base_url=fake_server.url, model="tiny")
    structured = model.with_structured_output({"title": "x", "type": "object", "properties": {}})
    assert structured.invoke(TALK) == {"a": 1}
    assert not continued(body_of(fake_server))
    assert "assistant" in [message["role"] for message in body_of(fake_server)["messages"]]
    model.bind_tools([add], tool_choice="add").invoke(TALK)
    assert not continued(body_of(fake_server))
    assert body_of(fake_server)["messages"][-1]["content"] == "One, two,"


@pytest.mark.parametrize("method", ["json_schema", "json_mode", "function_calling", "prompt"])
def test_llama_cpp_is_asked_for_an_object_behind_an_answer(
    fake_server: FakeServer, method: Any
) -> None:
    """It continues every answer at the end, and refuses a constraint beside it."""
    serve(fake_server, "llamacpp", ['{"a": 1}'])
    model = EasyLLMChat(base_url=fake_server.url)
    for last in (ONE, AIMessage("")):
        model.with_structured_output(
            {"title": "x", "type": "object", "properties": {}}, method=method, include_raw=True
        ).invoke([COUNT, last])
        *_, said, asked = body_of(fake_server)["messages"]
        assert (said["role"], said["content"]) == ("assistant", last.text)
        assert asked["role"] == "user"
    model.bind_tools([add], tool_choice="any").invoke(TALK)
    assert body_of(fake_server)["messages"][-1]["role"] == "user"
    model.invoke(TALK, response_format={"type": "text"})
    assert continued(body_of(fake_server)) == KEYS


@pytest.mark.parametrize(
    ("said", "reasoning", "text"),
    [("<think>Well, ", "so.", "Four."), ("Right. ", "", "so.</think>Four.")],
)
def test_the_text_says_where_the_reasoning_is(
    fake_server: FakeServer, mode: str, said: str, reasoning: str, text: str
) -> None:
    serve(fake_server, "vllm", ["so.", "</think>", "Four."], model="Qwen/QwQ-32B")
    for options in ({}, {"prompt_builder": "chatml"}):
        model = EasyLLMChat(base_url=fake_server.url, model="Qwen/QwQ-32B", **options)
        found = answer(mode, model, [COUNT, AIMessage(said)])
        assert (found.additional_kwargs.get("reasoning_content", ""), found.text) == (
            reasoning,
            text,
        )


def test_the_tokens_of_a_continued_chat_are_counted(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    fake_server.on("POST", "/tokenize", Reply({"tokens": [1, 2, 3], "count": 3}))
    model = EasyLLMChat(base_url=fake_server.url)
    assert model.get_num_tokens_from_messages(TALK) == 3
    assert continued(body_of(fake_server, "/tokenize")) == KEYS


@pytest.mark.parametrize("server_name", ["tgi, older", "openai"])
def test_elsewhere_it_is_counted_as_history(fake_server: FakeServer, server_name: str) -> None:
    serve(fake_server, server_name.partition(",")[0])
    if "older" in server_name:
        fake_server.on("GET", "/info", info_tgi(version="2.4.1"))
    answered = {"tokenize_response": [{"id": 1}, {"id": 2}], "templated_text": "x"}
    fake_server.on("POST", "/chat_tokenize", Reply(answered))
    model = EasyLLMChat(
        base_url=fake_server.url,
        model="tiny",
        custom_get_token_ids=None if "tgi" in server_name else list,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.get_num_tokens_from_messages(TALK) > 1


def test_both_ways_continue_alike(offline_server: OfflineServer) -> None:
    talk = [HumanMessage("Which day is after Monday?"), AIMessage("The day after")]
    chat = EasyLLMChat(base_url=offline_server.base_url, temperature=0, max_tokens=8)
    text = EasyLLMChat(
        base_url=offline_server.base_url,
        temperature=0,
        max_tokens=8,
        prompt_builder="zephyr",
        api="completions",
    )
    for model in (chat, text):
        said = model.invoke(talk)
        assert said.usage_metadata is not None
        assert said.usage_metadata["input_tokens"] == model.get_num_tokens_from_messages(talk)
        assert not said.text.startswith("The day after")
    assert chat.invoke(talk).text == text.invoke(talk).text
