"""Bad input: one readable sentence, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import CLASSES, answer

CLASS = pytest.mark.parametrize("cls", CLASSES)


def nothing_was_sent(server: FakeServer) -> bool:
    return not [request for request in server.requests if request.method == "POST"]


def is_readable(failure: BaseException) -> bool:
    """One sentence, or two, without a stack of machine words."""
    said = str(failure)
    return "\n" not in said and "pydantic" not in said and 10 < len(said) < 500


# what is wrong, and words that the error must hold
CONSTRUCTION: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown": ({"temprature": 0}, ("temprature", "temperature")),
    "unknown alias": ({"max_new_token": 1}, ("max_new_token", "max_new_tokens")),
    "unknown and far": ({"zzzzqqqq": 0}, ("zzzzqqqq", "model_kwargs")),
    "two addresses": ({"model": "http://a", "base_url": "http://b"}, ("model", "base_url")),
    "twice": ({"model": "a", "repo_id": "b"}, ("model", "repo_id", "twice")),
    "no model, no server": ({"base_url": None}, ("model", "base_url")),
    "template": ({"prompt_builder": "zephir"}, ("zephir", "zephyr")),
    "far template": ({"prompt_builder": "no such thing"}, ("no such thing",)),
    "stop": ({"stop": ["a", ""]}, ("stop",)),
    "stop type": ({"stop": ["a", 5]}, ("stop",)),
    "address": ({"base_url": "gopher://x"}, ("base_url", "gopher")),
    "no address": ({"base_url": ""}, ("base_url", "http://host:port", "leave it out")),
    "api": ({"api": "chatt"}, ("api", "chat")),
    "temperature": ({"temperature": -1}, ("temperature",)),
    "top_p": ({"top_p": 2}, ("top_p",)),
    "max_tokens": ({"max_tokens": 0}, ("max_tokens",)),
    "timeout": ({"timeout": 0}, ("timeout",)),
    "n": ({"n": 0}, ("n",)),
    "max_concurrency": ({"max_concurrency": 0}, ("max_concurrency",)),
    "type": ({"temperature": "hot"}, ("temperature",)),
    "min_p": ({"min_p": 1.5}, ("min_p",)),
    "min_tokens": ({"min_tokens": -1}, ("min_tokens",)),
    "user": ({"user": ""}, ("user",)),
    "service_tier": ({"service_tier": 5}, ("service_tier",)),
    "too few tokens": ({"min_tokens": 9, "max_tokens": 8}, ("min_tokens=9", "max_tokens=8")),
    "an answer without an end": (
        {"ignore_eos": True, "response_format": {"type": "json_object"}},
        ("ignore_eos", "response_format"),
    ),
    "bias": ({"logit_bias": 5}, ("logit_bias", "{15043: -100}")),
    "bias of a text": ({"logit_bias": {"Hi": 5}}, ("'Hi'", "get_token_ids", "model_kwargs")),
    "bias of no token": ({"logit_bias": {-1: 5}}, ("logit_bias", "-1")),
    "bias of truth": ({"logit_bias": {True: 5}}, ("logit_bias", "True")),
    "bias of a pair": ({"logit_bias": [[1, 2, 3]]}, ("logit_bias", "[[1, 2, 3]]")),
    "bias without bounds": ({"logit_bias": {7: 101}}, ("token 7", "101", "-100")),
    "bias that is none": ({"logit_bias": {7: float("nan")}}, ("token 7", "nan")),
    "bias as a text": ({"logit_bias": {7: "1"}}, ("token 7", "'1'")),
    "bias of llama.cpp": ({"logit_bias": {7: False}}, ("token 7", "False", "-100 bans")),
    "two biases": ({"logit_bias": {7: 1, "7": 2}}, ("token 7", "1", "2")),
}


@each_case("name", CONSTRUCTION)
@CLASS
def test_a_bad_field_is_found_at_construction(cls: type, name: str) -> None:
    fields, words = CONSTRUCTION[name]
    with pytest.raises(ValueError, match=r"\w") as caught:
        cls(**{"base_url": "http://localhost:9", **fields})
    assert all(word in str(caught.value) for word in words)
    assert is_readable(caught.value), str(caught.value)


PER_CALL: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown": ({"temprature": 0}, ("temprature", "temperature")),
    "field of the object": ({"max_concurrency": 3}, ("max_concurrency",)),
    "stop": ({"stop": [""]}, ("stop",)),
    "twice": ({"max_tokens": 3, "max_new_tokens": 4}, ("max_tokens", "twice")),
    "temperature": ({"temperature": -1}, ("temperature",)),
    "type": ({"seed": "x"}, ("seed",)),
    "n": ({"n": 0}, ("n",)),
}


@each_case("name", PER_CALL)
@CLASS
def test_a_bad_field_is_found_at_the_call(
    fake_server: FakeServer, cls: type, name: str, mode: str
) -> None:
    serve(fake_server, "vllm")
    fields, words = PER_CALL[name]
    with pytest.raises(ValueError, match=r"\w") as caught:
        answer(mode, cls(base_url=fake_server.url), **fields)
    assert all(word in str(caught.value) for word in words)
    assert is_readable(caught.value), str(caught.value)
    assert nothing_was_sent(fake_server)


MESSAGES: dict[str, tuple[dict[str, Any], Any, tuple[str, ...]]] = {
    "none": ({}, [], ("message",)),
    "none on text": ({"prompt_builder": "zephyr"}, [], ("message",)),
    "role": ({}, [ChatMessage("Hi", role="wizard")], ("wizard", "user")),
    "role on text": (
        {"prompt_builder": "zephyr"},
        [ChatMessage("Hi", role="wizard")],
        ("wizard",),
    ),
    "no message at all": ({}, [RemoveMessage(id="1")], ("remove",)),
    "image on text": (
        {"prompt_builder": "zephyr"},
        [HumanMessage([{"type": "image_url", "image_url": {"url": "http://a"}}])],
        ("image",),
    ),
    "no template": (
        {"api": "completions", "model": "m"},
        [HumanMessage("Hi")],
        ("template", "prompt_builder"),
    ),
    "no template on tgi": (
        {"api": "generate"},
        [HumanMessage("Hi")],
        ("template", "prompt_builder"),
    ),
    "two BOS": ({"prompt_builder": lambda _: "<s><s>Hi"}, [HumanMessage("Hi")], ("<s>", "once")),
    "no text": ({"prompt_builder": lambda _: None}, [HumanMessage("Hi")], ("str",)),
}


@each_case("name", MESSAGES)
def test_bad_messages_are_found_before_they_are_sent(
    fake_server: FakeServer, name: str, mode: str
) -> None:
    serve(fake_server, "tgi", model="m")
    fields, messages, words = MESSAGES[name]
    with pytest.raises(ValueError, match=r"\w") as caught:
        answer(mode, EasyLLMChat(base_url=fake_server.url, **fields), messages)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert is_readable(caught.value), str(caught.value)
    assert nothing_was_sent(fake_server)


@each_case("api", ["auto", "chat", "generate", "completions"])
@each_case("builder", [None, "zephyr"])
def test_an_empty_prompt_is_an_error(
    fake_server: FakeServer, api: str, builder: str | None, mode: str
) -> None:
    serve(fake_server, "tgi", model="m")
    if api == "chat":
        builder = None
    model = EasyLLM(base_url=fake_server.url, api=api, prompt_builder=builder)
    with pytest.raises(ValueError, match="empty") as caught:
        answer(mode, model, "")
    assert is_readable(caught.value)
    assert nothing_was_sent(fake_server)


@CLASS
@pytest.mark.parametrize("n", [2, 3])
def test_several_answers_cannot_be_streamed(
    fake_server: FakeServer, cls: type, n: int, stream_mode: str
) -> None:
    serve(fake_server, "vllm")
    for model, call in (
        (cls(base_url=fake_server.url, n=n), {}),
        (cls(base_url=fake_server.url), {"n": n}),
    ):
        with pytest.raises(ConfigurationError, match=r"n > 1|n=") as caught:
            answer(stream_mode, model, **call)
        assert is_readable(caught.value)
    assert nothing_was_sent(fake_server)


@CLASS
def test_several_answers_of_a_streaming_object(
    fake_server: FakeServer, cls: type, whole_mode: str
) -> None:
    serve(fake_server, "vllm")
    with pytest.raises(ConfigurationError, match=r"n > 1|n="):
        answer(whole_mode, cls(base_url=fake_server.url, n=2, streaming=True))
    assert nothing_was_sent(fake_server)


def test_a_field_that_cannot_be_expressed_names_a_way_out(
    fake_server: FakeServer, mode: str
) -> None:
    serve(fake_server, "tgi")
    with pytest.raises(ConfigurationError) as caught:
        answer(mode, EasyLLMChat(base_url=fake_server.url, top_k=5))
    assert "top_k" in str(caught.value)
    assert "generate" in str(caught.value)
    assert is_readable(caught.value)
    assert nothing_was_sent(fake_server)


def test_a_template_and_the_chat_api_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="prompt_builder"):
        EasyLLMChat(base_url="http://localhost:9", api="chat", prompt_builder="zephyr")


def test_a_body_that_is_no_json_is_an_error(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url, model_kwargs={"x": object()})
    with pytest.raises(ConfigurationError, match="JSON"):
        answer(mode, model)
    assert nothing_was_sent(fake_server)


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_text_that_no_json_can_hold_is_an_error(
    fake_server: FakeServer, text: str, mode: str
) -> None:
    for server_name, cls in (("vllm", EasyLLMChat), ("tgi", EasyLLM)):
        serve(fake_server, server_name)
        with pytest.raises(ValueError, match=r"\w"):
            answer(mode, cls(base_url=fake_server.url), text)
        assert nothing_was_sent(fake_server)


@pytest.mark.parametrize(
    "builder", [lambda _: (_ for _ in ()).throw(KeyError("mine")), lambda: "no argument"]
)
def test_a_callers_own_error_stays_its_own(
    fake_server: FakeServer, builder: Callable[..., str]
) -> None:
    serve(fake_server, "tgi")
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder=builder)
    with pytest.raises((KeyError, TypeError, ValueError)):
        model.invoke("Hi")
    assert nothing_was_sent(fake_server)


def test_strange_but_good_input_is_sent(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    messages = [
        SystemMessage(""),
        HumanMessage("a\x00b\N{GRINNING FACE}\r\n\u2028"),
        AIMessage(""),
        ToolMessage("x", tool_call_id="1"),
        ChatMessage("y", role="developer"),
        ChatMessage("z", role="User"),
        ("human", "w"),
    ]
    answer(mode, EasyLLMChat(base_url=fake_server.url), messages)
    roles = [m["role"] for m in fake_server.requests[-1].json["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "developer", "user", "user"]
