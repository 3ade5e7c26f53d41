"""`api="auto"`: which server gets which protocol, at the cost of one look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import (
    AuthenticationError,
    ConfigurationError,
    EasyLLMError,
    NotFoundError,
)

from ...support.fake_server import Cut, Pause, Received, Reply, Stall, WireServer
from ...support.fake_text_servers import chat, error, info_tgi, models, serve, tgi_generate
from ...support.invocation_modes import CLASSES, DIALECTS, STREAMS, answer, body_of, text_of

CLASS = pytest.mark.parametrize("cls", CLASSES)
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"


def posted(server: WireServer) -> list[str]:
    return [request.path for request in server.requests if request.method == "POST"]


def looks(server: WireServer) -> list[str]:
    return [request.path for request in server.requests if request.method == "GET"]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("builder", [None, "zephyr"])
@CLASS
def test_auto_takes_the_protocol_of_the_table(
    wire_server: WireServer, cls: type, builder: str | None, dialect: str, streamed: str
) -> None:
    serve(wire_server, dialect)
    model = cls(base_url=wire_server.url, prompt_builder=builder)
    answer(streamed, model)
    answer("invoke", model)
    if cls is EasyLLMChat and builder is None:
        assert posted(wire_server) == [CHAT, CHAT]
    elif dialect == "tgi":
        assert posted(wire_server) == ["/generate_stream", "/generate"]
    else:
        assert posted(wire_server) == [TEXT, TEXT]
    sent = body_of(wire_server)
    prompt = sent.get("prompt", sent.get("inputs"))
    if builder:
        assert prompt == "<|user|>\nHi</s>\n<|assistant|>\n"
    elif cls is EasyLLM:
        assert prompt == "Hi"
    assert sorted(looks(wire_server)) == sorted(set(looks(wire_server)))


@pytest.mark.parametrize("api", ["chat", "completions", "generate"])
@CLASS
def test_an_explicit_protocol_is_taken_without_a_look(
    wire_server: WireServer, cls: type, api: str, way: str
) -> None:
    serve(wire_server, "tgi")
    builder = "zephyr" if cls is EasyLLMChat and api != "chat" else None
    model = cls(base_url=wire_server.url, model="tiny", api=api, prompt_builder=builder)
    assert text_of(answer(way, model, stop=["x"], max_tokens=5)) == "Hello world"
    path = {"chat": CHAT, "completions": TEXT}.get(
        api, "/generate_stream" if way in STREAMS else "/generate"
    )
    assert posted(wire_server) == [path]
    assert not looks(wire_server)


@CLASS
def test_fifty_first_calls_look_once(wire_server: WireServer, cls: type) -> None:
    serve(wire_server, "vllm")
    wire_server.on("GET", "/info", Reply(before=[Pause(0.1)], body={}, status=404))

    async def main(model: Any) -> None:
        await asyncio.gather(*(model.ainvoke("Hi") for _ in range(50)))

    model = cls(base_url=wire_server.url)
    asyncio.run(main(model))
    assert looks(wire_server) == ["/info", "/v1/models"]


@CLASS
def test_fifty_threads_look_once(wire_server: WireServer, cls: type) -> None:
    serve(wire_server, "vllm")
    wire_server.on("GET", "/info", Reply(before=[Pause(0.1)], body={}, status=404))
    model = cls(base_url=wire_server.url)
    with ThreadPoolExecutor(50) as threads:
        list(threads.map(model.invoke, ["Hi"] * 50))
    assert looks(wire_server) == ["/info", "/v1/models"]


def test_two_objects_of_one_server_look_once(wire_server: WireServer) -> None:
    serve(wire_server, "tgi")
    one, two = EasyLLMChat(base_url=wire_server.url), EasyLLM(base_url=wire_server.url + "/v1")
    one.invoke("Hi")
    two.invoke("Hi")
    asyncio.run(one.ainvoke("Hi"))
    assert looks(wire_server) == ["/info"]


@CLASS
def test_a_server_that_tells_nothing_is_asked_openai_style(
    wire_server: WireServer, cls: type, way: str
) -> None:
    serve(wire_server, "openai")
    for path in ("/info", "/v1/models"):
        wire_server.on("GET", path, error("fastapi-not-found"))
    assert text_of(answer(way, cls(base_url=wire_server.url))) == "Hello world"
    assert posted(wire_server) == [CHAT if cls is EasyLLMChat else TEXT]


@pytest.mark.parametrize(
    "trouble",
    [
        Reply(before=[Cut()]),
        Reply(b"\xff\xfe", status=200),
        Reply("<html>hello</html>", headers={"content-type": "text/html"}),
        Reply([1, 2, 3]),
        Reply(None),
        Reply({"data": "no list"}),
        Reply({"data": [None, 1]}),
        Reply({"data": [{"id": None}]}),
        error("fastapi-internal"),
        error("router-unauthorized"),
        error("router-forbidden"),
        error("tgi-overloaded"),
        Reply({}, status=302, headers={"location": "/elsewhere"}),
    ],
)
def test_a_look_that_fails_breaks_nothing(wire_server: WireServer, trouble: Reply) -> None:
    serve(wire_server, "openai")
    wire_server.on("GET", "/info", trouble)
    wire_server.on("GET", "/v1/models", trouble)
    started = time.monotonic()
    for way in ("invoke", "ainvoke"):
        assert answer(way, EasyLLMChat(base_url=wire_server.url, model="tiny")).text
    assert time.monotonic() - started < 5
    assert looks(wire_server).count("/info") == 1


def test_a_look_that_hangs_is_bounded(wire_server: WireServer) -> None:
    serve(wire_server, "openai")
    wire_server.on("GET", "/info", Reply(before=[Stall()]))
    started = time.monotonic()
    model = EasyLLMChat(base_url=wire_server.url, timeout=0.5)
    assert model.invoke("Hi").text == "Hello world"
    assert model.invoke("Hi").text == "Hello world"
    assert looks(wire_server) == ["/info"]
    assert time.monotonic() - started < 5


FORMS: dict[str, Callable[[str], str]] = {
    "root": lambda url: url,
    "slash": lambda url: url + "/",
    "v1": lambda url: url + "/v1",
    "v1 slash": lambda url: url + "/v1/",
    "chat": lambda url: url + CHAT,
    "completions": lambda url: url + TEXT + "/",
    "generate": lambda url: url + "/generate",
    "generate_stream": lambda url: url + "/generate_stream",
    "without a scheme": lambda url: url.removeprefix("http://"),
    "blanks": lambda url: f"  {url} ",
}


@pytest.mark.parametrize("form", FORMS)
@CLASS
def test_every_form_of_an_address_is_taken(wire_server: WireServer, cls: type, form: str) -> None:
    serve(wire_server, "tgi")
    url = FORMS[form](wire_server.url)
    for name in ("base_url", "endpoint_url", "inference_server_url", "api_base", "model"):
        if name == "model" and form in ("without a scheme", "blanks"):
            continue
        assert text_of(cls(**{name: url}).invoke("Hi")) == "Hello world"
    assert set(posted(wire_server)) == {CHAT if cls is EasyLLMChat else "/generate"}


def test_a_prefix_and_a_query_stay(wire_server: WireServer) -> None:
    wire_server.on("POST", "/deep/down" + CHAT, chat("fine"))
    model = EasyLLMChat(base_url=f"{wire_server.url}/deep/down/v1?version=2", model="tiny")
    assert model.invoke("Hi").text == "fine"
    assert wire_server.requests[-1].query == {"version": "2"}


@pytest.mark.parametrize("name", ["HUGGINGFACE_API_BASE", "HF_INFERENCE_ENDPOINT"])
def test_the_address_may_come_from_the_environment(
    wire_server: WireServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(wire_server, "tgi")
    monkeypatch.setenv("HF_INFERENCE_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv(name, wire_server.url)
    if name == "HF_INFERENCE_ENDPOINT":
        monkeypatch.delenv("HUGGINGFACE_API_BASE", raising=False)
    for cls in CLASSES:
        assert text_of(cls().invoke("Hi")) == "Hello world"
        assert text_of(cls(model=wire_server.url).invoke("Hi")) == "Hello world"


def test_the_template_may_come_from_the_environment(
    wire_server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(wire_server, "tgi")
    monkeypatch.setenv("HUGGINGFACE_PROMPT", "zephyr")
    EasyLLMChat(base_url=wire_server.url).invoke("Hi")
    assert body_of(wire_server)["inputs"] == "<|user|>\nHi</s>\n<|assistant|>\n"
    EasyLLMChat(base_url=wire_server.url, api="chat").invoke("Hi")
    assert posted(wire_server)[-1] == CHAT


@pytest.mark.parametrize("dialect", ["vllm", "llamacpp", "llama-cpp-python", "openai"])
@CLASS
def test_an_unnamed_model_is_read_from_the_server(
    wire_server: WireServer, cls: type, dialect: str
) -> None:
    serve(wire_server, dialect, model="org/served")
    for api in ("auto", "chat"):
        cls(base_url=wire_server.url, api=api).invoke("Hi")
        assert body_of(wire_server)["model"] == "org/served"
    cls(base_url=wire_server.url, model="org/served").invoke("Hi")


def test_several_models_ask_for_a_choice(wire_server: WireServer) -> None:
    serve(wire_server, "openai")
    wire_server.on("GET", "/v1/models", models("one", "two"))
    with pytest.raises(ConfigurationError, match="one, two"):
        EasyLLMChat(base_url=wire_server.url).invoke("Hi")
    assert not posted(wire_server)
    EasyLLMChat(base_url=wire_server.url, model="two").invoke("Hi")


@CLASS
def test_a_task_that_is_not_supported_is_asked_for_on_chat(
    wire_server: WireServer, cls: type, way: str
) -> None:
    serve(wire_server, "tgi")
    for path in ("/generate", "/generate_stream", "/"):
        wire_server.on("POST", path, error("router-task"))
    model = cls(base_url=wire_server.url, prompt_builder="zephyr", model="tiny")
    assert text_of(answer(way, model)) == "Hello world"
    assert posted(wire_server)[-1] == CHAT
    assert body_of(wire_server)["messages"] == [{"role": "user", "content": "Hi"}]
    before = len(posted(wire_server))
    answer(way, model)
    assert posted(wire_server)[before:] == [CHAT]  # remembered


def test_contradicting_tasks_end(wire_server: WireServer) -> None:
    serve(wire_server, "tgi")
    for path in ("/generate", "/generate_stream", "/"):
        wire_server.on("POST", path, error("router-task"))

    def refuse(request: Received) -> Reply:
        enough = len(posted(wire_server)) > 20  # so that a loop fails here and does not hang
        return (
            chat("looped")
            if enough
            else Reply({"error": "Not supported. Supported task: text-generation."}, status=400)
        )

    wire_server.on("POST", CHAT, refuse)
    with pytest.raises(EasyLLMError, match="upported task"):
        EasyLLM(base_url=wire_server.url).invoke("Hi")
    assert len(posted(wire_server)) < 5


def test_a_server_with_a_root_route_only_is_asked_there(wire_server: WireServer, way: str) -> None:
    serve(wire_server, "tgi")
    for path in ("/generate", "/generate_stream"):
        wire_server.on("POST", path, error("fastapi-not-found"))
    model = EasyLLM(base_url=wire_server.url)
    assert answer(way, model) == "Hello world"
    assert posted(wire_server)[-1] == "/"
    assert body_of(wire_server)["stream"] is (way in STREAMS)
    before = len(posted(wire_server))
    answer(way, model)
    assert posted(wire_server)[before:] == ["/"]


def test_neither_route_is_an_error(wire_server: WireServer, way: str) -> None:
    wire_server.on("GET", "/info", info_tgi())
    with pytest.raises(NotFoundError):
        answer(way, EasyLLM(base_url=wire_server.url))
    assert len(posted(wire_server)) == 2


def test_a_refused_token_is_that_and_no_riddle(wire_server: WireServer, way: str) -> None:
    for method, path in (("GET", "/info"), ("GET", "/v1/models"), ("POST", CHAT)):
        wire_server.on(method, path, error("router-unauthorized"))
    with pytest.raises(AuthenticationError):
        answer(way, EasyLLMChat(base_url=wire_server.url))


def test_an_old_tgi_without_details_answers(wire_server: WireServer) -> None:
    wire_server.on("GET", "/info", info_tgi(router=None))
    wire_server.on("POST", "/generate", tgi_generate("Hi"))
    assert EasyLLM(base_url=wire_server.url).invoke("Hi") == "Hi"


@CLASS
def test_a_server_that_was_replaced_is_found_out(
    wire_server: WireServer, cls: type, way: str
) -> None:
    serve(wire_server, "vllm", model="first")
    model = cls(base_url=wire_server.url)
    assert text_of(answer(way, model)) == "Hello world"
    serve(wire_server, "tgi", model="second")
    assert text_of(answer(way, model)) == "Hello world"
    serve(wire_server, "vllm", model="third")
    assert text_of(answer(way, model)) == "Hello world"


@CLASS
def test_a_wrong_name_is_asked_once(wire_server: WireServer, cls: type, way: str) -> None:
    serve(wire_server, "vllm", model="first")
    model = cls(base_url=wire_server.url)
    answer(way, model)
    before = len(posted(wire_server))
    with pytest.raises(NotFoundError):
        answer(way, model.bind(model="wrong"))
    assert len(posted(wire_server)) - before == 1
