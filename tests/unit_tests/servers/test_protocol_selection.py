"""`api="auto"`: which server gets which protocol, at the cost of one detection."""

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

from ...support.cases import each_case
from ...support.fake_server import Cut, FakeServer, Pause, Received, Reply, Stall, sse
from ...support.fake_text_servers import (
    chat,
    chat_events,
    error,
    info_tgi,
    models,
    serve,
    tgi_generate,
)
from ...support.invocation_modes import (
    CLASSES,
    SERVER_NAMES,
    STREAM_MODES,
    answer,
    body_of,
    text_of,
)
from ...support.on_the_clock import ON_THE_CLOCK

CLASS = pytest.mark.parametrize("cls", CLASSES)
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"


def posted(server: FakeServer) -> list[str]:
    return [request.path for request in server.requests if request.method == "POST"]


def detection_requests(server: FakeServer) -> list[str]:
    return [request.path for request in server.requests if request.method == "GET"]


@each_case("server_name", SERVER_NAMES)
@each_case("builder", [None, "zephyr"])
@CLASS
def test_auto_takes_the_protocol_of_the_table(
    fake_server: FakeServer, cls: type, builder: str | None, server_name: str, stream_mode: str
) -> None:
    serve(fake_server, server_name)
    model = cls(base_url=fake_server.url, prompt_builder=builder)
    answer(stream_mode, model)
    answer("invoke", model)
    if cls is EasyLLMChat and builder is None:
        assert posted(fake_server) == [CHAT, CHAT]
    elif server_name == "tgi":
        assert posted(fake_server) == ["/generate_stream", "/generate"]
    else:
        path = "/api/generate" if server_name == "ollama" else TEXT
        assert posted(fake_server) == [path, path]
    sent = body_of(fake_server)
    prompt = sent.get("prompt", sent.get("inputs"))
    if builder:
        assert prompt == "<|user|>\nHi</s>\n<|assistant|>\n"
    elif cls is EasyLLM:
        assert prompt == "Hi"
    assert sorted(detection_requests(fake_server)) == sorted(set(detection_requests(fake_server)))


@pytest.mark.parametrize("api", ["chat", "completions", "generate"])
@CLASS
def test_an_explicit_protocol_is_taken(
    fake_server: FakeServer, cls: type, api: str, mode: str
) -> None:
    serve(fake_server, "tgi")
    builder = "zephyr" if cls is EasyLLMChat and api != "chat" else None
    model = cls(base_url=fake_server.url, model="tiny", api=api, prompt_builder=builder)
    assert text_of(answer(mode, model, stop=["x"], max_tokens=5)) == "Hello world"
    path = {"chat": CHAT, "completions": TEXT}.get(
        api, "/generate_stream" if mode in STREAM_MODES else "/generate"
    )
    assert posted(fake_server) == [path]
    # Ollama has a route of its own for completions; the others are the same on every server.
    assert detection_requests(fake_server) == (["/info"] if api == "completions" else [])


@CLASS
def test_fifty_first_calls_detect_once(fake_server: FakeServer, cls: type) -> None:
    serve(fake_server, "vllm")
    fake_server.on("GET", "/info", Reply(before=[Pause(0.1)], body={}, status=404))

    async def main(model: Any) -> None:
        await asyncio.gather(*(model.ainvoke("Hi") for _ in range(50)))

    model = cls(base_url=fake_server.url)
    asyncio.run(main(model))
    assert detection_requests(fake_server) == ["/info", "/v1/models"]


@CLASS
def test_fifty_threads_detect_once(fake_server: FakeServer, cls: type) -> None:
    serve(fake_server, "vllm")
    fake_server.on("GET", "/info", Reply(before=[Pause(0.1)], body={}, status=404))
    model = cls(base_url=fake_server.url)
    with ThreadPoolExecutor(50) as threads:
        list(threads.map(model.invoke, ["Hi"] * 50))
    assert detection_requests(fake_server) == ["/info", "/v1/models"]


def test_two_objects_of_one_server_detect_it_once(fake_server: FakeServer) -> None:
    serve(fake_server, "tgi")
    one, two = EasyLLMChat(base_url=fake_server.url), EasyLLM(base_url=fake_server.url + "/v1")
    one.invoke("Hi")
    two.invoke("Hi")
    asyncio.run(one.ainvoke("Hi"))
    assert detection_requests(fake_server) == ["/info"]


@CLASS
def test_a_server_that_tells_nothing_is_asked_openai_style(
    fake_server: FakeServer, cls: type, mode: str
) -> None:
    serve(fake_server, "openai")
    for path in ("/info", "/v1/models"):
        fake_server.on("GET", path, error("fastapi-not-found"))
    assert text_of(answer(mode, cls(base_url=fake_server.url))) == "Hello world"
    assert posted(fake_server) == [CHAT if cls is EasyLLMChat else TEXT]


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
def test_a_detection_that_fails_breaks_nothing(fake_server: FakeServer, trouble: Reply) -> None:
    serve(fake_server, "openai")
    fake_server.on("GET", "/info", trouble)
    fake_server.on("GET", "/v1/models", trouble)
    started = time.monotonic()
    for mode in ("invoke", "ainvoke"):
        assert answer(mode, EasyLLMChat(base_url=fake_server.url, model="tiny")).text
    assert time.monotonic() - started < 5
    assert detection_requests(fake_server).count("/info") == 1


@ON_THE_CLOCK
def test_a_detection_that_hangs_is_bounded(fake_server: FakeServer) -> None:
    serve(fake_server, "openai")
    fake_server.on("GET", "/info", Reply(before=[Stall()]))
    started = time.monotonic()
    model = EasyLLMChat(base_url=fake_server.url, timeout=0.5)
    assert model.invoke("Hi").text == "Hello world"
    assert model.invoke("Hi").text == "Hello world"
    assert detection_requests(fake_server) == ["/info"]
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
def test_every_form_of_an_address_is_taken(fake_server: FakeServer, cls: type, form: str) -> None:
    serve(fake_server, "tgi")
    url = FORMS[form](fake_server.url)
    for name in ("base_url", "endpoint_url", "inference_server_url", "api_base", "model"):
        if name == "model" and form in ("without a scheme", "blanks"):
            continue
        assert text_of(cls(**{name: url}).invoke("Hi")) == "Hello world"
    assert set(posted(fake_server)) == {CHAT if cls is EasyLLMChat else "/generate"}


def test_a_prefix_and_a_query_stay(fake_server: FakeServer) -> None:
    fake_server.on("POST", "/deep/down" + CHAT, chat("fine"))
    model = EasyLLMChat(base_url=f"{fake_server.url}/deep/down/v1?version=2", model="tiny")
    assert model.invoke("Hi").text == "fine"
    assert fake_server.requests[-1].query == {"version": "2"}


@pytest.mark.parametrize("name", ["HUGGINGFACE_API_BASE", "HF_INFERENCE_ENDPOINT"])
def test_the_address_may_come_from_the_environment(
    fake_server: FakeServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(fake_server, "tgi")
    monkeypatch.setenv("HF_INFERENCE_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv(name, fake_server.url)
    if name == "HF_INFERENCE_ENDPOINT":
        monkeypatch.delenv("HUGGINGFACE_API_BASE", raising=False)
    for cls in CLASSES:
        assert text_of(cls().invoke("Hi")) == "Hello world"
        assert text_of(cls(model=fake_server.url).invoke("Hi")) == "Hello world"


def test_the_template_may_come_from_the_environment(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(fake_server, "tgi")
    monkeypatch.setenv("HUGGINGFACE_PROMPT", "zephyr")
    EasyLLMChat(base_url=fake_server.url).invoke("Hi")
    assert body_of(fake_server)["inputs"] == "<|user|>\nHi</s>\n<|assistant|>\n"
    EasyLLMChat(base_url=fake_server.url, api="chat").invoke("Hi")
    assert posted(fake_server)[-1] == CHAT


@pytest.mark.parametrize("server_name", ["vllm", "llamacpp", "llama-cpp-python", "openai"])
@CLASS
def test_an_unnamed_model_is_read_from_the_server(
    fake_server: FakeServer, cls: type, server_name: str
) -> None:
    serve(fake_server, server_name, model="org/served")
    for api in ("auto", "chat"):
        cls(base_url=fake_server.url, api=api).invoke("Hi")
        assert body_of(fake_server)["model"] == "org/served"
    cls(base_url=fake_server.url, model="org/served").invoke("Hi")


@pytest.mark.parametrize(
    "fields", [{}, {"api": "completions"}, {"prompt_builder": "auto"}, {"prompt_builder": "zephyr"}]
)
def test_several_models_ask_for_a_choice(
    fake_server: FakeServer, fields: dict[str, Any], mode: str
) -> None:
    serve(fake_server, "openai")
    fake_server.on("GET", "/v1/models", models("one", "two"))
    with pytest.raises(ConfigurationError, match=r"has several models.* one, two"):
        answer(mode, EasyLLMChat(base_url=fake_server.url, **fields))
    assert not posted(fake_server)
    EasyLLMChat(base_url=fake_server.url, model="two").invoke("Hi")


@CLASS
def test_a_task_that_is_not_supported_is_asked_for_on_chat(
    fake_server: FakeServer, cls: type, mode: str
) -> None:
    serve(fake_server, "tgi")
    for path in ("/generate", "/generate_stream", "/"):
        fake_server.on("POST", path, error("router-task"))
    model = cls(base_url=fake_server.url, prompt_builder="zephyr", model="tiny")
    assert text_of(answer(mode, model)) == "Hello world"
    assert posted(fake_server)[-1] == CHAT
    assert body_of(fake_server)["messages"] == [{"role": "user", "content": "Hi"}]
    before = len(posted(fake_server))
    answer(mode, model)
    assert posted(fake_server)[before:] == [CHAT]  # remembered


def test_contradicting_tasks_end(fake_server: FakeServer) -> None:
    serve(fake_server, "tgi")
    for path in ("/generate", "/generate_stream", "/"):
        fake_server.on("POST", path, error("router-task"))

    def refuse(request: Received) -> Reply:
        enough = len(posted(fake_server)) > 20  # so that a loop fails here and does not hang
        return (
            chat("looped")
            if enough
            else Reply({"error": "Not supported. Supported task: text-generation."}, status=400)
        )

    fake_server.on("POST", CHAT, refuse)
    with pytest.raises(EasyLLMError, match="upported task"):
        EasyLLM(base_url=fake_server.url).invoke("Hi")
    assert len(posted(fake_server)) < 5


def test_a_server_with_a_root_route_only_is_asked_there(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "tgi")
    for path in ("/generate", "/generate_stream"):
        fake_server.on("POST", path, error("fastapi-not-found"))
    model = EasyLLM(base_url=fake_server.url)
    assert answer(mode, model) == "Hello world"
    assert posted(fake_server)[-1] == "/"
    assert body_of(fake_server)["stream"] is (mode in STREAM_MODES)
    before = len(posted(fake_server))
    answer(mode, model)
    assert posted(fake_server)[before:] == ["/"]


def test_neither_route_is_an_error(fake_server: FakeServer, mode: str) -> None:
    fake_server.on("GET", "/info", info_tgi())
    with pytest.raises(NotFoundError):
        answer(mode, EasyLLM(base_url=fake_server.url))
    assert len(posted(fake_server)) == 2


def test_a_refused_token_is_that_and_no_riddle(fake_server: FakeServer, mode: str) -> None:
    for method, path in (("GET", "/info"), ("GET", "/v1/models"), ("POST", CHAT)):
        fake_server.on(method, path, error("router-unauthorized"))
    with pytest.raises(AuthenticationError):
        answer(mode, EasyLLMChat(base_url=fake_server.url))


def test_an_old_tgi_without_details_answers(fake_server: FakeServer) -> None:
    fake_server.on("GET", "/info", info_tgi(router=None))
    fake_server.on("POST", "/generate", tgi_generate("Hi"))
    assert EasyLLM(base_url=fake_server.url).invoke("Hi") == "Hi"


@CLASS
def test_a_server_that_was_replaced_is_found_out(
    fake_server: FakeServer, cls: type, mode: str
) -> None:
    serve(fake_server, "vllm", model="first")
    model = cls(base_url=fake_server.url)
    assert text_of(answer(mode, model)) == "Hello world"
    serve(fake_server, "tgi", model="second")
    assert text_of(answer(mode, model)) == "Hello world"
    serve(fake_server, "vllm", model="third")
    assert text_of(answer(mode, model)) == "Hello world"


@CLASS
def test_a_wrong_name_is_asked_once(fake_server: FakeServer, cls: type, mode: str) -> None:
    serve(fake_server, "vllm", model="first")
    model = cls(base_url=fake_server.url)
    answer(mode, model)
    before = len(posted(fake_server))
    with pytest.raises(NotFoundError):
        answer(mode, model.bind(model="wrong"))
    assert len(posted(fake_server)) - before == 1


def slowly(reply: Reply, seconds: float) -> Reply:
    return replace(reply, before=[Pause(seconds)])


@contextmanager
def somebody_detects(server: FakeServer, holder: str, seconds: float) -> Iterator[Future[Any]]:
    """Another call, of a thread or of a loop in one, that waits for `/info` meanwhile."""
    server.on("GET", "/info", slowly(error("fastapi-not-found"), seconds))
    mode = "invoke" if holder == "thread" else "ainvoke"
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(answer, mode, EasyLLMChat(base_url=server.url))
        server.wait_until(lambda: detection_requests(server))
        yield other
        assert other.result(timeout=20).text == "Hello world"


HOLDER = pytest.mark.parametrize("holder", ["thread", "loop"])


@ON_THE_CLOCK
@HOLDER
def test_nobody_waits_for_anothers_detection_beyond_the_own_timeout(
    fake_server: FakeServer, holder: str, mode: str
) -> None:
    serve(fake_server, "vllm")
    with somebody_detects(fake_server, holder, 1.5):
        started = time.monotonic()
        with pytest.raises(errors.TimeoutError, match=r"which server .*127\.0\.0\.1.* 0\.4 s"):
            answer(mode, EasyLLM(base_url=fake_server.url, timeout=0.4))
        assert time.monotonic() - started < 1
        assert not posted(fake_server)
    assert text_of(answer(mode, EasyLLM(base_url=fake_server.url, timeout=5))) == "Hello world"


@HOLDER
def test_threads_and_loops_detect_once(fake_server: FakeServer, holder: str, mode: str) -> None:
    serve(fake_server, "vllm")
    with somebody_detects(fake_server, holder, 0.5):
        assert text_of(answer(mode, EasyLLM(base_url=fake_server.url))) == "Hello world"
    assert detection_requests(fake_server) == ["/info", "/v1/models"]


@ON_THE_CLOCK
def test_a_detection_takes_from_the_calls_own_time(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    for path, reply in (("/info", error("fastapi-not-found")), ("/v1/models", models("tiny"))):
        fake_server.on("GET", path, slowly(reply, 0.35))
    fake_server.on("POST", CHAT, Reply(before=[Stall()]))
    started = time.monotonic()
    with pytest.raises(errors.TimeoutError):
        answer(mode, EasyLLMChat(base_url=fake_server.url, timeout=1, max_retries=9))
    assert time.monotonic() - started < 1.3
    assert posted(fake_server) == [CHAT]


@ON_THE_CLOCK
def test_a_detection_is_bounded_as_a_whole(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    detail = error("fastapi-not-found")
    for path, reply in (
        ("/info", detail),
        ("/v1/models", models("tiny")),
        ("/openapi.json", detail),
    ):
        fake_server.on("GET", path, slowly(reply, 0.5))
    started = time.monotonic()
    model = EasyLLMChat(base_url=fake_server.url, model="tiny", timeout=1.6)
    assert answer(mode, model).text == "Hello world"
    assert time.monotonic() - started < 1.3


@ON_THE_CLOCK
def test_what_a_hurried_call_missed_is_detected_again(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "tgi")
    fake_server.on("GET", "/info", slowly(info_tgi(), 0.6))
    hurried = EasyLLM(base_url=fake_server.url, model="tiny", timeout=0.6)
    answer(mode, hurried)
    assert posted(fake_server) == [TEXT]
    answer(mode, hurried)
    assert detection_requests(fake_server) == ["/info"]
    answer(mode, EasyLLM(base_url=fake_server.url, model="tiny"))
    assert posted(fake_server)[-1].startswith("/generate")
    answer(mode, hurried)
    assert posted(fake_server)[-1].startswith("/generate")


@ON_THE_CLOCK
def test_a_cold_start_during_detection_takes_no_time(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "tgi")
    fake_server.on("GET", "/info", *[error("hub-loading")] * 6, info_tgi())
    model = EasyLLM(base_url=fake_server.url, timeout=0.5, max_retries=0, wait_for_model=20)
    assert text_of(answer(mode, model)) == "Hello world"
    assert len(detection_requests(fake_server)) == 7


@ON_THE_CLOCK
@HOLDER
async def test_a_waiting_call_goes_on_with_a_cancelled_detection(
    fake_server: FakeServer, holder: str
) -> None:
    serve(fake_server, "vllm")
    missing = error("fastapi-not-found")
    fake_server.on("GET", "/info", Reply(before=[Stall()]), slowly(missing, 0.1))
    model = EasyLLMChat(base_url=fake_server.url, timeout=30)
    first = asyncio.create_task(model.ainvoke("Hi"))
    await asyncio.to_thread(fake_server.wait_until, lambda: detection_requests(fake_server))
    if holder == "thread":
        rest = [asyncio.create_task(asyncio.to_thread(model.invoke, "Hi")) for _ in range(5)]
    else:
        rest = [asyncio.create_task(model.ainvoke("Hi")) for _ in range(5)]
    await asyncio.sleep(0.2)
    rest[0].cancel()  # one that waits takes nobody's detection away
    await asyncio.sleep(0.1)
    assert detection_requests(fake_server) == ["/info"]
    started = time.monotonic()
    first.cancel()
    answers = await asyncio.gather(*rest[1:])
    assert [one.text for one in answers] == ["Hello world"] * 4
    assert time.monotonic() - started < 3
    assert detection_requests(fake_server) == ["/info", "/info", "/v1/models"]
    for task in (first, rest[0]):
        with pytest.raises(asyncio.CancelledError):
            await task


@ON_THE_CLOCK
async def test_a_blocking_call_does_not_wait_for_the_loop_it_blocks(
    fake_server: FakeServer,
) -> None:
    serve(fake_server, "vllm")
    fake_server.on("GET", "/info", slowly(error("fastapi-not-found"), 0.3))
    model = EasyLLMChat(base_url=fake_server.url)
    task = asyncio.create_task(model.ainvoke("Hi"))
    await asyncio.to_thread(fake_server.wait_until, lambda: detection_requests(fake_server))
    started = time.monotonic()
    assert model.invoke("Hi").text == "Hello world"
    assert time.monotonic() - started < 2
    assert (await task).text == "Hello world"


@ON_THE_CLOCK
def test_a_loop_that_ends_during_detection_holds_nobody_up(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    fake_server.on("GET", "/info", Reply(before=[Stall()]), error("fastapi-not-found"))
    model = EasyLLMChat(base_url=fake_server.url)

    async def leave() -> None:
        tasks.append(asyncio.create_task(model.ainvoke("Hi")))
        await asyncio.to_thread(fake_server.wait_until, lambda: detection_requests(fake_server))

    tasks: list[asyncio.Task[Any]] = []
    asyncio.run(leave())
    started = time.monotonic()
    assert model.invoke("Hi").text == "Hello world"
    assert time.monotonic() - started < 2


# A wrong name is one caller's own


def chat_only(server: FakeServer) -> None:
    """A server of one model, "tiny", which it has for chat only."""
    serve(server, "vllm")
    chatting = chat("Hello", server_name="vllm")

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
    fake_server: FakeServer, again: dict[str, Reply], mode: str
) -> None:
    chat_only(fake_server)
    model = EasyLLM(base_url=fake_server.url)
    assert answer(mode, model) == "Hello"
    assert posted(fake_server) == [TEXT, CHAT]
    for path, reply in again.items():
        fake_server.on("GET", path, reply)
    with pytest.raises(NotFoundError):
        answer(mode, EasyLLM(base_url=fake_server.url, model="wrong"))
    before = len(posted(fake_server))
    assert answer(mode, model) == "Hello"
    assert posted(fake_server)[before:] == [CHAT]


def test_another_server_is_learned_of_anew(fake_server: FakeServer, mode: str) -> None:
    chat_only(fake_server)
    model = EasyLLM(base_url=fake_server.url)
    answer(mode, model)
    serve(fake_server, "vllm", model="other")
    before = len(posted(fake_server))
    assert answer(mode, model) == "Hello world"
    assert posted(fake_server)[before:] == [CHAT, TEXT]


@CLASS
@pytest.mark.parametrize("asynchronous", [False, True])
def test_many_calls_find_a_replaced_server(
    fake_server: FakeServer, cls: type, asynchronous: bool
) -> None:
    serve(fake_server, "vllm", model="first")
    model = cls(base_url=fake_server.url)
    model.invoke("Hi")
    serve(fake_server, "vllm", model="second")
    fake_server.on("GET", "/info", slowly(error("fastapi-not-found"), 0.2))

    async def main() -> list[Any]:
        return await asyncio.gather(*(model.ainvoke("Hi") for _ in range(20)))

    if asynchronous:
        answers = asyncio.run(main())
    else:
        with ThreadPoolExecutor(20) as threads:
            answers = list(threads.map(model.invoke, ["Hi"] * 20))
    assert [text_of(one) for one in answers] == ["Hello world"] * 20
    assert detection_requests(fake_server) == ["/info", "/v1/models"] * 2


@ON_THE_CLOCK
@CLASS
def test_a_wrong_name_holds_nobody_up(fake_server: FakeServer, cls: type, mode: str) -> None:
    serve(fake_server, "vllm")
    model = cls(base_url=fake_server.url)
    answer(mode, model)
    fake_server.on("GET", "/info", slowly(error("fastapi-not-found"), 1))
    with ThreadPoolExecutor(1) as threads:
        wrong = threads.submit(answer, mode, cls(base_url=fake_server.url, model="wrong"))
        fake_server.wait_until(lambda: detection_requests(fake_server).count("/info") == 2)
        assert text_of(answer(mode, model, timeout=0.7)) == "Hello world"
        assert not wrong.done()
        with pytest.raises(NotFoundError):
            wrong.result(timeout=20)
