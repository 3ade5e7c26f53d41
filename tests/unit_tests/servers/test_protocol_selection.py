"""`api="auto"`: which server gets which protocol, at the cost of one look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat, errors
from langchain_easyllm.errors import (
    AuthenticationError,
    ConfigurationError,
    EasyLLMError,
    NotFoundError,
)

from ...support.fake_server import Cut, Pause, Received, Reply, Stall, WireServer, sse
from ...support.fake_text_servers import (
    chat,
    chat_events,
    error,
    info_tgi,
    models,
    serve,
    tgi_generate,
)
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


def slowly(reply: Reply, seconds: float) -> Reply:
    return replace(reply, before=[Pause(seconds)])


@contextmanager
def somebody_looks(server: WireServer, holder: str, seconds: float) -> Iterator[Future[Any]]:
    """Another call, of a thread or of a loop in one, that waits for `/info` meanwhile."""
    server.on("GET", "/info", slowly(error("fastapi-not-found"), seconds))
    way = "invoke" if holder == "thread" else "ainvoke"
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(answer, way, EasyLLMChat(base_url=server.url))
        server.wait_until(lambda: looks(server))
        yield other
        assert other.result(timeout=20).text == "Hello world"


HOLDER = pytest.mark.parametrize("holder", ["thread", "loop"])


@HOLDER
def test_nobody_waits_for_anothers_look_longer_than_his_time(
    wire_server: WireServer, holder: str, way: str
) -> None:
    serve(wire_server, "vllm")
    with somebody_looks(wire_server, holder, 1.5):
        started = time.monotonic()
        with pytest.raises(errors.TimeoutError, match=r"which server .*127\.0\.0\.1.* 0\.4 s"):
            answer(way, EasyLLM(base_url=wire_server.url, timeout=0.4))
        assert time.monotonic() - started < 1
        assert not posted(wire_server)
    assert text_of(answer(way, EasyLLM(base_url=wire_server.url, timeout=5))) == "Hello world"


@HOLDER
def test_threads_and_loops_look_once(wire_server: WireServer, holder: str, way: str) -> None:
    serve(wire_server, "vllm")
    with somebody_looks(wire_server, holder, 0.5):
        assert text_of(answer(way, EasyLLM(base_url=wire_server.url))) == "Hello world"
    assert looks(wire_server) == ["/info", "/v1/models"]


def test_a_look_takes_from_the_calls_own_time(wire_server: WireServer, way: str) -> None:
    serve(wire_server, "vllm")
    for path, reply in (("/info", error("fastapi-not-found")), ("/v1/models", models("tiny"))):
        wire_server.on("GET", path, slowly(reply, 0.35))
    wire_server.on("POST", CHAT, Reply(before=[Stall()]))
    started = time.monotonic()
    with pytest.raises(errors.TimeoutError):
        answer(way, EasyLLMChat(base_url=wire_server.url, timeout=1, max_retries=9))
    assert time.monotonic() - started < 1.3
    assert posted(wire_server) == [CHAT]


def test_a_look_is_bounded_as_a_whole(wire_server: WireServer, way: str) -> None:
    serve(wire_server, "vllm")
    detail = error("fastapi-not-found")
    for path, reply in (
        ("/info", detail),
        ("/v1/models", models("tiny")),
        ("/openapi.json", detail),
    ):
        wire_server.on("GET", path, slowly(reply, 0.5))
    started = time.monotonic()
    model = EasyLLMChat(base_url=wire_server.url, model="tiny", timeout=1.6)
    assert answer(way, model).text == "Hello world"
    assert time.monotonic() - started < 1.3


def test_what_a_hurried_call_missed_is_looked_for_again(wire_server: WireServer, way: str) -> None:
    serve(wire_server, "tgi")
    wire_server.on("GET", "/info", slowly(info_tgi(), 0.6))
    hurried = EasyLLM(base_url=wire_server.url, model="tiny", timeout=0.6)
    answer(way, hurried)
    assert posted(wire_server) == [TEXT]
    answer(way, hurried)
    assert looks(wire_server) == ["/info"]
    answer(way, EasyLLM(base_url=wire_server.url, model="tiny"))
    assert posted(wire_server)[-1].startswith("/generate")
    answer(way, hurried)
    assert posted(wire_server)[-1].startswith("/generate")


def test_a_cold_start_while_looking_takes_no_time(wire_server: WireServer, way: str) -> None:
    serve(wire_server, "tgi")
    wire_server.on("GET", "/info", *[error("hub-loading")] * 6, info_tgi())
    model = EasyLLM(base_url=wire_server.url, timeout=0.5, max_retries=0, wait_for_model=20)
    assert text_of(answer(way, model)) == "Hello world"
    assert len(looks(wire_server)) == 7


@HOLDER
async def test_a_cancelled_look_is_taken_over(wire_server: WireServer, holder: str) -> None:
    serve(wire_server, "vllm")
    missing = error("fastapi-not-found")
    wire_server.on("GET", "/info", Reply(before=[Stall()]), slowly(missing, 0.1))
    model = EasyLLMChat(base_url=wire_server.url, timeout=30)
    first = asyncio.create_task(model.ainvoke("Hi"))
    await asyncio.to_thread(wire_server.wait_until, lambda: looks(wire_server))
    if holder == "thread":
        rest = [asyncio.create_task(asyncio.to_thread(model.invoke, "Hi")) for _ in range(5)]
    else:
        rest = [asyncio.create_task(model.ainvoke("Hi")) for _ in range(5)]
    await asyncio.sleep(0.2)
    rest[0].cancel()  # one that waits takes nobody's look away
    await asyncio.sleep(0.1)
    assert looks(wire_server) == ["/info"]
    started = time.monotonic()
    first.cancel()
    answers = await asyncio.gather(*rest[1:])
    assert [one.text for one in answers] == ["Hello world"] * 4
    assert time.monotonic() - started < 3
    assert looks(wire_server) == ["/info", "/info", "/v1/models"]
    for task in (first, rest[0]):
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_blocking_call_does_not_wait_for_the_loop_it_blocks(
    wire_server: WireServer,
) -> None:
    serve(wire_server, "vllm")
    wire_server.on("GET", "/info", slowly(error("fastapi-not-found"), 0.3))
    model = EasyLLMChat(base_url=wire_server.url)
    task = asyncio.create_task(model.ainvoke("Hi"))
    await asyncio.to_thread(wire_server.wait_until, lambda: looks(wire_server))
    started = time.monotonic()
    assert model.invoke("Hi").text == "Hello world"
    assert time.monotonic() - started < 2
    assert (await task).text == "Hello world"


def test_a_loop_that_ends_while_it_looks_holds_nobody_up(wire_server: WireServer) -> None:
    serve(wire_server, "vllm")
    wire_server.on("GET", "/info", Reply(before=[Stall()]), error("fastapi-not-found"))
    model = EasyLLMChat(base_url=wire_server.url)

    async def leave() -> None:
        tasks.append(asyncio.create_task(model.ainvoke("Hi")))
        await asyncio.to_thread(wire_server.wait_until, lambda: looks(wire_server))

    tasks: list[asyncio.Task[Any]] = []
    asyncio.run(leave())
    started = time.monotonic()
    assert model.invoke("Hi").text == "Hello world"
    assert time.monotonic() - started < 2


# A wrong name is one caller's own


def chat_only(server: WireServer) -> None:
    """A server of one model, "tiny", which it has for chat only."""
    serve(server, "vllm")
    chatting = chat("Hello", dialect="vllm")

    def reply(request: Received) -> Reply:
        body: Any = request.json
        if body["model"] != "tiny":
            return error("vllm-unknown-model")
        if request.path == TEXT:
            return error("router-task")
        return sse(*chat_events(["Hello"], "vllm")) if body.get("stream") else chatting

    for path in (TEXT, CHAT):
        server.on("POST", path, reply)


@pytest.mark.parametrize(
    "again",
    [
        {},
        {"/info": Reply(before=[Cut()])},
        {"/v1/models": Reply(before=[Cut()])},
        {"/info": error("tgi-overloaded"), "/v1/models": error("tgi-overloaded")},
        {"/v1/models": error("fastapi-internal"), "/info": error("fastapi-internal")},
    ],
    ids=["same", "unreachable", "half", "busy", "broken"],
)
def test_a_wrong_name_costs_nobody_what_was_learned(
    wire_server: WireServer, again: dict[str, Reply], way: str
) -> None:
    chat_only(wire_server)
    model = EasyLLM(base_url=wire_server.url)
    assert answer(way, model) == "Hello"
    assert posted(wire_server) == [TEXT, CHAT]
    for path, reply in again.items():
        wire_server.on("GET", path, reply)
    with pytest.raises(NotFoundError):
        answer(way, EasyLLM(base_url=wire_server.url, model="wrong"))
    before = len(posted(wire_server))
    assert answer(way, model) == "Hello"
    assert posted(wire_server)[before:] == [CHAT]


def test_another_server_is_learned_of_anew(wire_server: WireServer, way: str) -> None:
    chat_only(wire_server)
    model = EasyLLM(base_url=wire_server.url)
    answer(way, model)
    serve(wire_server, "vllm", model="other")
    before = len(posted(wire_server))
    assert answer(way, model) == "Hello world"
    assert posted(wire_server)[before:] == [CHAT, TEXT]


@CLASS
@pytest.mark.parametrize("asynchronous", [False, True])
def test_many_calls_find_a_replaced_server(
    wire_server: WireServer, cls: type, asynchronous: bool
) -> None:
    serve(wire_server, "vllm", model="first")
    model = cls(base_url=wire_server.url)
    model.invoke("Hi")
    serve(wire_server, "vllm", model="second")
    wire_server.on("GET", "/info", slowly(error("fastapi-not-found"), 0.2))

    async def main() -> list[Any]:
        return await asyncio.gather(*(model.ainvoke("Hi") for _ in range(20)))

    if asynchronous:
        answers = asyncio.run(main())
    else:
        with ThreadPoolExecutor(20) as threads:
            answers = list(threads.map(model.invoke, ["Hi"] * 20))
    assert [text_of(one) for one in answers] == ["Hello world"] * 20
    assert looks(wire_server) == ["/info", "/v1/models"] * 2


@CLASS
def test_a_wrong_name_holds_nobody_up(wire_server: WireServer, cls: type, way: str) -> None:
    serve(wire_server, "vllm")
    model = cls(base_url=wire_server.url)
    answer(way, model)
    wire_server.on("GET", "/info", slowly(error("fastapi-not-found"), 1))
    with ThreadPoolExecutor(1) as threads:
        wrong = threads.submit(answer, way, cls(base_url=wire_server.url, model="wrong"))
        wire_server.wait_until(lambda: looks(wire_server).count("/info") == 2)
        assert text_of(answer(way, model, timeout=0.7)) == "Hello world"
        assert not wrong.done()
        with pytest.raises(NotFoundError):
            wrong.result(timeout=20)
