"""Both classes on a model in this process: what is between them and its tokens."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm._http.models import Request
from langchain_easyllm.errors import BadRequestError, GenerationError, TimeoutError

from ...support.invocation_modes import answer
from ...support.spelling_model import Pipeline, SpellingModel, client_of, paused

PROMPT = "Thought: none. Observation: all"


@pytest.fixture
def spelling() -> SpellingModel:
    return SpellingModel()


def local_model(cls: type, model: SpellingModel, size: int = 4, **fields: Any) -> Any:
    """An object of the class whose connection is to the model, in place of its pipeline."""
    asked = cls(pipeline=Pipeline(), model="spelling", **fields)
    asked._client, asked._client_key = client_of(model, size), ("local", "spelling")
    return asked


def until(true: Callable[[], bool]) -> None:
    """Wait for another thread, ten seconds at most."""
    limit = time.monotonic() + 10
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_an_answer_in_every_mode(spelling: SpellingModel, any_mode: str) -> None:
    assert answer(any_mode, local_model(EasyLLM, spelling), "Hello") == "Hello"
    chat = local_model(EasyLLMChat, spelling)
    assert answer(any_mode, chat, "Hello").text == "Hello"


def test_a_stop_ends_the_generation(spelling: SpellingModel, mode: str) -> None:
    llm = local_model(EasyLLM, spelling)
    assert answer(mode, llm, PROMPT, stop=["\nNever", "Obs"]) == "Thought: none. "
    assert spelling.written == PROMPT.index("Obs") + 3


def test_what_is_known_of_an_answer(spelling: SpellingModel, mode: str) -> None:
    said = answer(mode, local_model(EasyLLMChat, spelling), "Hello", max_tokens=3, logprobs=True)
    assert said.usage_metadata == {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
    assert said.response_metadata["finish_reason"] == "length"
    tokens = [token["token"] for token in said.response_metadata["logprobs"]["content"]]
    assert tokens == ["H", "e", "l"]


def test_several_answers_are_counted_together(spelling: SpellingModel) -> None:
    result = local_model(EasyLLM, spelling, n=3).generate(["Hello"])
    assert [one.text for one in result.generations[0]] == ["Hello"] * 3
    assert result.llm_output["token_usage"]["completion_tokens"] == 15
    assert spelling.batches == [["Hello"] * 3]


def test_a_stream_is_token_by_token(spelling: SpellingModel) -> None:
    assert [chunk for chunk in local_model(EasyLLM, spelling).stream("Hello") if chunk] == list(
        "Hello"
    )


def test_a_batch_goes_through_the_model_in_batches(spelling: SpellingModel) -> None:
    llm = local_model(EasyLLM, spelling)
    prompts = [f"Number {number}" for number in range(8)]
    with paused(spelling):
        first = threading.Thread(target=llm.invoke, args=["first"])
        first.start()
        until(lambda: bool(spelling.batches))
        answers: list[str] = []
        rest = threading.Thread(target=lambda: answers.extend(llm.batch(prompts)))
        rest.start()
        batcher = llm._client.session.transport._batcher
        until(lambda: len(batcher._waiting) == 8)
    first.join(10)
    rest.join(10)
    assert answers == prompts
    assert [len(batch) for batch in spelling.batches] == [1, 4, 4]
    assert len(spelling.threads) == 1


def test_only_what_goes_together_is_one_batch(spelling: SpellingModel) -> None:
    llm = local_model(EasyLLM, spelling, size=8)

    async def ask() -> list[str]:
        calls = [
            llm.ainvoke("aa", temperature=0),
            llm.ainvoke("bb", temperature=0, max_tokens=1),
            llm.ainvoke("cc", temperature=0.5),
            llm.ainvoke("dd", temperature=0.5, seed=1),
            llm.ainvoke("ee", temperature=0.5, seed=1),
            llm.ainvoke("ff", temperature=0, stop=["x"]),
        ]
        return await asyncio.gather(*calls)

    assert asyncio.run(ask()) == ["aa", "b", "cc", "dd", "ee", "ff"]
    assert sorted(spelling.batches) == [["aa", "bb"], ["cc"], ["dd"], ["ee"], ["ff"]]


def test_closing_a_stream_ends_the_generation(spelling: SpellingModel) -> None:
    stream = local_model(EasyLLM, spelling).stream("x" * 100_000)
    assert next(stream) == "x"
    stream.close()
    assert local_model(EasyLLM, spelling).invoke("Hi") == "Hi"
    assert spelling.written < 100_000


async def test_cancelling_a_task_ends_the_generation(spelling: SpellingModel) -> None:
    llm = local_model(EasyLLM, spelling)
    with paused(spelling):
        task = asyncio.ensure_future(llm.ainvoke("x" * 1000))
        await asyncio.to_thread(until, lambda: bool(spelling.batches))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await llm.ainvoke("Hi") == "Hi"
    assert spelling.written <= 3


async def test_the_loop_goes_on_while_the_model_works(spelling: SpellingModel) -> None:
    with paused(spelling):
        task = asyncio.ensure_future(local_model(EasyLLMChat, spelling).ainvoke("Hello"))
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not task.done()
    assert (await task).text == "Hello"


def test_a_stream_that_nobody_reads_is_ended(spelling: SpellingModel) -> None:
    with paused(spelling):
        transport = client_of(spelling).session.transport
        body = b'{"inputs": "' + b"x" * 1000 + b'", "parameters": {}}'
        opened = transport.open(Request("POST", "local:/generate_stream", body))
        until(lambda: bool(spelling.batches))
        del opened
        gc.collect()
    [thread] = spelling.threads
    thread.join(10)
    assert spelling.written <= 1


def test_a_model_that_takes_too_long(spelling: SpellingModel, mode: str) -> None:
    llm = local_model(EasyLLM, spelling, timeout=0.05)
    with paused(spelling), pytest.raises(TimeoutError, match=r"within 0\.05 seconds"):
        answer(mode, llm, "Hello")


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ValueError("no such option"), BadRequestError),
        (RuntimeError("out of memory"), GenerationError),
        (TimeoutError("late"), TimeoutError),
    ],
)
def test_a_model_that_fails(
    spelling: SpellingModel, mode: str, error: Exception, raised: type[Exception]
) -> None:
    spelling.error = error
    with pytest.raises(raised, match=str(error)) as caught:
        answer(mode, local_model(EasyLLM, spelling), "Hello")
    assert caught.value is not error
    spelling.error = None
    assert answer(mode, local_model(EasyLLM, spelling), "Hello") == "Hello"


def test_tokens_are_the_models_own(spelling: SpellingModel) -> None:
    assert local_model(EasyLLM, spelling).get_token_ids("Hi") == [ord("H"), ord("i")]


def test_the_prompt_is_rendered_by_the_models_own_template(spelling: SpellingModel) -> None:
    chat = local_model(EasyLLMChat, spelling)
    messages = [("system", "Be brief. "), ("human", "Hi")]
    assert chat.to_prompt(messages) == "Be brief. Hi" == chat.invoke(messages).text
    assert local_model(EasyLLMChat, spelling, prompt_builder="zephyr").to_prompt("Hi") == (
        "<|user|>\nHi</s>\n<|assistant|>\n"
    )


def test_an_idle_thread_ends_and_another_begins(spelling: SpellingModel) -> None:
    llm = local_model(EasyLLM, spelling)
    assert llm.invoke("a") == "a"
    [thread] = spelling.threads
    thread.join(10)
    assert not thread.is_alive()
    assert llm.invoke("b") == "b"
    assert len(spelling.threads) == 2
