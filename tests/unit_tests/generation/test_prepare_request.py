"""Requests to hosts that no test can reach: the router, the retired host, dedicated endpoints."""

from __future__ import annotations

import warnings
from typing import Any

import orjson
import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm._fields import connection as _connection_fields
from langchain_easyllm._generation.prepare import (
    PreparedRequest,
    depends_on_server,
    prepare_request,
)
from langchain_easyllm._servers.detection import UNKNOWN
from langchain_easyllm._servers.llama_cpp import LLAMA_CPP
from langchain_easyllm._servers.profile import ServerInfo
from langchain_easyllm._servers.tgi import TGI
from langchain_easyllm._servers.vllm import VLLM
from langchain_easyllm.errors import ConfigurationError

from ...support.invocation_modes import CLASSES

CLASS = pytest.mark.parametrize("cls", CLASSES)
ENDPOINT = "https://abc.us-east-1.aws.endpoints.huggingface.cloud"
ROUTER = "https://router.huggingface.co"


def plan_of(
    asked: Any, server: ServerInfo | None = None, /, *, stream: bool = False, **call: Any
) -> PreparedRequest:
    """The request that a model would send for "Hi"."""
    model = asked
    source = "Hi" if isinstance(model, EasyLLM) else model._convert_input("Hi").to_messages()
    request = model._build_request(source, None, call, stream=stream)
    session = model._connect().session
    assert server is not None or not depends_on_server(request, session.url)
    with pytest.MonkeyPatch.context() as patch:
        for opens in ("socket.socket", "builtins.open"):
            patch.setattr(opens, refuse)
        return prepare_request(
            request, session.url, server, session.capabilities, request.template, stream=stream
        )


def refuse(*_: object, **__: object) -> None:
    pytest.fail("preparing a request does no I/O")


def body_of(plan: PreparedRequest) -> dict[str, Any]:
    return orjson.loads(plan.request.body or b"")


@CLASS
@pytest.mark.parametrize("stream", [False, True])
def test_the_router_is_asked_for_a_chat_without_detection(cls: type, stream: bool) -> None:
    plan = plan_of(cls(model="org/name"), stream=stream)
    assert plan.request.url == f"{ROUTER}/v1/chat/completions"
    assert body_of(plan)["model"] == "org/name"
    assert body_of(plan)["messages"] == [{"role": "user", "content": "Hi"}]


@CLASS
@pytest.mark.parametrize("provider", ["together", "hf-inference", "fastest", "cheapest"])
def test_a_provider_is_sent_with_the_model(cls: type, provider: str) -> None:
    plan = plan_of(cls(model="org/name", provider=provider))
    assert body_of(plan)["model"] == f"org/name:{provider}"
    plan = plan_of(cls(model="org/name:nebius"))
    assert body_of(plan)["model"] == "org/name:nebius"
    plan = plan_of(cls(model="org/name"), provider=provider)
    assert body_of(plan)["model"] == f"org/name:{provider}"


@CLASS
def test_two_providers_are_one_too_many(cls: type) -> None:
    with pytest.raises(ValueError, match="provider"):
        plan_of(cls(model="org/name:nebius", provider="together"))


@CLASS
def test_a_template_on_the_router_is_an_error(cls: type) -> None:
    with pytest.raises(ConfigurationError, match="prompt_builder") as caught:
        plan_of(cls(model="org/name", prompt_builder="zephyr"))
    assert "base_url" in str(caught.value)
    with pytest.raises(ConfigurationError, match="prompt_builder"):
        plan_of(cls(model="org/name", provider="together", prompt_builder="zephyr"))


@CLASS
def test_the_one_provider_with_a_text_task_takes_a_template(cls: type) -> None:
    plan = plan_of(cls(model="org/name", provider="hf-inference", prompt_builder="zephyr"))
    assert plan.request.url == f"{ROUTER}/hf-inference/models/org/name"
    assert body_of(plan)["inputs"] == "<|user|>\nHi</s>\n<|assistant|>\n"


@CLASS
def test_a_provider_without_a_text_task_is_not_swapped_for_another(cls: type) -> None:
    """Asking hf-inference in place of the provider that was named would bill somebody else."""
    model = cls(model="org/name", provider="together", api="generate", prompt_builder="zephyr")
    with pytest.raises(ConfigurationError, match=r"generate|prompt_builder|text"):
        plan_of(model)


@pytest.mark.parametrize("path", ["", "/v1", "/v1/chat/completions", "/together/v1"])
def test_the_routers_own_address_is_the_router(path: str) -> None:
    plan = plan_of(EasyLLMChat(model="org/name", base_url=ROUTER + path))
    root = ROUTER + ("/together" if "together" in path else "")
    assert plan.request.url == f"{root}/v1/chat/completions"


def test_a_provider_of_a_providers_own_address_is_an_error_or_dropped() -> None:
    plan = plan_of(EasyLLMChat(model="org/name", base_url=f"{ROUTER}/together/v1"))
    assert body_of(plan)["model"] == "org/name"


@pytest.mark.parametrize("path", ["", "/v1/chat/completions"])
@CLASS
def test_the_retired_host_goes_to_the_router_with_one_warning(cls: type, path: str) -> None:
    _connection_fields._warn_retired.cache_clear()
    url = f"https://api-inference.huggingface.co/models/org/name{path}"
    for number, fields in enumerate([{"base_url": url}, {"model": url}, {"base_url": url}]):
        if number == 0:
            with pytest.warns(FutureWarning, match="retired"):
                model = cls(**fields)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                model = cls(**fields)
        plan = plan_of(model)
        assert plan.request.url == f"{ROUTER}/v1/chat/completions"
        assert body_of(plan)["model"] == "org/name:hf-inference"


def test_the_retired_hosts_warning_points_at_the_caller() -> None:
    _connection_fields._warn_retired.cache_clear()
    with pytest.warns(FutureWarning) as caught:
        EasyLLMChat(base_url="https://api-inference.huggingface.co/models/org/name")
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("builder", "server", "path"),
    [
        (None, ServerInfo(TGI), "/v1/chat/completions"),
        (None, UNKNOWN, "/v1/chat/completions"),
        ("zephyr", ServerInfo(TGI), "/"),
        ("zephyr", UNKNOWN, "/"),
        ("zephyr", ServerInfo(VLLM, model="m"), "/v1/completions"),
        ("zephyr", ServerInfo(LLAMA_CPP, model="m"), "/v1/completions"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_dedicated_endpoint(
    builder: str | None, server: ServerInfo, path: str, stream: bool
) -> None:
    model = EasyLLMChat(base_url=ENDPOINT, prompt_builder=builder)
    plan = plan_of(model, server, stream=stream)
    assert plan.request.url == ENDPOINT + path
    if path == "/":
        assert body_of(plan)["stream"] is stream
    text = EasyLLM(base_url=ENDPOINT, prompt_builder=builder)
    expected = path if builder else {TGI: "/"}.get(server.profile, "/")
    assert plan_of(text, server, stream=stream).request.url == ENDPOINT + expected


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host",
        "host:8080/v1",
        "http://",
        "http://user:pw@host",
        "http://host/#x",
        "just words",
    ],
)
@CLASS
def test_no_address_is_an_error(cls: type, url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        cls(base_url=url)


@CLASS
def test_a_provider_and_a_server_of_ones_own_is_an_error(cls: type) -> None:
    with pytest.raises(ValueError, match="provider"):
        cls(base_url="http://localhost:8080", provider="together")


def test_a_provider_per_call_on_a_server_of_ones_own_is_an_error() -> None:
    model = EasyLLMChat(base_url="http://localhost:8080", model="m", api="chat")
    with pytest.raises(ConfigurationError, match="provider"):
        plan_of(model, provider="together")


def test_a_model_per_call_is_no_address() -> None:
    model = EasyLLMChat(base_url="http://localhost:8080", model="m", api="chat")
    with pytest.raises(ConfigurationError, match="base_url"):
        plan_of(model, model="http://elsewhere:8080")
