"""A model that is loading while a batch is sent: one of its calls polls the server."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from langchain_core.messages import BaseMessage

from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm._http import cold_starts
from langchain_easyllm._http.cold_starts import ColdStart, ColdStartPolls, cold_start
from langchain_easyllm._http.exchange import run_flow
from langchain_easyllm._http.models import parse_url
from langchain_easyllm.errors import ModelLoadingError, ServerError

from ...support.fake_embedding_servers import openai_route
from ...support.fake_server import Answer, FakeServer, Pause, Received, Reply
from .test_busy_batches import ANSWER, EVENTS, STREAMED, WAYS

CHAT = "/v1/chat/completions"
LOADING = Reply({"error": {"message": "Loading model", "code": 503}}, status=503)
ROWS = 40


class Starting:
    """A server whose model has loaded so many seconds after the first request."""

    def __init__(self, seconds: float, ready: Answer) -> None:
        self.asked = self.refused = 0
        self.seconds, self.ready = seconds, ready
        self.began = 0.0

    def __call__(self, request: Received) -> Reply:
        self.asked += 1
        self.began = self.began or time.monotonic()
        if time.monotonic() - self.began < self.seconds:
            self.refused += 1
            return LOADING
        return self.ready(request) if callable(self.ready) else self.ready


def chat(server: FakeServer, **fields: Any) -> EasyLLMChat:
    fields = {"max_retries": 0, "wait_for_model": 60, **fields}
    return EasyLLMChat(base_url=server.url, api="chat", model="m", **fields)


@pytest.fixture(autouse=True)
def _(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold_starts, "_starts", {})


@pytest.mark.parametrize("way", ["batch", "abatch", "agenerate"])
def test_one_row_polls_and_the_others_wait(fake_server: FakeServer, way: str) -> None:
    server = Starting(0.6, Reply(ANSWER))
    fake_server.on("POST", CHAT, server)
    answers = WAYS[way](chat(fake_server), [f"row {n}" for n in range(ROWS)])
    assert [one for one in answers if not isinstance(one, BaseMessage)] == []
    # Each row was refused once at most, but for the one that polls about every tenth of a second.
    assert server.refused <= ROWS + 6


def test_streamed_rows_llms_and_embeddings(fake_server: FakeServer) -> None:
    stream = Reply(chunks=EVENTS, headers=STREAMED)
    chats = Starting(0.3, stream)
    fake_server.on("POST", CHAT, chats)
    rows = [f"row {n}" for n in range(ROWS)]
    answers = asyncio.run(chat(fake_server, streaming=True).abatch(rows))
    assert {one.text for one in answers} == {"ok"}
    fake_server.on("POST", CHAT, again := Starting(0.3, Reply(ANSWER)))
    llm = EasyLLM(base_url=fake_server.url, api="chat", model="m", wait_for_model=60, max_retries=0)
    assert set(llm.batch(rows)) == {"ok"}
    fake_server.on("POST", "/v1/embeddings", vectors := Starting(0.3, openai_route()))
    fields: dict[str, Any] = {"api": "embeddings", "model": "m", "batch_size": 1, "max_retries": 0}
    model = EasyLLMEmbeddings(base_url=fake_server.url, wait_for_model=60, **fields)
    assert len(model.embed_documents(rows)) == ROWS
    for server in (chats, again, vectors):
        assert server.refused <= ROWS + 3


def test_rows_that_come_later_wait_as_well(fake_server: FakeServer) -> None:
    """A second batch, of another object, sends nothing while the first one's row polls."""
    server = Starting(60, Reply(ANSWER))
    fake_server.on("POST", CHAT, server)
    batches = [threading.Thread(target=lambda: chat(fake_server).batch(["row"] * 4))]
    batches[0].start()
    start = cold_start(parse_url(fake_server.url).origin)
    fake_server.wait_until(lambda: server.asked > 5 and start.is_under_way())
    batches.append(threading.Thread(target=lambda: chat(fake_server, timeout=30).batch(["x"] * 30)))
    batches[1].start()
    time.sleep(0.3)
    assert server.asked < 15
    server.seconds = 0
    for batch in batches:
        batch.join(20)
        assert not batch.is_alive()
    assert start.poll is None


def test_a_row_that_does_not_wait_is_refused_at_once(fake_server: FakeServer) -> None:
    start = cold_start(parse_url(fake_server.url).origin)
    ColdStartPolls(start)._join(30.0)
    fake_server.on("POST", CHAT, LOADING)
    answers = chat(fake_server, wait_for_model=0).batch(["row"] * 5, return_exceptions=True)
    assert {type(one) for one in answers} == {ModelLoadingError}
    with pytest.raises(ModelLoadingError):
        chat(fake_server, wait_for_model=0).invoke("Hi")


def test_a_call_by_itself_polls_for_itself(fake_server: FakeServer) -> None:
    start = cold_start(parse_url(fake_server.url).origin)
    ColdStartPolls(start)._join(30.0)
    fake_server.on("POST", CHAT, LOADING, LOADING, Reply(ANSWER))
    assert chat(fake_server).invoke("Hi").text == "ok"


def test_rows_fail_when_their_time_is_over(fake_server: FakeServer) -> None:
    fake_server.on("POST", CHAT, LOADING)
    rows = ["row"] * ROWS
    answers = chat(fake_server, wait_for_model=0.3).batch(rows, return_exceptions=True)
    assert {type(one) for one in answers} == {ModelLoadingError}
    assert cold_start(parse_url(fake_server.url).origin).poll is None


def test_a_row_that_is_answered_slowly_holds_up_no_other(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cold_starts, "SOON", 0.1)
    slow, quick = Reply(ANSWER, before=[Pause(0.8)]), Reply(ANSWER)
    server = Starting(0.2, Reply(ANSWER))
    server.ready = lambda _: slow if server.asked == server.refused + 1 else quick
    fake_server.on("POST", CHAT, server)
    ends: list[float] = []
    for _ in chat(fake_server).batch_as_completed(["row"] * ROWS):
        ends.append(time.monotonic())
    assert ends[-1] - ends[0] > 0.4  # the others were answered before the one that polled


def test_what_comes_after_the_start_is_each_rows_own(fake_server: FakeServer) -> None:
    broken = Reply({"error": "no"}, status=500)
    fake_server.on("POST", CHAT, Starting(0.2, broken))
    answers = chat(fake_server).batch(["row"] * ROWS, return_exceptions=True)
    assert {type(one) for one in answers} == {ServerError}


def test_a_cancelled_batch_leaves_its_poll_to_another(fake_server: FakeServer) -> None:
    server = Starting(60, Reply(ANSWER))
    fake_server.on("POST", CHAT, server)

    async def cancelled() -> list[BaseMessage]:
        polls = asyncio.create_task(chat(fake_server).abatch(["row"]))
        await asyncio.to_thread(fake_server.wait_until, lambda: server.asked > 2)
        waits = asyncio.create_task(chat(fake_server).abatch(["row"] * 9))
        await asyncio.sleep(0.05)
        polls.cancel()
        await asyncio.gather(polls, return_exceptions=True)
        asked = server.asked
        await asyncio.to_thread(fake_server.wait_until, lambda: server.asked > asked + 2)
        server.seconds = 0
        return await waits

    assert len(asyncio.run(cancelled())) == 9


def test_who_polls_no_more_is_followed_by_one() -> None:
    start = ColdStart()
    first, *others = [ColdStartPolls(start) for _ in range(5)]
    run_flow(first.pause(0.0, 60.0), lambda _: None)
    went: list[int] = []

    def wait(number: int) -> None:
        run_flow(others[number].pause(0.0, 60.0), lambda _: None)
        went.append(number)

    threads = [threading.Thread(target=wait, args=(n,), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    for count in range(1, 4):
        (first if count == 1 else others[went[-1]]).leave(answered=False)
        limit = time.monotonic() + 5
        while len(went) < count:
            assert time.monotonic() < limit
            time.sleep(0.001)
        assert len(went) == count
    others[went[-1]].leave(answered=True)
    for thread in threads:
        thread.join(5)
    assert sorted(went) == [0, 1, 2, 3]


def test_a_poll_that_stands_still_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of who polls may be the one that waits."""
    monkeypatch.setattr(cold_starts, "SOON", 0.02)
    start = ColdStart()
    stuck, other, third = (ColdStartPolls(start) for _ in range(3))
    run_flow(stuck.pause(0.0, 60.0), lambda _: None)
    run_flow(other.pause(0.0, 60.0), lambda _: None)  # it goes when that is overdue
    run_flow(other.pause(0.0, 60.0), lambda _: None)  # it was refused: now it polls
    assert start.poll is other._own
    stuck.leave(answered=True)
    assert start.poll is other._own
    third.leave(answered=False)
    other.leave(answered=True)
    assert start.poll is None
