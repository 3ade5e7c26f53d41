"""Model objects as Python and pydantic objects, and the patience of single calls."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.runnables import ConfigurableField

from langchain_easyllm import EasyLLMChat
from langchain_easyllm.errors import (
    ConfigurationError,
    EasyLLMError,
    ModelLoadingError,
    RateLimitError,
)

from ...support.fake_server import Pause, Reply, Stall, WireServer, sse
from ...support.fake_text_servers import chat, chat_events, error, serve
from ...support.invocation_modes import CLASSES, STREAMS, answer, body_of, text_of

CLASS = pytest.mark.parametrize("cls", CLASSES)
ROUTE = "/v1/chat/completions"


def posts(server: WireServer) -> int:
    return sum(request.method == "POST" for request in server.requests)


@CLASS
def test_a_subclass_has_fields_of_its_own(wire_server: WireServer, cls: Any) -> None:
    serve(wire_server, "vllm")

    class Mine(cls):
        extra: int = 3

    model = Mine(base_url=wire_server.url, extra=4, temperature=0)
    assert text_of(model.invoke("Hi")) == "Hello world"
    assert model.extra == 4
    with pytest.raises(ConfigurationError, match="did you mean 'extra'"):
        Mine(base_url=wire_server.url, extr=4)


@CLASS
def test_pydantic_makes_one_too(cls: Any) -> None:
    assert cls.model_validate({"model_name": "m"}).model == "m"
    assert cls.model_validate_json('{"repo_id": "m", "max_new_tokens": 5}').max_tokens == 5
    model = cls(model="m", stop="x", max_new_tokens=7)
    assert cls.model_validate(model.model_dump()).max_tokens == 7
    with pytest.raises(ValueError, match="did you mean 'model'"):
        cls.model_validate({"modell": "m"})


@CLASS
def test_an_assigned_field_counts(wire_server: WireServer, cls: Any) -> None:
    serve(wire_server, "vllm")
    model = cls(base_url=wire_server.url, temperature=0.5)
    model.invoke("Hi")
    model.temperature = 0
    model.max_tokens = 3
    model.invoke("Hi")
    assert (body_of(wire_server)["temperature"], body_of(wire_server)["max_tokens"]) == (0, 3)


@CLASS
def test_nothing_that_is_given_is_changed(wire_server: WireServer, cls: Any, way: str) -> None:
    serve(wire_server, "vllm")
    headers, kwargs, stop = {"X-A": "1"}, {"min_p": 0.1}, ["x"]
    model = cls(base_url=wire_server.url, default_headers=headers, model_kwargs=kwargs, stop=stop)
    before = model.model_dump()
    answer(way, model, stop=stop, model_kwargs={"y": 1}, temperature=0)
    assert (headers, kwargs, stop) == ({"X-A": "1"}, {"min_p": 0.1}, ["x"])
    assert model.model_dump() == before
    assert wire_server.requests[-1].headers["x-a"] == "1"


@CLASS
def test_a_key_may_be_configured(wire_server: WireServer, cls: Any, way: str) -> None:
    serve(wire_server, "vllm")
    for fields in ({}, {"api_key": "hf_first"}):
        model = cls(base_url=wire_server.url, **fields).configurable_fields(
            api_key=ConfigurableField("key")
        )
        answer(way, model.with_config(configurable={"key": "hf_tenant"}))
        assert wire_server.requests[-1].headers["authorization"] == "Bearer hf_tenant"


def test_closing_in_the_middle_of_a_stream_ends_no_stream(wire_server: WireServer) -> None:
    serve(wire_server, "vllm", list("abc"))
    model = EasyLLMChat(base_url=wire_server.url)
    stream = model.stream("Hi")
    first = next(stream)
    model.close()
    assert first.text + "".join(chunk.text for chunk in stream) == "abc"


async def test_closing_in_the_middle_of_an_async_stream_ends_no_stream(
    wire_server: WireServer,
) -> None:
    serve(wire_server, "vllm", list("abc"))
    model = EasyLLMChat(base_url=wire_server.url)
    stream = model.astream("Hi")
    seen = [(await anext(stream)).text]
    await model.aclose()
    seen += [chunk.text async for chunk in stream]
    assert "".join(seen) == "abc"
    assert (await model.ainvoke("Hi")).text == "abc"


def test_a_call_that_is_closed_under_way_ends_by_itself(wire_server: WireServer, way: str) -> None:
    serve(wire_server, "vllm")
    good = sse(*chat_events(["fine"], "vllm")) if way in STREAMS else chat("fine")
    wire_server.on("POST", ROUTE, replace(good, before=[Pause(0.3)]))
    model = EasyLLMChat(base_url=wire_server.url)
    said: list[str] = []
    caller = threading.Thread(target=lambda: said.append(text_of(answer(way, model))))
    caller.start()
    wire_server.wait_until(lambda: posts(wire_server) == 1)
    model.close()
    caller.join(timeout=10)
    assert said == ["fine"]
    assert posts(wire_server) == 1


def test_a_cold_start_is_waited_for(wire_server: WireServer, way: str) -> None:
    serve(wire_server, "vllm")
    said = {"error": "Model tiny is currently loading", "estimated_time": 0.01}
    good = sse(*chat_events(["Hello"], "vllm")) if way in STREAMS else chat("Hello")
    wire_server.on("POST", ROUTE, Reply(said, status=503), good)
    model = EasyLLMChat(base_url=wire_server.url, max_retries=0)
    assert answer(way, model, wait_for_model=10).text == "Hello"
    assert posts(wire_server) == 2


def test_a_cold_start_is_an_error_otherwise(wire_server: WireServer, way: str) -> None:
    serve(wire_server, "vllm")
    wire_server.on("POST", ROUTE, error("hub-loading"))
    with pytest.raises(ModelLoadingError, match="wait_for_model"):
        answer(way, EasyLLMChat(base_url=wire_server.url, max_retries=0))
    assert posts(wire_server) == 1


def test_a_call_has_its_own_patience(wire_server: WireServer, way: str) -> None:
    serve(wire_server, "vllm")
    wire_server.on("POST", ROUTE, error("router-rate-limit", retry_after="0"))
    model = EasyLLMChat(base_url=wire_server.url, max_retries=1)
    for retries, kwargs in ((1, {}), (3, {"max_retries": 3}), (0, {"max_retries": 0})):
        before = posts(wire_server)
        with pytest.raises(RateLimitError):
            answer(way, model, **kwargs)
        assert posts(wire_server) - before == retries + 1


def test_a_wait_that_is_too_long_fails_at_once(wire_server: WireServer, way: str) -> None:
    serve(wire_server, "vllm")
    wire_server.on("POST", ROUTE, error("router-rate-limit", retry_after="500"))
    started = time.monotonic()
    with pytest.raises(RateLimitError) as caught:
        answer(way, EasyLLMChat(base_url=wire_server.url))
    assert caught.value.retry_after == 500
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "name", ["vllm-too-long", "router-forbidden", "router-credits", "endpoint-paused"]
)
def test_what_will_not_change_is_not_tried_again(
    wire_server: WireServer, name: str, way: str
) -> None:
    serve(wire_server, "vllm")
    wire_server.on("POST", ROUTE, error(name))
    with pytest.raises(EasyLLMError) as caught:
        answer(way, EasyLLMChat(base_url=wire_server.url))
    assert caught.value.is_retryable is False
    assert posts(wire_server) == 1


def test_no_timeout_is_no_timeout(wire_server: WireServer, way: str) -> None:
    serve(wire_server, "vllm")
    assert answer(way, EasyLLMChat(base_url=wire_server.url, timeout=None)).text == "Hello world"
    model = EasyLLMChat(base_url=wire_server.url)
    assert answer(way, model, timeout=None).text == "Hello world"


async def test_asyncio_timeouts_are_respected(wire_server: WireServer) -> None:
    serve(wire_server, "vllm")
    wire_server.on("POST", ROUTE, Reply(before=[Stall()]), chat("fine"))
    model = EasyLLMChat(base_url=wire_server.url)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await model.ainvoke("Hi")
    assert (await model.ainvoke("Hi")).text == "fine"
    await asyncio.to_thread(wire_server.wait_until, lambda: wire_server.disconnects == 1)
