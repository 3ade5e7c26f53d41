"""The loop behind callers that block: what it gives back, and how waiting for it ends."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest

from langchain_easyllm._http.background_loop import background
from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.models import RetryPolicy
from langchain_easyllm.errors import ServerError

from ...support.fake_server import FakeServer, Reply, Stall
from ...support.http_clients import post

colour: ContextVar[str] = ContextVar("colour")


async def seen() -> tuple[str, int, asyncio.AbstractEventLoop]:
    await asyncio.sleep(0)
    return colour.get(), threading.get_ident(), asyncio.get_running_loop()


def test_all_threads_share_one_loop_with_the_context_of_each() -> None:
    def ask(name: str) -> tuple[str, int, asyncio.AbstractEventLoop]:
        colour.set(name)
        return background().run(seen())

    names = [str(number) for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, names))
    assert [name for name, _, _ in found] == names
    assert len({loop for _, _, loop in found}) == 1
    assert {thread for _, thread, _ in found}.isdisjoint({threading.get_ident()})


async def test_a_caller_may_have_a_running_loop_of_its_own() -> None:
    colour.set("red")
    assert background().run(seen())[2] is not asyncio.get_running_loop()


def test_an_error_comes_to_the_caller(fake_server: FakeServer) -> None:
    fake_server.on("POST", "/a", Reply({"error": "broken"}, status=500))
    with pytest.raises(ServerError, match="broken"):
        background().run(
            HTTPTransport().asend(post(fake_server.url + "/a"), RetryPolicy(max_retries=0))
        )


@pytest.mark.parametrize("started", [True, False], ids=["sent", "not yet begun"])
def test_a_caller_that_is_interrupted_before_it_waits_leaves_nothing_behind(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch, started: bool
) -> None:
    fake_server.on("POST", "/a", Reply(chunks=[Stall()]))
    loop = background()
    start = loop.start

    def interrupted(*args: Any) -> None:
        if started:
            start(*args)
            fake_server.wait_until(lambda: fake_server.requests)
        else:
            loop._loop.call_soon_threadsafe(time.sleep, 0.05)
            start(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        loop.run(HTTPTransport().asend(post(fake_server.url + "/a")))
    if started:
        fake_server.wait_until(lambda: fake_server.disconnects == 1)
    monkeypatch.undo()
    loop.run(asyncio.sleep(0.1))
    assert len(fake_server.requests) == started


def test_an_interrupted_caller_leaves_no_request_behind(fake_server: FakeServer) -> None:
    fake_server.on("POST", "/a", Reply(chunks=[Stall()]))

    def interrupt() -> None:
        fake_server.wait_until(lambda: fake_server.requests)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        background().run(HTTPTransport().asend(post(fake_server.url + "/a")))
    thread.join()
    fake_server.wait_until(lambda: fake_server.disconnects == 1)
