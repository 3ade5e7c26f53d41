"""Servers with a profile of their own, as their sources describe them: what only they have."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.fake_server import FakeServer
from ...support.fake_text_servers import models, serve
from ...support.fake_tool_calls import Turn, serve_turns
from ...support.invocation_modes import CLASSES, answer, body_of, text_of

CLASS = pytest.mark.parametrize("cls", CLASSES)
ADD = {"name": "add", "description": "Add.", "parameters": {"type": "object"}}
SUB = {"name": "sub", "description": "Subtract.", "parameters": {"type": "object"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}

# Fields that each of them lacks, on both protocols.
LACKING = {
    "lm-studio": ["n", "logprobs", "typical_p", "truncate", "best_of", "watermark"],
    "tensorrt-llm": ["typical_p", "watermark"],
    "lmdeploy": ["frequency_penalty", "presence_penalty", "truncate", "typical_p", "best_of"],
    "mlx-lm": ["n", "response_format", "grammar", "truncate", "typical_p", "best_of"],
}
VALUES: dict[str, Any] = {
    "n": 2,
    "logprobs": True,
    "typical_p": 0.5,
    "truncate": 5,
    "best_of": 2,
    "watermark": True,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "response_format": SCHEMA,
    "grammar": SCHEMA,
}


def posted(server: FakeServer) -> list[str]:
    return [request.path for request in server.requests if request.method == "POST"]


@pytest.mark.parametrize("name", LACKING)
@CLASS
def test_what_a_server_lacks_is_an_error_that_names_both(
    fake_server: FakeServer, cls: Any, name: str
) -> None:
    serve(fake_server, name)
    model = cls(base_url=fake_server.url)
    program = name.replace("lm-studio", "lm studio")
    for field in LACKING[name]:
        with pytest.raises(ConfigurationError, match=rf"^{field} cannot .* \({program}\)"):
            model.invoke("Hi", **{field: VALUES[field]})
    assert not posted(fake_server)


@each_case("name", [*LACKING, "litellm"])
@CLASS
def test_it_answers_what_it_has(fake_server: FakeServer, cls: Any, name: str, mode: str) -> None:
    serve(fake_server, name)
    model = cls(base_url=fake_server.url, top_k=3, repetition_penalty=1.5, stop=["END"], seed=1)
    assert text_of(answer(mode, model)) == "Hello world"
    body = body_of(fake_server)
    key = "repeat_penalty" if name == "lm-studio" else "repetition_penalty"
    assert (body["top_k"], body[key], body["stop"]) == (3, 1.5, ["END"])


# Completions end after 16 tokens


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        *((name, 1024) for name in ("vllm", "sglang", "lmdeploy", "llama-cpp-python", "openai")),
        *((name, None) for name in ("tgi", "llamacpp", "tensorrt-llm", "mlx-lm")),
        ("litellm", 1024),
    ],
)
def test_completions_have_a_limit_where_the_servers_own_is_small(
    fake_server: FakeServer, name: str, limit: int | None
) -> None:
    serve(fake_server, name)
    model = EasyLLM(base_url=fake_server.url, model="tiny", api="completions")
    model.invoke("Hi")
    assert body_of(fake_server).get("max_tokens") == limit
    model.invoke("Hi", max_tokens=7)
    assert body_of(fake_server)["max_tokens"] == 7
    model.invoke("Hi", model_kwargs={"max_tokens": 8})
    assert body_of(fake_server)["max_tokens"] == 8
    model.invoke("Hi", model_kwargs={"max_completion_tokens": 9})
    assert "max_tokens" not in body_of(fake_server)


def test_ollama_goes_on_to_the_end_by_itself(fake_server: FakeServer) -> None:
    serve(fake_server, "ollama")
    model = EasyLLM(base_url=fake_server.url)
    model.invoke("Hi")
    body = body_of(fake_server)
    assert not {"max_tokens", "num_predict", "options"} & body.keys()
    model.invoke("Hi", max_tokens=7)
    assert body_of(fake_server)["options"] == {"num_predict": 7}
    EasyLLMChat(base_url=fake_server.url).invoke("Hi")  # chat has no such default
    assert "max_tokens" not in body_of(fake_server)


@pytest.mark.parametrize(
    ("prompt", "fields", "limit"),
    [
        ("Hi", {}, 1024),
        ("a" * 4096, {}, 1024),
        ("a" * 6000, {}, 548),
        ("ü" * 1500, {}, 1024),
        ("ü" * 2250, {}, 548),
        ("a" * 9000, {}, 16),
        ("a" * 9000, {"truncate": 1500}, 548),
    ],
)
def test_the_limit_leaves_room_for_the_prompt(
    fake_server: FakeServer, prompt: str, fields: dict[str, Any], limit: int
) -> None:
    serve(fake_server, "vllm")  # a context of 2048 tokens
    EasyLLM(base_url=fake_server.url, **fields).invoke(prompt)
    assert body_of(fake_server)["max_tokens"] == limit


# TensorRT-LLM refuses keys that it does not know


@CLASS
def test_tensorrt_llm_is_sent_nothing_that_it_refuses(
    fake_server: FakeServer, cls: Any, mode: str
) -> None:
    serve(fake_server, "tensorrt-llm")
    fields: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.5,
        "top_k": 5,
        "max_tokens": 5,
        "seed": 5,
        "repetition_penalty": 1.5,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.5,
        "truncate": 5,
        "top_logprobs": 3,
        "best_of": 2,
        "response_format": SCHEMA,
    }
    if cls is EasyLLMChat:
        fields["thinking"] = False
    assert text_of(answer(mode, cls(base_url=fake_server.url, **fields))) == "Hello world"
    body = body_of(fake_server)
    assert body["response_format"] == {"type": "json", "schema": SCHEMA}
    if cls is EasyLLMChat:
        # It refuses a switch that the model's template does not read.
        assert body["chat_template_kwargs"] == {"enable_thinking": False}


def test_tensorrt_llm_is_told_that_it_may_call(fake_server: FakeServer, mode: str) -> None:
    serve_turns(fake_server, "tensorrt-llm", Turn(calls=[("add", "{}")]))
    model = EasyLLMChat(base_url=fake_server.url).bind_tools([ADD], parallel_tool_calls=False)
    assert [call["name"] for call in answer(mode, model).tool_calls] == ["add"]
    body = body_of(fake_server)
    assert body["tool_choice"] == "auto"
    assert "parallel_tool_calls" not in body


# LM Studio refuses a `tool_choice` that is an object, and `json_object`


def test_lm_studio_is_offered_the_one_tool(fake_server: FakeServer, mode: str) -> None:
    serve_turns(fake_server, "lm-studio", Turn(calls=[("sub", "{}")]))
    model = EasyLLMChat(base_url=fake_server.url).bind_tools([ADD, SUB], tool_choice="sub")
    assert [call["name"] for call in answer(mode, model).tool_calls] == ["sub"]
    body = body_of(fake_server)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["sub"]
    assert body["tool_choice"] == "required"


def test_lm_studio_takes_any_object_as_a_schema(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "lm-studio", ["{}"])
    model = EasyLLMChat(base_url=fake_server.url, response_format={"type": "json_object"})
    assert text_of(answer(mode, model)) == "{}"
    schema = body_of(fake_server)["response_format"]["json_schema"]["schema"]
    assert schema == {"type": "object"}


def test_lm_studio_ignores_dimensions(fake_server: FakeServer) -> None:
    serve(fake_server, "lm-studio")
    with pytest.raises(ConfigurationError, match=r"dimensions=3 .*\(lm studio\)"):
        EasyLLMEmbeddings(base_url=fake_server.url, dimensions=3).embed_query("Hi")


# The others


@pytest.mark.parametrize("thinking", [True, False])
def test_lmdeploy_has_the_switch_at_the_top(
    fake_server: FakeServer, thinking: bool, mode: str
) -> None:
    serve(fake_server, "lmdeploy")
    answer(mode, EasyLLMChat(base_url=fake_server.url, thinking=thinking, top_k=-1, top_p=0))
    body = body_of(fake_server)
    assert body["enable_thinking"] is thinking
    assert body.keys().isdisjoint({"chat_template_kwargs", "top_k", "top_p"})


@pytest.mark.parametrize("name", ["lmdeploy", "mlx-lm"])
def test_a_call_that_it_cannot_force_is_requested_in_the_prompt(
    fake_server: FakeServer, name: str
) -> None:
    serve(fake_server, name, ['<tool_call>\n{"name": "add", "arguments": {}}\n</tool_call>'])
    model = EasyLLMChat(base_url=fake_server.url).bind_tools([ADD], tool_choice="any")
    assert [call["name"] for call in model.invoke("Hi").tool_calls] == ["add"]
    assert "tools" not in body_of(fake_server)


@pytest.mark.parametrize("name", ["lmdeploy", "mlx-lm"])
def test_it_embeds_nothing(fake_server: FakeServer, name: str) -> None:
    serve(fake_server, name)
    with pytest.raises(ConfigurationError, match=rf"The server is {name}, which does not embed"):
        EasyLLMEmbeddings(base_url=fake_server.url).embed_query("Hi")


@CLASS
def test_mlx_lm_answers_with_the_model_it_was_started_with(
    fake_server: FakeServer, cls: Any, mode: str
) -> None:
    serve(fake_server, "mlx-lm")
    cached = models("cached/one", "cached/two", owned_by=None)
    fake_server.on("GET", "/v1/models", cached)
    answer(mode, cls(base_url=fake_server.url, top_k=-1))
    assert body_of(fake_server).keys().isdisjoint({"model", "top_k"})  # it refuses -1
    answer(mode, cls(base_url=fake_server.url, model="cached/two"))
    assert body_of(fake_server)["model"] == "cached/two"


def test_mlx_lm_names_no_tokens_unless_there_are_alternatives(fake_server: FakeServer) -> None:
    serve(fake_server, "mlx-lm")
    EasyLLMChat(base_url=fake_server.url, logprobs=True).invoke("Hi")
    body = body_of(fake_server)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 1)
    # Its completions take true where OpenAI's take a number.
    with pytest.raises(ConfigurationError, match=r"^logprobs cannot be expressed"):
        EasyLLM(base_url=fake_server.url, logprobs=True).invoke("Hi")


def test_one_of_litellms_models_has_to_be_named(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "litellm", model="two")
    fake_server.on("GET", "/v1/models", models("one", "two", created=1677610602))
    with pytest.raises(ConfigurationError, match="set model to one of one, two"):
        answer(mode, EasyLLMChat(base_url=fake_server.url))
    assert not posted(fake_server)
    assert [request.path for request in fake_server.requests] == [
        *("/info", "/v1/models", "/health/liveliness")
    ]
    assert text_of(answer(mode, EasyLLMChat(base_url=fake_server.url, model="two")))
