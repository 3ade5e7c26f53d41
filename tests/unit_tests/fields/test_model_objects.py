"""Model objects as Python and pydantic objects, and the timeouts and retries of single calls."""

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

from ...support.fake_server import FakeServer, Pause, Reply, Stall, sse
from ...support.fake_text_servers import chat, chat_events, error, serve
from ...support.invocation_modes import CLASSES, STREAM_MODES, answer, body_of, text_of

CLASS = pytest.mark.parametrize("cls", CLASSES)
ROUTE = "/v1/chat/completions"


def posts(server: FakeServer) -> int:
    return sum(request.method == "POST" for request in server.requests)


@CLASS
def test_a_subclass_has_fields_of_its_own(fake_server: FakeServer, cls: Any) -> None:
    serve(fake_server, "vllm")

    class Mine(cls):
        extra: int = 3

    model = Mine(base_url=fake_server.url, extra=4, temperature=0)
    assert text_of(model.invoke("Hi")) == "Hello world"
    assert model.extra == 4
    with pytest.raises(ConfigurationError, match="did you mean 'extra'"):
        Mine(base_url=fake_server.url, extr=4)


@CLASS
def test_pydantic_makes_one_too(cls: Any) -> None:
    assert cls.model_validate({"model_name": "m"}).model == "m"
    assert cls.model_validate_json('{"repo_id": "m", "max_new_tokens": 5}').max_tokens == 5
    model = cls(model="m", stop="x", max_new_tokens=7)
    assert cls.model_validate(model.model_dump()).max_tokens == 7
    with pytest.raises(ValueError, match="did you mean 'model'"):
        cls.model_validate({"modell": "m"})


@CLASS
def test_an_assigned_field_counts(fake_server: FakeServer, cls: Any) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url, temperature=0.5)
    model.invoke("Hi")
    model.temperature = 0
    model.max_tokens = 3
    model.invoke("Hi")
    assert (body_of(fake_server)["temperature"], body_of(fake_server)["max_tokens"]) == (0, 3)


@CLASS
def test_nothing_that_is_given_is_changed(fake_server: FakeServer, cls: Any, mode: str) -> None:
    serve(fake_server, "vllm")
    headers, kwargs, stop = {"X-A": "1"}, {"min_p": 0.1}, ["x"]
    model = cls(base_url=fake_server.url, default_headers=headers, model_kwargs=kwargs, stop=stop)
    before = model.model_dump()
    answer(mode, model, stop=stop, model_kwargs={"y": 1}, temperature=0)
    assert (headers, kwargs, stop) == ({"X-A": "1"}, {"min_p": 0.1}, ["x"])
    assert model.model_dump() == before
    assert fake_server.requests[-1].headers["x-a"] == "1"


@CLASS
def test_a_key_may_be_configured(fake_server: FakeServer, cls: Any, mode: str) -> None:
    serve(fake_server, "vllm")
    for fields in ({}, {"api_key": "hf_first"}):
        model = cls(base_url=fake_server.url, **fields).configurable_fields(
            api_key=ConfigurableField("key")
        )
        answer(mode, model.with_config(configurable={"key": "hf_tenant"}))
        assert fake_server.requests[-1].headers["authorization"] == "Bearer hf_tenant"


def test_closing_in_the_middle_of_a_stream_ends_no_stream(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm", list("abc"))
    model = EasyLLMChat(base_url=fake_server.url)
    stream = model.stream("Hi")
    first = next(stream)
    model.close()
    assert first.text + "".join(chunk.text for chunk in stream) == "abc"


async def test_closing_in_the_middle_of_an_async_stream_ends_no_stream(
    fake_server: FakeServer,
) -> None:
    serve(fake_server, "vllm", list("abc"))
    model = EasyLLMChat(base_url=fake_server.url)
    stream = model.astream("Hi")
    seen = [(await anext(stream)).text]
    await model.aclose()
    seen += [chunk.text async for chunk in stream]
    assert "".join(seen) == "abc"
    assert (await model.ainvoke("Hi")).text == "abc"


def test_a_call_that_is_closed_under_way_ends_by_itself(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    good = sse(*chat_events(["fine"], "vllm")) if mode in STREAM_MODES else chat("fine")
    fake_server.on("POST", ROUTE, replace(good, before=[Pause(0.3)]))
    model = EasyLLMChat(base_url=fake_server.url)
    said: list[str] = []
    caller = threading.Thread(target=lambda: said.append(text_of(answer(mode, model))))
    caller.start()
    fake_server.wait_until(lambda: posts(fake_server) == 1)
    model.close()
    caller.join(timeout=10)
    assert said == ["fine"]
    assert posts(fake_server) == 1


def test_a_cold_start_is_waited_for(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    said = {"error": "Model tiny is currently loading", "estimated_time": 0.01}
    good = sse(*chat_events(["Hello"], "vllm")) if mode in STREAM_MODES else chat("Hello")
    fake_server.on("POST", ROUTE, Reply(said, status=503), good)
    model = EasyLLMChat(base_url=fake_server.url, max_retries=0)
    assert answer(mode, model, wait_for_model=10).text == "Hello"
    assert posts(fake_server) == 2


def test_a_cold_start_is_an_error_otherwise(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    fake_server.on("POST", ROUTE, error("hub-loading"))
    with pytest.raises(ModelLoadingError, match="wait_for_model"):
        answer(mode, EasyLLMChat(base_url=fake_server.url, max_retries=0))
    assert posts(fake_server) == 1


def test_a_call_has_its_own_timeout_and_retries(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    fake_server.on("POST", ROUTE, error("router-rate-limit", retry_after="0"))
    model = EasyLLMChat(base_url=fake_server.url, max_retries=1)
    for retries, kwargs in ((1, {}), (3, {"max_retries": 3}), (0, {"max_retries": 0})):
        before = posts(fake_server)
        with pytest.raises(RateLimitError):
            answer(mode, model, **kwargs)
        assert posts(fake_server) - before == retries + 1


def test_a_wait_that_is_too_long_fails_at_once(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    fake_server.on("POST", ROUTE, error("router-rate-limit", retry_after="500"))
    started = time.monotonic()
    with pytest.raises(RateLimitError) as caught:
        answer(mode, EasyLLMChat(base_url=fake_server.url))
    assert caught.value.retry_after == 500
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "name", ["vllm-too-long", "router-forbidden", "router-credits", "endpoint-paused"]
)
def test_what_will_not_change_is_not_tried_again(
    fake_server: FakeServer, name: str, mode: str
) -> None:
    serve(fake_server, "vllm")
    fake_server.on("POST", ROUTE, error(name))
    with pytest.raises(EasyLLMError) as caught:
        answer(mode, EasyLLMChat(base_url=fake_server.url))
    assert caught.value.is_retryable is False
    assert posts(fake_server) == 1


def test_no_timeout_is_no_timeout(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    assert answer(mode, EasyLLMChat(base_url=fake_server.url, timeout=None)).text == "Hello world"
    model = EasyLLMChat(base_url=fake_server.url)
    assert answer(mode, model, timeout=None).text == "Hello world"


async def test_asyncio_timeouts_are_respected(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    fake_server.on("POST", ROUTE, Reply(before=[Stall()]), chat("fine"))
    model = EasyLLMChat(base_url=fake_server.url)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await model.ainvoke("Hi")
    assert (await model.ainvoke("Hi")).text == "fine"
    await asyncio.to_thread(fake_server.wait_until, lambda: fake_server.disconnects == 1)
