"""Batches on servers that take few requests at a time, and how many are sent a second."""

from __future__ import annotations

import asyncio
import gc
import pickle
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm._http import request_limit as request_limit_module
from langchain_easyllm._http import request_rate
from langchain_easyllm._http.exchange import arun_flow, run_flow
from langchain_easyllm._http.models import parse_url
from langchain_easyllm._http.request_limit import MOST_REFUSALS, RequestLimit, Turn, request_limit
from langchain_easyllm._http.request_rate import RequestRate
from langchain_easyllm._http.retries import CallBudget
from langchain_easyllm.errors import RateLimitError

from ...support.fake_embedding_servers import openai_route
from ...support.fake_server import FakeServer, Pause, Received, Reply, Stall
from ...support.on_the_clock import ON_THE_CLOCK

ANSWER = {
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
    ],
}
EVENTS = [
    b'data: {"choices":[{"index":0,"delta":{"content":"o"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"k"},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]
STREAMED = {"content-type": "text/event-stream"}


class Slots:
    """A server that works on so many requests at a time, and refuses what comes beyond."""

    def __init__(
        self, slots: int, seconds: float, retry_after: str | None = None, route: Any = None
    ) -> None:
        self.slots, self.seconds, self.route = slots, seconds, route
        self.headers = {} if retry_after is None else {"retry-after": retry_after}
        self.ends: list[float] = []
        self.refused = self.asked = 0

    def __call__(self, request: Received) -> Reply:
        now = time.monotonic()
        self.asked += 1
        self.ends = [end for end in self.ends if end > now]
        if len(self.ends) >= self.slots:
            self.refused += 1
            words = {"error": {"message": "Too many requests"}}
            return Reply(words, status=429, headers=self.headers)
        self.ends.append(now + self.seconds)
        body: Any = request.json
        if self.route is not None:
            return Reply(self.route(request).body, before=[Pause(self.seconds)])
        if body.get("stream"):
            return Reply(chunks=[Pause(self.seconds), *EVENTS], headers=STREAMED)
        return Reply(ANSWER, before=[Pause(self.seconds)])


def chat(server: FakeServer, **fields: Any) -> EasyLLMChat:
    return EasyLLMChat(base_url=server.url, api="chat", model="m", **fields)


def completed(model: Any, inputs: list[Any]) -> list[Any]:
    return [answer for _, answer in model.batch_as_completed(inputs, return_exceptions=True)]


async def acompleted(model: Any, inputs: list[Any]) -> list[Any]:
    answers = model.abatch_as_completed(inputs, return_exceptions=True)
    return [answer async for _, answer in answers]


def generations(result: Any) -> list[Any]:
    return [group[0].message for group in result.generations]


WAYS: dict[str, Callable[[Any, list[Any]], list[Any]]] = {
    "batch": lambda model, inputs: model.batch(inputs, return_exceptions=True),
    "abatch": lambda model, inputs: asyncio.run(model.abatch(inputs, return_exceptions=True)),
    "batch_as_completed": completed,
    "abatch_as_completed": lambda model, inputs: asyncio.run(acompleted(model, inputs)),
    "generate": lambda model, inputs: generations(
        model.generate([[HumanMessage(x)] for x in inputs])
    ),
    "agenerate": lambda model, inputs: generations(
        asyncio.run(model.agenerate([[HumanMessage(x)] for x in inputs]))
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_row_is_answered(fake_server: FakeServer, way: str) -> None:
    """128 are sent at once, and each would give up after its first refusal."""
    server = Slots(24, 0.01)
    fake_server.on("POST", "/v1/chat/completions", server)
    answers = WAYS[way](chat(fake_server, max_retries=0), [f"row {n}" for n in range(600)])
    assert [one for one in answers if not isinstance(one, BaseMessage)] == []
    assert len(answers) == 600
    assert server.refused < 0.2 * server.asked


@pytest.mark.parametrize("retry_after", ["0", "1"])
def test_every_row_is_answered_whenever_it_may_come_again(
    fake_server: FakeServer, retry_after: str
) -> None:
    server = Slots(40, 0.01, retry_after)
    fake_server.on("POST", "/v1/chat/completions", server)
    answers = asyncio.run(chat(fake_server).abatch(["row"] * 400, return_exceptions=True))
    assert [one for one in answers if isinstance(one, Exception)] == []
    assert server.refused < 0.2 * server.asked


def test_streamed_rows_keep_their_turns_until_they_end(fake_server: FakeServer) -> None:
    server = Slots(40, 0.02)
    fake_server.on("POST", "/v1/chat/completions", server)
    model = chat(fake_server, streaming=True, max_retries=0)
    answers = asyncio.run(model.abatch(["row"] * 400, return_exceptions=True))
    assert {getattr(one, "content", one) for one in answers} == {"ok"}
    assert server.refused < 0.3 * server.asked


def test_one_limit_for_all_objects_of_a_server(fake_server: FakeServer) -> None:
    """What a chat model has found out, an LLM and embeddings need not find out again."""
    serve = Slots(10, 0.02)
    fake_server.on("POST", "/v1/chat/completions", serve)
    chat(fake_server).batch(["row"] * 150)
    known = serve.refused
    assert known
    EasyLLM(base_url=fake_server.url, api="chat", model="m").batch(["row"] * 100)
    assert serve.refused - known < 15
    vectors = Slots(10, 0.02, route=openai_route())
    fake_server.on("POST", "/v1/embeddings", vectors)
    model = EasyLLMEmbeddings(base_url=fake_server.url, api="embeddings", model="m", batch_size=1)
    assert len(model.embed_documents([f"text {n}" for n in range(100)])) == 100
    assert vectors.refused < 15


def test_a_server_that_answers_nobody_is_given_up(fake_server: FakeServer) -> None:
    fake_server.on("POST", "/v1/chat/completions", Slots(0, 0))
    began = time.monotonic()
    model = chat(fake_server, max_retries=1)
    answers = asyncio.run(model.abatch(["row"] * 200, return_exceptions=True))
    assert {type(one) for one in answers} == {RateLimitError}
    assert time.monotonic() - began < 60


def test_a_row_that_is_always_refused_fails_by_itself(fake_server: FakeServer) -> None:
    """For what it asks (more tokens a minute than it may have, say), whoever else is answered."""
    plain = Slots(1000, 0.001)

    def route(request: Received) -> Reply:
        if b"much" in request.body:
            return Reply({"error": "too much"}, status=429, headers={"retry-after": "0"})
        return plain(request)

    fake_server.on("POST", "/v1/chat/completions", route)
    rows = ["row"] * 50 + ["much"] + ["row"] * 50
    answers = chat(fake_server).batch(rows, return_exceptions=True)
    failed = [at for at, one in enumerate(answers) if isinstance(one, Exception)]
    assert failed == [50]


def test_a_call_by_itself_does_not_wait_for_a_batch(fake_server: FakeServer) -> None:
    """It is sent at once, though hundreds of rows wait for their turns."""
    server = Slots(4, 0.05)
    fake_server.on("POST", "/v1/chat/completions", server)
    model = chat(fake_server)
    batch = threading.Thread(target=lambda: model.batch(["row"] * 150))
    batch.start()
    fake_server.wait_until(lambda: server.refused > 2)
    fake_server.on("POST", "/v1/completions", Reply({"choices": [{"text": "at once"}]}))
    single = EasyLLM(base_url=fake_server.url, api="completions", model="m")
    assert single.invoke("me") == "at once"
    assert batch.is_alive()
    batch.join()


def test_a_batch_that_is_cancelled_leaves_its_turns(fake_server: FakeServer) -> None:
    server = Slots(4, 0.05)
    fake_server.on("POST", "/v1/chat/completions", server)
    model = chat(fake_server)

    async def cancelled() -> None:
        task = asyncio.create_task(model.abatch(["row"] * 120))
        await asyncio.to_thread(fake_server.wait_until, lambda: server.asked > 125)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancelled())
    fake_server.wait_until(lambda: fake_server._in_flight == 0)
    server.slots = 100
    began = time.monotonic()
    assert len(model.batch(["row"] * 20)) == 20
    assert time.monotonic() - began < 20


def test_a_loop_that_ends_with_its_batches_leaves_their_turns(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Coroutines that nobody ends are closed by the garbage collector, in another context."""
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unraisable.append(args.exc_value))
    stalled = [Reply(ANSWER, before=[Stall()])] * 5
    fake_server.on("POST", "/v1/chat/completions", *stalled, Reply(ANSWER))
    rows: Coroutine[Any, Any, list[Any]] = chat(fake_server).abatch(["row"] * 5)
    loop = asyncio.new_event_loop()
    task = loop.create_task(rows)
    loop.run_until_complete(
        asyncio.to_thread(fake_server.wait_until, lambda: len(fake_server.requests) == 5)
    )
    limit = request_limit(parse_url(fake_server.url).origin)
    assert limit.in_flight == 5
    for each in asyncio.all_tasks(loop):
        each._log_destroy_pending = False  # type: ignore[attr-defined] # what asyncio says of them
    loop.close()
    del loop, task, rows, each
    asyncio.run(chat(fake_server).ainvoke("Hi"))  # another loop finds that it is closed
    gc.collect()
    assert (limit.in_flight, limit.turns, unraisable) == (0, 0, [])


def test_nobody_waits_for_a_closed_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limit_module, "_LOOK_AGAIN", 0.05)
    limit = RequestLimit()
    limit.limit = 1.0

    def take(turn: Turn) -> None:
        run_flow(turn.take(), lambda _: None)

    async def atake(turn: Turn) -> None:
        await arun_flow(turn.take(), lambda _: asyncio.sleep(0))

    async def leave_two() -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(atake(turn)) for turn in turns[:2]]
        await asyncio.sleep(0.01)
        return tasks

    turns = [Turn(limit, CallBudget(None, 2, 0.0), 2) for _ in range(3)]
    loop = asyncio.new_event_loop()
    tasks = loop.run_until_complete(leave_two())  # one has its turn, and one waits
    tasks[1]._log_destroy_pending = False  # type: ignore[attr-defined] # as above
    waiting = threading.Thread(target=take, args=(turns[2],), daemon=True)
    waiting.start()
    loop.close()
    waiting.join(10)
    assert not waiting.is_alive()
    assert (limit.turns, limit.loops) == (1, {})


@pytest.mark.parametrize("timeout", [1.0, None])
def test_the_pauses_of_a_refused_row_are_not_bound_by_its_timeout(timeout: float | None) -> None:
    limit = RequestLimit()
    turn = Turn(limit, CallBudget(timeout, 2, 0.0), 2)
    for _ in range(MOST_REFUSALS):
        turn.begin()
        limit.leave(sent=False, answered=True)  # another is answered meanwhile
        turn.pause_after(RateLimitError("busy", status_code=429), None)
    with pytest.raises(RateLimitError):
        turn.pause_after(RateLimitError("busy", status_code=429), None)


def test_a_refusal_never_raises_the_limit() -> None:
    limit = RequestLimit()
    for _ in range(9):
        limit.begin()
    limit.limit = 2.0
    limit.refuse(time.monotonic())
    assert limit.limit == 1.0


MODELS: dict[str, Callable[..., Any]] = {
    "chat": lambda url, **fields: EasyLLMChat(base_url=url, api="chat", model="m", **fields),
    "llm": lambda url, **fields: EasyLLM(base_url=url, api="chat", model="m", **fields),
    "embeddings": lambda url, **fields: EasyLLMEmbeddings(
        base_url=url, api="embeddings", model="m", batch_size=1, **fields
    ),
}


@ON_THE_CLOCK
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_so_many_requests_a_second(fake_server: FakeServer, kind: str, asynchronous: bool) -> None:
    """Two objects share the schedule of their server; a pickled one has it too."""
    times: list[float] = []

    def timed(reply: Any) -> Callable[[Received], Reply]:
        def answer(request: Received) -> Reply:
            times.append(time.monotonic())
            return reply(request) if callable(reply) else reply

        return answer

    fake_server.on("POST", "/v1/chat/completions", timed(Reply(ANSWER)))
    fake_server.on("POST", "/v1/embeddings", timed(openai_route()))
    first = MODELS[kind](fake_server.url, requests_per_second=100, timeout=0.2)
    second = pickle.loads(pickle.dumps(first))
    rows = [f"row {n}" for n in range(20)]
    for model in (first, second):
        if kind == "embeddings":
            call, acall = model.embed_documents, model.aembed_documents
        else:
            call, acall = model.batch, model.abatch
        assert len(asyncio.run(acall(rows)) if asynchronous else call(rows)) == 20
    assert len(times) == 40
    assert times[-1] - times[0] >= 30 / 100


def test_the_rate_holds_for_retries_and_streams(fake_server: FakeServer) -> None:
    broken = Reply({"error": "broken"}, status=503, headers={"retry-after": "0"})
    stream = Reply(chunks=EVENTS, headers=STREAMED)
    fake_server.on("POST", "/v1/chat/completions", broken, broken, stream)
    model = chat(fake_server, requests_per_second=20)
    began = time.monotonic()
    assert "".join(str(chunk.content) for chunk in model.stream("Hi")) == "ok"
    assert time.monotonic() - began >= 2 / 20


def test_processes_share_a_rate_in_equal_parts(fake_server: FakeServer, monkeypatch) -> None:
    monkeypatch.setattr(request_rate, "_processes", 1)  # and back, afterwards
    fake_server.on("POST", "/v1/chat/completions", Reply(ANSWER))
    model = chat(fake_server, requests_per_second=80)
    model.invoke("Hi")
    request_rate.divide_rates(4)
    began = time.monotonic()
    for _ in range(4):
        model.invoke("Hi")
    assert time.monotonic() - began >= 3 / 20


def test_a_cancelled_batch_gives_its_moments_back(fake_server: FakeServer) -> None:
    """A hundred rows that were to be sent within ten seconds; nobody waits for that any more."""
    fake_server.on("POST", "/v1/chat/completions", Reply(ANSWER))
    model = chat(fake_server, requests_per_second=10)

    async def cancelled() -> float:
        task = asyncio.create_task(model.abatch(["row"] * 100))
        await asyncio.to_thread(fake_server.wait_until, lambda: len(fake_server.requests) > 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        began = time.monotonic()
        await model.ainvoke("Hi")
        return time.monotonic() - began

    assert asyncio.run(cancelled()) < 5


def test_moments_that_were_given_back_are_taken_first() -> None:
    rate = RequestRate()
    moments = [rate.reserve(0.1) for _ in range(4)]
    rate.give_back(moments[2], 0.1)
    rate.give_back(moments[1], 0.1)
    assert rate.reserve(0.05) == moments[3] + 10  # none of them is long enough
    assert [rate.reserve(0.1) for _ in range(2)] == moments[1:3]
    assert rate.reserve(0.1) == moments[3] + 30


def test_a_rate_hides_no_slots(fake_server: FakeServer) -> None:
    """Rows that wait for their moments are not in flight: a refusal says nothing of them."""
    server = Slots(2, 0.2)
    fake_server.on("POST", "/v1/chat/completions", server)
    answers = chat(fake_server, requests_per_second=50).batch(["row"] * 30, return_exceptions=True)
    assert not [one for one in answers if isinstance(one, Exception)]
    assert server.refused < 12  # 40 if they counted


@pytest.mark.parametrize("value", [0, -1, "many", float("inf"), float("nan")])
def test_a_rate_that_makes_no_sense(value: Any) -> None:
    with pytest.raises(ValueError, match="requests_per_second"):
        EasyLLMChat(base_url="http://localhost:1", requests_per_second=value)
