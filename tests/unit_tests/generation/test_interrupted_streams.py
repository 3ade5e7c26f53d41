"""Nothing partial passes for whole, nothing hangs, and whoever leaves closes the door."""

from __future__ import annotations

import asyncio
import builtins
import pickle
import time
from contextlib import suppress

import pytest
from langchain_core import exceptions as core

from langchain_easyllm import EasyLLM, EasyLLMChat, errors

from ...support.fake_server import Chunk, Cut, FakeServer, Pause, Reply, Reset, Stall, sse
from ...support.fake_text_servers import (
    chat,
    chat_events,
    completions_events,
    error,
    serve,
    tgi_generate_events,
)
from ...support.invocation_modes import answer, text_of
from ...support.on_the_clock import ON_THE_CLOCK

# class, server, route, the events of an answer "Hello world" up to but without its end
BROKEN = {
    "chat": (EasyLLMChat, "vllm", "/v1/chat/completions", chat_events(["Hello", " world"], "vllm")),
    "completions": (
        EasyLLM,
        "llamacpp",
        "/v1/completions",
        completions_events(["Hello", " world"], "llamacpp"),
    ),
    "generate": (EasyLLM, "tgi", "/generate_stream", tgi_generate_events(["Hello", " world"])),
}
KEPT = {"chat": 3, "completions": 2, "generate": 2}


@pytest.fixture(params=BROKEN)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def broken(server: FakeServer, kind: str, *end: object, **options: object):
    """A model whose server streams "Hello world" and then does `end`."""
    cls, server_name, path, events = BROKEN[kind]
    serve(server, server_name)
    server.on("POST", path, sse(*events[: KEPT[kind]], *end, done=False))
    return cls(base_url=server.url, max_retries=2, **options)


def collect(mode: str, model: object) -> tuple[str, BaseException | None]:
    """The text that arrived, and what it ended with."""
    seen: list[str] = []

    async def run() -> None:
        async for chunk in model.astream("Hi"):
            seen.append(text_of(chunk))

    try:
        if mode == "astream":
            asyncio.run(run())
        else:
            for chunk in model.stream("Hi"):
                seen.append(text_of(chunk))
    except Exception as failure:
        return "".join(seen), failure
    return "".join(seen), None


@pytest.mark.parametrize("end", [(), (Cut(),), (Reset(),)], ids=["clean", "cut", "reset"])
def test_a_stream_without_an_end_is_an_error(
    fake_server: FakeServer, kind: str, end: tuple[object, ...], stream_mode: str
) -> None:
    model = broken(fake_server, kind, *end)
    text, failure = collect(stream_mode, model)
    assert text == "Hello world"
    assert isinstance(failure, errors.ConnectionError)
    if end != (Reset(),):
        assert isinstance(failure, errors.IncompleteStreamError)
    assert isinstance(failure, builtins.ConnectionError)
    assert isinstance(failure, core.ModelConnectionError)
    assert failure.partial == "Hello world"
    assert len(fake_server.received(BROKEN[kind][2])) == 1  # chunks were handed over: no retry
    assert pickle.loads(pickle.dumps(failure)).partial == "Hello world"


def test_invoke_of_a_broken_answer_is_no_answer(fake_server: FakeServer, kind: str) -> None:
    cls, _, _, _ = BROKEN[kind]
    model = broken(fake_server, kind, Cut())
    for mode in ("invoke", "ainvoke"):
        with pytest.raises(errors.EasyLLMError):
            answer(mode, cls(base_url=model.base_url, streaming=True))


def test_a_done_alone_is_no_end(fake_server: FakeServer, stream_mode: str) -> None:
    """llama-cpp-python writes [DONE] also where it breaks an answer off."""
    boom = b'data: {"error": {"message": "boom"}}\n\n'
    model = broken(fake_server, "chat", boom, b"data: [DONE]\n\n")
    text, failure = collect(stream_mode, model)
    assert text == "Hello world"
    assert isinstance(failure, errors.EasyLLMError)
    assert "boom" in str(failure)
    assert failure.partial == "Hello world"


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"error": "Request failed during generation", "error_type": "generation"}\n\n',
        b'event: error\ndata: {"error": "Request failed during generation"}\n\n',
        b"event: error\ndata: Request failed during generation\n\n",
    ],
    ids=["data", "event", "text"],
)
def test_an_error_inside_a_200_is_raised(
    fake_server: FakeServer, kind: str, event: bytes, stream_mode: str
) -> None:
    text, failure = collect(stream_mode, broken(fake_server, kind, event))
    assert text == "Hello world"
    assert isinstance(failure, errors.GenerationError)
    assert isinstance(failure, core.ModelAPIError)
    assert "Request failed during generation" in str(failure)
    assert failure.partial == "Hello world"


def test_an_overload_inside_a_200_is_named(fake_server: FakeServer, stream_mode: str) -> None:
    event = b'data: {"error": "Model is overloaded", "error_type": "overloaded"}\n\n'
    _, failure = collect(stream_mode, broken(fake_server, "generate", event))
    assert isinstance(failure, errors.ModelOverloadedError)


def test_an_error_in_a_whole_200_is_raised(fake_server: FakeServer, whole_mode: str) -> None:
    serve(fake_server, "vllm")
    said = Reply({"error": {"message": "boom", "type": "server_error"}})
    fake_server.on("POST", "/v1/chat/completions", said)
    with pytest.raises(errors.EasyLLMError, match="boom"):
        answer(whole_mode, EasyLLMChat(base_url=fake_server.url, max_retries=0))


@pytest.mark.parametrize("body", [b"", b"<html>hi</html>", b"[]", b'{"choices": []}', b"null"])
def test_nonsense_is_a_protocol_error(fake_server: FakeServer, body: bytes, mode: str) -> None:
    serve(fake_server, "vllm")
    kind = {"content-type": "application/json"}
    fake_server.on("POST", "/v1/chat/completions", Reply(body, headers=kind))
    with pytest.raises(errors.EasyLLMError) as caught:
        answer(mode, EasyLLMChat(base_url=fake_server.url, max_retries=0))
    assert isinstance(caught.value, errors.ProtocolError | errors.IncompleteStreamError)


@pytest.mark.parametrize(
    "event",
    [
        b"data: {not json}\n\n",
        b"data: []\n\n",
        b'data: {"choices": [null]}\n\n',
        b'data: {"choices": [{"delta": "text"}]}\n\n',
        b'data: {"choices": {"0": 1}}\n\n',
        b'data: {"choices": [{"delta": {"content": null}, "logprobs": {"content": 3}}]}\n\n',
    ],
)
def test_a_broken_event_is_a_protocol_error(
    fake_server: FakeServer, event: bytes, stream_mode: str
) -> None:
    text, failure = collect(stream_mode, broken(fake_server, "chat", event))
    assert text == "Hello world"
    assert isinstance(failure, errors.ProtocolError | errors.IncompleteStreamError)
    assert failure.partial == "Hello world"


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [None]},
        {"choices": [{"message": "text"}]},
        {"choices": "text"},
        {
            "choices": [{"message": {"content": "a", "tool_calls": [1]}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": None},
        },
    ],
)
def test_a_broken_whole_answer_is_never_a_python_error(
    fake_server: FakeServer, body: object
) -> None:
    serve(fake_server, "vllm")
    fake_server.on("POST", "/v1/chat/completions", Reply(body))
    model = EasyLLMChat(base_url=fake_server.url, max_retries=0)
    try:
        message = model.invoke("Hi")
    except errors.ProtocolError:
        return
    assert message.text == "a"


@pytest.mark.parametrize("body", [{"generated_text": 5}, [{"generated_text": None}], []])
def test_a_broken_generate_answer_is_never_a_python_error(
    fake_server: FakeServer, body: object
) -> None:
    serve(fake_server, "tgi")
    fake_server.on("POST", "/generate", Reply(body))
    model = EasyLLM(base_url=fake_server.url, max_retries=0)
    with suppress(errors.ProtocolError):
        assert isinstance(model.invoke("Hi"), str)


@pytest.mark.parametrize("failure", [Cut(), Reset()], ids=["cut", "reset"])
def test_a_failure_before_the_first_chunk_is_tried_again(
    fake_server: FakeServer, failure: Chunk, stream_mode: str
) -> None:
    serve(fake_server, "vllm")
    good = sse(*chat_events(["Hello"], "vllm"))
    bad, busy = Reply(before=[failure]), error("tgi-overloaded", retry_after="0")
    fake_server.on("POST", "/v1/chat/completions", bad, busy, good)
    assert answer(stream_mode, EasyLLMChat(base_url=fake_server.url, max_retries=2)).text == "Hello"


ROLE = chat_events(["Hello"], "vllm")[0]
BUSY = error("tgi-overloaded", retry_after="0")
# What may go wrong with a stream that is asked for again, and before anything of it was shown.
FAILURES = {
    "cut": Reply(before=[Cut()]),
    "reset": Reply(before=[Reset()]),
    "empty": sse(done=False),
    "no end": sse(ROLE, done=False),
    "cut later": sse(ROLE, Cut(), done=False),
    "busy": BUSY,
}


def posts(server: FakeServer) -> list[str]:
    return [request.path for request in server.requests if request.method == "POST"]


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_stream_is_asked_for_as_often_as_is_allowed(
    fake_server: FakeServer, failure: str, retries: int, stream_mode: str
) -> None:
    serve(fake_server, "vllm")
    fake_server.on("POST", "/v1/chat/completions", FAILURES[failure])
    with pytest.raises(errors.EasyLLMError):
        answer(stream_mode, EasyLLMChat(base_url=fake_server.url, max_retries=retries))
    assert len(posts(fake_server)) == retries + 1


@pytest.mark.parametrize(
    "order",
    [
        ("busy", "empty", "busy"),
        ("cut", "no end", "reset"),
        ("reset", "busy", "cut later"),
        ("empty", "cut", "busy"),
    ],
    ids="-".join,
)
def test_failures_of_all_kinds_are_counted_together(
    fake_server: FakeServer, order: tuple[str, ...], stream_mode: str
) -> None:
    serve(fake_server, "vllm")
    good = sse(*chat_events(["Hello"], "vllm"))
    fake_server.on("POST", "/v1/chat/completions", *map(FAILURES.__getitem__, order), good)
    with pytest.raises(errors.EasyLLMError):
        answer(stream_mode, EasyLLMChat(base_url=fake_server.url, max_retries=2))
    assert len(posts(fake_server)) == 3
    fake_server.on("POST", "/v1/chat/completions", *map(FAILURES.__getitem__, order), good)
    model = EasyLLMChat(base_url=fake_server.url, max_retries=3)
    assert answer(stream_mode, model).text == "Hello"


@pytest.mark.parametrize("then", ["busy", "empty"])
def test_another_route_counts_too(fake_server: FakeServer, then: str, mode: str) -> None:
    serve(fake_server, "tgi")
    for path in ("/generate", "/generate_stream"):
        fake_server.on("POST", path, error("fastapi-not-found"))
    fake_server.on("POST", "/", FAILURES[then])
    with pytest.raises(errors.EasyLLMError):
        answer(mode, EasyLLM(base_url=fake_server.url, max_retries=2))
    # A whole answer that is empty is no failure that may pass.
    whole = then == "empty" and "stream" not in mode
    assert len(posts(fake_server)) == (2 if whole else 3)


def test_another_protocol_counts_too(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "tgi")
    for path in ("/generate", "/generate_stream", "/"):
        fake_server.on("POST", path, error("router-task"))
    fake_server.on("POST", "/v1/chat/completions", BUSY)
    with pytest.raises(errors.ModelOverloadedError):
        answer(mode, EasyLLM(base_url=fake_server.url, max_retries=2))
    assert len(posts(fake_server)) == 3


def test_another_route_is_found_without_any_retry(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "tgi")
    for path in ("/generate", "/generate_stream"):
        fake_server.on("POST", path, error("fastapi-not-found"))
    assert answer(mode, EasyLLM(base_url=fake_server.url, max_retries=0)) == "Hello world"


def test_a_whole_answer_that_is_streamed_counts_alike(
    fake_server: FakeServer, whole_mode: str
) -> None:
    """More stop sequences than the server takes: the answer is read until one comes."""
    serve(fake_server, "tgi")
    fake_server.on("POST", "/generate_stream", FAILURES["empty"])
    with pytest.raises(errors.EasyLLMError):
        answer(whole_mode, EasyLLM(base_url=fake_server.url, max_retries=2), stop=list("12345678"))
    assert posts(fake_server) == ["/generate_stream"] * 3


@ON_THE_CLOCK
def test_a_stream_that_breaks_does_not_outlast_its_time(
    fake_server: FakeServer, stream_mode: str
) -> None:
    serve(fake_server, "vllm")
    broken, silent = sse(ROLE, Pause(0.5), Cut(), done=False), sse(Stall())
    fake_server.on("POST", "/v1/chat/completions", broken, silent)
    started = time.monotonic()
    with pytest.raises(errors.EasyLLMError):
        answer(stream_mode, EasyLLMChat(base_url=fake_server.url, timeout=1, max_retries=9))
    assert time.monotonic() - started < 1.4


@ON_THE_CLOCK
def test_two_routes_have_the_time_of_one_call(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "tgi")
    missing = Reply({"detail": "Not Found"}, status=404, before=[Pause(0.7)])
    for path in ("/generate", "/generate_stream"):
        fake_server.on("POST", path, missing)
    fake_server.on("POST", "/", Reply(before=[Stall()]))
    started = time.monotonic()
    with pytest.raises(errors.TimeoutError):
        answer(mode, EasyLLM(base_url=fake_server.url, timeout=1, max_retries=9))
    assert time.monotonic() - started < 1.5


@ON_THE_CLOCK
def test_a_stream_has_its_time_from_when_it_is_read(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    stream = EasyLLMChat(base_url=fake_server.url, timeout=0.5, max_retries=0).stream("Hi")
    time.sleep(0.6)
    assert "".join(map(text_of, stream)) == "Hello world"


@pytest.mark.parametrize(
    "first", [(), (b'data: {"error": "overloaded"}\n\n',)], ids=["none", "error"]
)
def test_nothing_but_a_failure_is_a_failure(
    fake_server: FakeServer, first: tuple[bytes, ...], stream_mode: str
) -> None:
    serve(fake_server, "vllm")
    fake_server.on("POST", "/v1/chat/completions", sse(*first, done=False))
    with pytest.raises(errors.EasyLLMError):
        answer(stream_mode, EasyLLMChat(base_url=fake_server.url, max_retries=0))


@pytest.mark.parametrize("chunks", [0, 2])
def test_a_stalled_stream_times_out(
    fake_server: FakeServer, kind: str, chunks: int, stream_mode: str
) -> None:
    cls, server_name, path, events = BROKEN[kind]
    serve(fake_server, server_name)
    fake_server.on("POST", path, sse(*events[:chunks], Stall(), done=False))
    started = time.monotonic()
    text, failure = collect(stream_mode, cls(base_url=fake_server.url, timeout=0.4, max_retries=0))
    assert time.monotonic() - started < 5
    assert isinstance(failure, errors.TimeoutError)
    assert isinstance(failure, builtins.TimeoutError)
    assert isinstance(failure, core.ModelTimeoutError)
    assert (failure.partial or "") == text
    fake_server.wait_until(lambda: fake_server.disconnects == 1)


@ON_THE_CLOCK
def test_the_timeout_bounds_each_chunk_and_not_the_stream(
    fake_server: FakeServer, stream_mode: str
) -> None:
    serve(fake_server, "vllm")
    slow = sse(*chat_events(list("abcdef"), "vllm"), pause=0.15)
    fake_server.on("POST", "/v1/chat/completions", slow)
    model = EasyLLMChat(base_url=fake_server.url, timeout=0.8, max_retries=0)
    assert answer(stream_mode, model).text == "abcdef"


def test_a_stalled_answer_times_out(fake_server: FakeServer, whole_mode: str) -> None:
    serve(fake_server, "vllm")
    fake_server.on("POST", "/v1/chat/completions", Reply(before=[Stall()]))
    started = time.monotonic()
    with pytest.raises(errors.TimeoutError):
        answer(whole_mode, EasyLLMChat(base_url=fake_server.url), timeout=0.3, max_retries=0)
    assert time.monotonic() - started < 5


def test_a_server_that_is_not_there_is_a_connection_error(mode: str) -> None:
    for cls in (EasyLLMChat, EasyLLM):
        with pytest.raises(errors.ConnectionError):
            answer(mode, cls(base_url="http://127.0.0.1:9", max_retries=0))


@pytest.mark.parametrize("cls", [EasyLLMChat, EasyLLM])
def test_closing_the_iterator_closes_the_connection(fake_server: FakeServer, cls: type) -> None:
    kind = "chat" if cls is EasyLLMChat else "generate"
    stream = broken(fake_server, kind, Stall()).stream("Hi")
    assert text_of(next(stream)) in ("", "Hello")
    stream.close()
    fake_server.wait_until(lambda: fake_server.disconnects == 1)


@pytest.mark.parametrize("kind", ["chat", "generate"])
async def test_closing_an_async_iterator_closes_the_connection(
    fake_server: FakeServer, kind: str
) -> None:
    stream = broken(fake_server, kind, Stall()).astream("Hi")
    await anext(stream)
    await stream.aclose()
    await asyncio.to_thread(fake_server.wait_until, lambda: fake_server.disconnects == 1)


@pytest.mark.parametrize("kind", ["chat", "generate"])
async def test_leaving_an_async_loop_closes_the_connection(
    fake_server: FakeServer, kind: str
) -> None:
    async def leave() -> None:
        async for _ in broken(fake_server, kind, Stall()).astream("Hi"):
            break

    await leave()
    await asyncio.to_thread(fake_server.wait_until, lambda: fake_server.disconnects == 1)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("kind", ["chat", "generate"])
async def test_cancelling_a_task_closes_the_connection(
    fake_server: FakeServer, kind: str, streaming: bool
) -> None:
    model = broken(fake_server, kind, Stall())
    for path in ("/v1/chat/completions", "/generate"):
        if not streaming:
            fake_server.on("POST", path, Reply(before=[Stall()]))
    seen = asyncio.Event()

    async def run() -> None:
        async for _ in model.astream("Hi"):
            seen.set()

    task = asyncio.create_task(run() if streaming else model.ainvoke("Hi"))
    if streaming:
        await seen.wait()
    else:
        await asyncio.to_thread(
            fake_server.wait_until, lambda: any(r.method == "POST" for r in fake_server.requests)
        )
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(fake_server.wait_until, lambda: fake_server.disconnects == 1)


async def test_a_cancelled_call_spoils_nothing_for_the_next(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    slow = Reply(before=[Pause(0.3)])
    fake_server.on("POST", "/v1/chat/completions", slow, chat("fine", server_name="vllm"))
    model = EasyLLMChat(base_url=fake_server.url)
    task = asyncio.create_task(model.ainvoke("Hi"))
    await asyncio.to_thread(
        fake_server.wait_until, lambda: any(r.method == "POST" for r in fake_server.requests)
    )
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await model.ainvoke("Hi")).text == "fine"


async def test_cancelling_during_detection_spoils_nothing(
    fake_server: FakeServer,
) -> None:
    serve(fake_server, "vllm")
    fake_server.on("GET", "/info", Reply(before=[Pause(0.3)]), error("fastapi-not-found"))
    model = EasyLLMChat(base_url=fake_server.url)
    task = asyncio.create_task(model.ainvoke("Hi"))
    await asyncio.to_thread(fake_server.wait_until, lambda: fake_server.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await model.ainvoke("Hi")).text == "Hello world"
    assert model.invoke("Hi").text == "Hello world"


def test_a_connection_lost_after_the_end_is_no_error(
    fake_server: FakeServer, stream_mode: str
) -> None:
    for end in (Cut(), Reset()):
        serve(fake_server, "vllm")
        events = chat_events(["Hello"], "vllm", usage=False)
        fake_server.on("POST", "/v1/chat/completions", sse(*events, end, done=False))
        assert answer(stream_mode, EasyLLMChat(base_url=fake_server.url)).text == "Hello"
