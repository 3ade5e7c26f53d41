"""A stream that nobody keeps is kept nowhere."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_easyllm import EasyLLM, EasyLLMChat

from ...support.fake_server import FakeServer, Reply, sse
from ...support.fake_text_servers import chat_events, serve, tgi_generate_events
from ...support.invocation_modes import CLASSES

TOKENS = 20_000
WORD = " word"


@pytest.fixture
def long_stream(fake_server: FakeServer) -> FakeServer:
    """A server whose streams have 20,000 tokens, ready made."""
    serve(fake_server, "tgi")
    words = [WORD] * TOKENS
    chunks = {
        "/v1/chat/completions": sse(*chat_events(words, "tgi"), per_event=False),
        "/generate_stream": sse(*tgi_generate_events(words), done=False, per_event=False),
    }
    for path, reply in chunks.items():
        ready = b"".join(chunk for chunk in reply.chunks or () if isinstance(chunk, bytes))
        fake_server.on("POST", path, Reply(chunks=[ready], headers=reply.headers))
    return fake_server


def memory_growth(chunks: Iterator[Any]) -> tuple[int, int]:
    """How much memory a stream holds at the most beyond its start, and how many tokens came."""
    first = next(chunks)
    gc.collect()
    start = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    count = int(bool(first.text))
    for chunk in chunks:
        count += bool(chunk.text)
    return tracemalloc.get_traced_memory()[1] - start, count


@pytest.mark.parametrize("cls", CLASSES)
def test_a_long_stream_holds_little_more_than_its_text(
    long_stream: FakeServer, cls: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = cls(base_url=long_stream.url, stop=["never", "ever", "to", "come"])
    model.close()
    source: Any = [HumanMessage("Hi")] if cls is EasyLLMChat else "Hi"
    list(model._stream(source, stop=[WORD]))  # so that everything is loaded
    tracemalloc.start()
    try:
        used, count = memory_growth(model._stream(source))
    finally:
        tracemalloc.stop()
    assert count == TOKENS
    # The text so far, which an error would carry, and read buffers; chunks alone would be 40 MB.
    assert used < 6 * len(WORD) * TOKENS + 2_000_000


async def test_an_async_stream_does_too(long_stream: FakeServer) -> None:
    model = EasyLLM(base_url=long_stream.url)
    assert [c async for c in model._astream("Hi", stop=[WORD])]
    tracemalloc.start()
    try:
        peak = count = 0
        async for chunk in model._astream("Hi"):
            if not count:
                start = tracemalloc.get_traced_memory()[0]
                tracemalloc.reset_peak()
            count += bool(chunk.text)
        peak = tracemalloc.get_traced_memory()[1] - start
    finally:
        tracemalloc.stop()
    assert count == TOKENS
    assert peak < 6 * len(WORD) * TOKENS + 2_000_000
    await model.aclose()


async def test_handles_do_not_grow_with_calls(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url)

    async def ask(times: int) -> None:
        for _ in range(times):
            await model.ainvoke("Hi")
            await asyncio.to_thread(model.invoke, "Hi")

    await ask(20)
    gc.collect()
    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        await ask(100)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - start
    finally:
        tracemalloc.stop()
    # The test server keeps each request; the model keeps none.
    assert grown - 200 * 3_000 < 200_000
    await model.aclose()
