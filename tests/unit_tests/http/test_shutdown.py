"""What stays open, and what is printed, when objects, loops, threads and processes end."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from langchain_easyllm._http.client import HTTPTransport
from langchain_easyllm._http.models import RetryPolicy

from ...support.fake_server import Barrier, FakeServer, Pause, Reply, Stall, sse
from ...support.http_clients import post
from ...support.subprocess_scripts import MAY_FORK, ROOT, assert_silent

SETUP = """
    import asyncio, gc, logging, os, sys, threading
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # not that a step took 0.1 s in dev mode
    from langchain_easyllm._http.models import Request, RetryPolicy
    from langchain_easyllm._http.client import HTTPTransport
    from langchain_easyllm._http.background_loop import background
    url = sys.argv[1]
    plain, streamed = Request("POST", url + "/a", b"{}"), Request("POST", url + "/s", b"{}")
    transport = HTTPTransport()
"""

ENDINGS = {
    "many loops": """
        for _ in range(5):
            asyncio.run(transport.asend(plain))
    """,
    "sync left open": """
        transport.send(plain)
        stream = transport.open(streamed)
        next(stream)
    """,
    "async left open": """
        async def main():
            global stream
            stream = await transport.aopen(streamed)
            await anext(stream)
        asyncio.run(main())
    """,
    "dropped in the loop's last step": """
        async def main():
            own = HTTPTransport()
            await own.asend(plain)
            stream = await own.aopen(streamed)
            await anext(stream)
        asyncio.run(main())
        gc.collect()
    """,
    "dropped while the loop runs": """
        async def main():
            for _ in range(5):
                own = HTTPTransport()
                await own.asend(plain)
                stream = await own.aopen(streamed)
                await anext(stream)
                del own, stream
                gc.collect()
            await asyncio.sleep(0.05)
        asyncio.run(main())
    """,
    "dropped by another thread": """
        async def main():
            own = [HTTPTransport()]
            await own[0].asend(plain)
            streams = [await own[0].aopen(streamed)]
            await anext(streams[0])
            def drop():
                own.clear(), streams.clear(), gc.collect()
            await asyncio.to_thread(drop)
        asyncio.run(main())
    """,
    "an exception": """
        async def main():
            async with await transport.aopen(streamed) as stream:
                async for events in stream:
                    raise LookupError
        try:
            asyncio.run(main())
        except LookupError:
            pass
    """,
    "closed from outside the loop": """
        asyncio.run(transport.asend(plain))
        transport.send(plain)
        transport.close()
        transport.send(plain)
        asyncio.run(transport.asend(plain))
    """,
    "closed within the loop without waiting": """
        async def main():
            await transport.asend(plain)
            transport.close()
            await transport.asend(plain)
            transport.close()
        asyncio.run(main())
    """,
    "a loop that is closed by hand": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(transport.asend(plain))
        stream = loop.run_until_complete(transport.aopen(streamed))
        loop.run_until_complete(anext(stream))
        loop.close()
    """,
    "a loop closed by hand, then another": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(transport.asend(plain))
        loop.close()
        asyncio.run(transport.asend(plain))
        transport.close()
        del loop, transport
        gc.collect()
    """,
    "a loop that only stops": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(transport.asend(plain))
        loop.run_until_complete(transport.asend(plain))
        transport.close()
        import atexit
        atexit.register(loop.close)
        HTTPTransport().send(plain)
        loop.run_until_complete(HTTPTransport().asend(plain))
    """,
    "threads with loops of their own": """
        def work():
            asyncio.run(transport.asend(plain))
            transport.send(plain)
        threads = [threading.Thread(target=work) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    """,
    "a loop running in a daemon thread": """
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(transport.asend(plain), loop).result(5)
        import atexit
        def end():
            loop.call_soon_threadsafe(loop.stop)
            while loop.is_running():
                pass
            loop.close()
        atexit.register(end)
    """,
    "cancelled tasks": """
        async def main():
            tasks = [asyncio.create_task(transport.asend(plain)) for _ in range(20)]
            await asyncio.sleep(0)
            tasks[3].cancel()
            await asyncio.sleep(0.002)
            for task in tasks:
                task.cancel()
        asyncio.run(main())
    """,
    "a background loop": """
        background().run(transport.asend(plain))
    """,
    "a request left on the background loop": """
        async def start():
            stream = await transport.aopen(streamed)
            await anext(stream)
            left.set()
            await anext(stream)
        left = threading.Event()
        background().start(start())
        left.wait()
    """,
    "a thread that waits for the background loop": """
        async def start():
            left.set()
            await asyncio.sleep(60)
        left = threading.Event()
        threading.Thread(target=lambda: background().run(start()), daemon=True).start()
        left.wait()
    """,
    "a thread that outlives the main one": """
        plain = Request("POST", url.replace("127.0.0.1", "localhost") + "/a", b"{}")
        def work():
            threading.main_thread().join()
            asyncio.run(transport.asend(plain))
        threading.Thread(target=work).start()
    """,
    "a fork beside a background loop": """
        for _ in range(2):
            background().run(transport.asend(plain))
        pid = os.fork()
        for _ in range(2):
            background().run(transport.asend(plain))
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
    """,
    "a fork": """
        transport.send(plain)
        asyncio.run(transport.asend(plain))
        pid = os.fork()
        transport.send(plain)
        asyncio.run(transport.asend(plain))
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
    """,
    "a fork inside a loop": """
        async def main():
            await transport.asend(plain)
            pid = os.fork()
            if pid == 0:
                def work():
                    transport.send(plain)
                    asyncio.run(transport.asend(plain))
                    transport.close()
                    sys.stderr.flush()
                    os._exit(0)
                threading.Thread(target=work).start()
                threading.Event().wait()
            status = await asyncio.to_thread(os.waitpid, pid, 0)
            assert status[1] == 0
            await transport.asend(plain)
        asyncio.run(main())
    """,
}


@pytest.fixture
def server() -> object:
    with FakeServer() as server:
        server.on("POST", "/a", Reply({"ok": 1}))
        server.on("POST", "/s", sse("a", Stall()))
        yield server


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_nothing_is_printed_at_the_end(server: FakeServer, ending: str) -> None:
    assert_silent(SETUP, ending, options=MAY_FORK, arguments=(server.url,))
    server.wait_until(lambda: server.open_connections == 0)


def test_importing_loads_nothing_heavy() -> None:
    script = (
        "import sys, langchain_easyllm._http.client as t; t.HTTPTransport(); "
        "heavy = {'aiohttp', 'huggingface_hub', 'numpy', 'ssl', 'asyncio'}; "
        "before = set(sys.argv[1:]); print(sorted(heavy & set(sys.modules) - before))"
    )
    core = "import sys, langchain_core.exceptions; print(' '.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", core], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    done = subprocess.run(
        [sys.executable, "-c", script, *loaded],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def open_files() -> int:
    gc.collect()
    return len(list(Path("/dev/fd").iterdir()))


def test_handles_do_not_grow_with_calls(server: FakeServer) -> None:
    transport = HTTPTransport()
    request, stream_request = post(server.url + "/a"), post(server.url + "/s")

    async def several() -> None:
        await asyncio.gather(*(transport.asend(request) for _ in range(10)))
        async with await transport.aopen(stream_request) as stream:
            await anext(stream)
        dropped = await transport.aopen(stream_request)
        await anext(dropped)

    def round_of_calls() -> None:
        asyncio.run(several())
        transport.send(request)
        with transport.open(stream_request) as stream:
            next(stream)
        next(transport.open(stream_request))
        HTTPTransport().send(request)
        server.wait_until(lambda: server.open_connections <= 1)

    round_of_calls()
    before = open_files()
    for _ in range(10):
        round_of_calls()
    assert open_files() <= before + 1
    transport.close()
    server.wait_until(lambda: server.open_connections == 0)


async def test_handles_of_dropped_transports_are_closed_while_the_loop_runs(
    server: FakeServer,
) -> None:
    for _ in range(20):
        await HTTPTransport().asend(post(server.url + "/a"))
    gc.collect()
    await asyncio.to_thread(server.wait_until, lambda: server.open_connections == 0)


def test_an_idle_burst_does_not_stay_open(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langchain_easyllm._http.connect.IDLE_SECONDS", 0.2)
    server.on("POST", "/a", Reply({}, before=[Barrier(10, 5), Pause(0.1)]))
    with HTTPTransport() as transport, ThreadPoolExecutor(10) as threads:
        list(threads.map(lambda _: transport.send(post(server.url + "/a")), range(10)))
        assert server.open_connections == 10
        for _ in range(4):
            transport.send(post(server.url + "/a"))
        server.wait_until(lambda: server.open_connections <= 2)


def test_threads_share_connections(server: FakeServer) -> None:
    request = post(server.url + "/a")
    with HTTPTransport() as transport, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: transport.send(request).body, range(200)))
        assert answers == [b'{"ok":1}'] * 200
        assert server.connections <= 8


@pytest.mark.parametrize("closer", ["thread", "own"])
def test_close_while_others_call(server: FakeServer, closer: str) -> None:
    transport = HTTPTransport()
    failures: list[BaseException] = []
    stop = threading.Event()

    def attempt(call: Callable[[], object]) -> None:
        while not stop.is_set():
            try:
                call()
            except BaseException as error:
                failures.append(error)
                return

    request = post(server.url + "/a")
    policy = RetryPolicy(timeout=10, max_retries=5)

    def call() -> object:
        if closer == "own":
            return asyncio.run(transport.asend(request, policy))
        return transport.send(request, policy)

    threads = [threading.Thread(target=attempt, args=(call,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        transport.close()
        stop.wait(0.01)
    stop.set()
    for thread in threads:
        thread.join(20)
    transport.close()
    assert failures == []
    server.wait_until(lambda: server.open_connections == 0)


async def test_aclose_closes_and_the_object_can_be_used_again(server: FakeServer) -> None:
    transport = HTTPTransport()
    for _ in range(2):
        async with transport:
            await transport.asend(post(server.url + "/a"))
            assert server.open_connections == 1
        await asyncio.to_thread(server.wait_until, lambda: server.open_connections == 0)
    assert server.connections == 2
