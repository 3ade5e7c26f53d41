"""Input in the wrong place: fields per call, values of a wrong kind, blocks no LLM can take."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError, ProtocolError

from ...support.cases import each_case
from ...support.fake_server import FakeServer, Reply
from ...support.fake_text_servers import serve
from ...support.invocation_modes import CLASSES, answer, body_of, text_of

IMAGE = [
    {"type": "text", "text": "What is this?"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
]


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    "field", ["api", "base_url", "token", "prompt_builder", "default_headers", "max_concurrency"]
)
def test_an_objects_field_per_call_is_called_misplaced(
    fake_server: FakeServer, cls: type, field: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"{field} is set on the object, not per call"):
        cls(base_url=fake_server.url).invoke("Hi", **{field: "x"})
    assert not fake_server.requests


@pytest.mark.parametrize("cls", CLASSES)
def test_streaming_can_be_chosen_per_call(fake_server: FakeServer, cls: type) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url)
    assert text_of(model.invoke("Hi", streaming=True)) == "Hello world"
    assert body_of(fake_server)["stream"] is True
    assert "".join(map(text_of, model.stream("Hi", streaming=False))) == "Hello world"
    assert "stream" not in body_of(fake_server)


@each_case("given", [[HumanMessage(IMAGE)], [HumanMessage([{"type": "odd"}])]])
@each_case("builder", [None, "zephyr"])
def test_an_llm_refuses_what_is_not_text(
    fake_server: FakeServer, given: list[HumanMessage], builder: str | None, any_mode: str
) -> None:
    model = EasyLLM(base_url=fake_server.url, prompt_builder=builder)
    with pytest.raises(ConfigurationError, match="an LLM takes text only"):
        answer(any_mode, model, given)
    chain = ChatPromptTemplate.from_messages(given) | model
    with pytest.raises(ConfigurationError, match="an LLM takes text only"):
        chain.invoke({})
    assert not fake_server.requests


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"stop": 5}, "give a string or a list of strings"),
        ({"stop": {"a": 1}}, "give a string or a list of strings"),
        ({"temperature": float("inf")}, "temperature"),
        ({"repetition_penalty": float("nan")}, "repetition_penalty"),
    ],
)
def test_values_that_cannot_be_sent_are_refused(
    fake_server: FakeServer, cls: type, fields: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        cls(base_url=fake_server.url, **fields)
    with pytest.raises(ConfigurationError, match=words):
        cls(base_url=fake_server.url).invoke("Hi", **fields)
    assert not fake_server.requests


@pytest.mark.parametrize("cls", CLASSES)
def test_a_prompt_builder_of_another_kind_is_refused(cls: type) -> None:
    with pytest.raises(ConfigurationError, match="prompt_builder must be a name"):
        cls(base_url="http://localhost", prompt_builder=5)


def test_the_environments_values_are_checked_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUGGINGFACE_PROMPT", "zephr")
    with pytest.raises(ConfigurationError, match="zephyr"):
        EasyLLMChat(base_url="http://localhost")
    assert EasyLLMChat(base_url="http://localhost", prompt_builder=None).prompt_builder is None
    monkeypatch.delenv("HUGGINGFACE_PROMPT")
    monkeypatch.setenv("HUGGINGFACE_API_BASE", "nonsense")
    with pytest.raises(ConfigurationError, match="HUGGINGFACE_API_BASE"):
        EasyLLM(model="org/name")


def test_another_protocols_answer_makes_no_sense(fake_server: FakeServer) -> None:
    fake_server.on("POST", "/v1/chat/completions", Reply({"choices": [{"text": "completion"}]}))
    with pytest.raises(ProtocolError, match="this protocol does not have"):
        EasyLLMChat(base_url=fake_server.url, model="m", api="chat").invoke("Hi")


@pytest.mark.parametrize("cls", CLASSES)
def test_the_router_has_no_completions(cls: type) -> None:
    model = cls(model="org/name", api="completions", prompt_builder="llama2")
    with pytest.raises(ConfigurationError, match="Inference Providers serve chat only"):
        model.invoke("Hi")


@pytest.mark.parametrize("page", [b"<html>Welcome</html>", b"Welcome to this proxy"])
def test_a_page_is_no_stream(fake_server: FakeServer, page: bytes, any_mode: str) -> None:
    fake_server.on("POST", "/v1/chat/completions", Reply(page))
    model = EasyLLMChat(base_url=fake_server.url, model="m", api="chat", max_retries=2)
    with pytest.raises(ProtocolError, match="Welcome"):
        answer(any_mode, model)
    assert {received.path for received in fake_server.requests} == {"/v1/chat/completions"}
    assert len(fake_server.requests) <= 2  # two inputs of a batch, none of them asked twice


@pytest.mark.parametrize(
    ("name", "given", "near"),
    [
        ("parse_tool_calls", "hermis", "hermes"),
        ("parse_tool_calls", "gptoss", "gpt-oss"),
        ("parse_tool_calls", "glm4", "glm-4.5"),
        ("parse_tool_calls", "Qwen3-coder", "qwen3-coder"),
        ("api", "complete", "completions"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, given: str, near: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}.* did you mean '{near}'\\?$"):
        EasyLLMChat(base_url="http://localhost", **{name: given})  # type: ignore[arg-type]


def test_an_unknown_method_is_refused_with_the_nearest() -> None:
    model = EasyLLMChat(base_url="http://localhost")
    with pytest.raises(ConfigurationError, match=r"'json_shema' .* did you mean 'json_schema'"):
        model.with_structured_output({}, method="json_shema")  # type: ignore[arg-type]


def test_a_class_that_cannot_be_described_is_refused_in_a_sentence() -> None:
    class Odd(BaseModel):
        what: Callable[[], int]

    model = EasyLLMChat(base_url="http://localhost")
    with pytest.raises(ConfigurationError, match="cannot be written as JSON") as caught:
        model.with_structured_output(Odd)
    assert "\n" not in str(caught.value)
    assert "http" not in str(caught.value)
