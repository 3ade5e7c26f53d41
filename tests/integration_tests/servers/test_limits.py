"""What real servers do when something is too much, is broken off, or breaks."""

from __future__ import annotations

import asyncio
import time

import pytest

from langchain_easyllm.errors import (
    ConnectionError,
    ContextOverflowError,
    IncompleteStreamError,
)

LONG = "word " * 3000
STORY = "Write a very long story about a cat."
MODES = pytest.mark.parametrize("streamed", [False, True])


@MODES
@pytest.mark.parametrize("kind", ["chat", "llm"])
def test_a_prompt_beyond_the_context_is_an_error_of_its_own(server, kind, streamed):
    server.needs("overflow")
    model = getattr(server, kind)()
    with pytest.raises(ContextOverflowError) as caught:
        list(model.stream(LONG)) if streamed else model.invoke(LONG)
    assert caught.value.status_code == 400


@MODES
def test_an_answer_beyond_the_context_ends_or_is_an_error_of_its_own(server, streamed):
    if server.name != "vllm":
        pytest.skip("the others stop where the context ends")
    chat = server.chat(max_tokens=100_000)
    with pytest.raises(ContextOverflowError):
        list(chat.stream("Hi")) if streamed else chat.invoke("Hi")


@pytest.mark.parametrize("how", ["cancelled", "closed"])
def test_a_stream_that_is_given_up_frees_the_server(server, how):
    server.needs("busy")

    async def give_up():
        chat = server.chat(max_tokens=1500, stop=["<never>"])
        stream = chat.astream(STORY)
        async with asyncio.timeout(60):
            while not (await anext(stream)).text:
                pass
        assert await asyncio.to_thread(server.busy) == 1
        if how == "closed":
            await stream.aclose()
            return
        task = asyncio.ensure_future(rest(stream))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def rest(stream):
        async for _ in stream:
            pass

    asyncio.run(give_up())
    free_within(server, seconds=15)


def test_a_sync_stream_that_is_closed_frees_the_server(server):
    server.needs("busy")
    stream = server.chat(max_tokens=1500).stream(STORY)
    while not next(stream).text:
        pass
    assert server.busy() == 1
    stream.close()
    free_within(server, seconds=15)


def free_within(server, seconds):
    """Wait until the server works on nothing; 1,500 tokens would take it far longer."""
    limit = time.monotonic() + seconds
    while server.busy():
        assert time.monotonic() < limit, "it works on"
        time.sleep(0.1)


def test_two_hundred_at_once_get_their_own_answers(server, tokenizer):
    lengths = [number % 20 + 1 for number in range(200)]
    prompts = ["x" + " word" * length for length in lengths]
    counts = {p: len(tokenizer.encode(p, add_special_tokens=False)) for p in {*prompts}}
    llm = server.llm(max_tokens=1, timeout=600)
    found = asyncio.run(llm.agenerate(prompts)).generations
    charged = [one[0].generation_info["usage"]["input_tokens"] for one in found]
    assert charged == [counts[prompt] for prompt in prompts]
    assert all(one[0].generation_info["usage"]["output_tokens"] == 1 for one in found)


def test_a_server_that_dies_in_mid_stream_never_passes_for_a_short_answer(server):
    server.may_end = True
    stream = server.chat(max_tokens=400).stream(STORY)
    text = ""
    while not text:
        text = next(stream).text
    server.running.kill()
    rest = []
    with pytest.raises(IncompleteStreamError) as caught:
        rest.extend(chunk.text for chunk in stream)
    assert caught.value.partial.startswith(text + "".join(rest))
    with pytest.raises(ConnectionError):
        server.chat(max_retries=0).invoke("Hi")
