"""Batches on servers that take few requests at a time, and how many are sent a second."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm.errors import RateLimitError

from ...support.fake_embedding_servers import openai_route
from ...support.fake_server import FakeServer, Pause, Received, Reply

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


MODELS: dict[str, Callable[..., Any]] = {
    "chat": lambda url, **fields: EasyLLMChat(base_url=url, api="chat", model="m", **fields),
    "llm": lambda url, **fields: EasyLLM(base_url=url, api="chat", model="m", **fields),
    "embeddings": lambda url, **fields: EasyLLMEmbeddings(
        base_url=url, api="embeddings", model="m", batch_size=1, **fields
    ),
}


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


@pytest.mark.parametrize("value", [0, -1, "many", float("inf"), float("nan")])
def test_a_rate_that_makes_no_sense(value: Any) -> None:
    with pytest.raises(ValueError, match="requests_per_second"):
        EasyLLMChat(base_url="http://localhost:1", requests_per_second=value)
