"""Answers of real servers: the same in every mode, cut exactly, and truly accounted for."""

from __future__ import annotations

import asyncio
from functools import reduce
from operator import add

import pytest

from langchain_easyllm.prompts import get_prompt

QUESTION = "Count from one to ten, in words."
PROMPT = "one two three four one two three four one two"
UNUSED = [f"<never {number}>" for number in range(5)]


@pytest.fixture(params=["chat", "text"])
def kind(request):
    """A chat model, or an LLM on the server's text protocol."""
    return request.param


@pytest.fixture
def model(server, kind):
    return server.chat() if kind == "chat" else server.llm()


@pytest.fixture
def given(kind):
    """What the model is asked."""
    return QUESTION if kind == "chat" else PROMPT


@pytest.fixture
def whole(server, model, kind, given):
    """The whole answer, which each server gives once."""
    return server.remembered(kind, lambda: text_of(model.invoke(given)))


def text_of(answer):
    return answer if isinstance(answer, str) else answer.text


def every_mode(runnable, given):
    """The text of the answer by each of the invocation modes."""

    async def asynchronous():
        return [
            text_of(await runnable.ainvoke(given)),
            "".join([text_of(chunk) async for chunk in runnable.astream(given)]),
            *map(text_of, await runnable.abatch([given, given])),
        ]

    return [
        text_of(runnable.invoke(given)),
        "".join(map(text_of, runnable.stream(given))),
        *map(text_of, runnable.batch([given, given])),
        *asyncio.run(asynchronous()),
    ]


def test_every_mode_gives_one_answer(model, given, whole):
    assert whole
    assert set(every_mode(model, given)) == {whole}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("size", [1, 7])
def test_a_stop_sequence_cuts_the_answer_exactly(model, given, whole, size, streamed):
    stop = whole[len(whole) // 3 :][:size]
    assert len(stop) == size
    bound = model.bind(stop=[stop])
    said = "".join(map(text_of, bound.stream(given))) if streamed else text_of(bound.invoke(given))
    assert said == whole[: whole.index(stop)]


@pytest.mark.parametrize("count", [4, 5, 6])
def test_any_number_of_stop_sequences_is_enforced(server, model, given, whole, count):
    stop = whole[len(whole) // 2 :][:6]
    said = text_of(model.invoke(given, stop=[*UNUSED[: count - 1], stop]))
    assert said == whole[: whole.index(stop)]


@pytest.mark.parametrize("count", [1, 3])
def test_a_templates_own_stops_are_enforced_beside_the_callers(server, count):
    chat = server.chat(prompt_builder="smollm2", max_tokens=16)
    whole = server.remembered("smollm2", lambda: chat.invoke("Say hello.").text)
    assert not any(stop in whole for stop in get_prompt("smollm2").stop)
    stop = whole[len(whole) // 2 :][:4]
    stops = [stop, *UNUSED[: count - 1]]
    assert chat.invoke("Say hello.", stop=stops).text == whole[: whole.index(stop)]


def test_a_chat_is_charged_for_the_tokens_of_its_template(server, tokenizer):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Grüße, 안녕, 🌤️!"},
    ]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    whole = server.chat(max_tokens=5).invoke(messages)
    streamed = reduce(add, server.chat(max_tokens=5).stream(messages))
    for said in (whole, streamed):
        assert said.usage_metadata["input_tokens"] == len(ids)
        assert said.usage_metadata["output_tokens"] == 5
        assert said.usage_metadata["total_tokens"] == len(ids) + 5
        assert said.response_metadata["finish_reason"] == "length"
    assert whole.text == streamed.text


def test_a_text_is_charged_for_its_tokens(server, tokenizer):
    result = server.llm(max_tokens=5).generate([PROMPT])
    usage = result.llm_output["token_usage"]
    count = len(tokenizer.encode(PROMPT, add_special_tokens=False))
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (count, 5)
    assert result.generations[0][0].generation_info["finish_reason"] == "length"


def test_an_answer_that_ends_by_itself_or_by_a_stop_says_stop(server):
    chat = server.chat(max_tokens=64)
    said = chat.invoke("Say hello.")
    assert said.response_metadata["finish_reason"] == "stop"
    assert said.usage_metadata["output_tokens"] < 64
    words = said.text.split()
    stopped = chat.invoke("Say hello.", stop=[words[1]])
    assert stopped.response_metadata["finish_reason"] == "stop"
    assert stopped.text.strip() == words[0]


def test_a_text_without_a_limit_is_not_cut_short(server):
    info = server.llm(max_tokens=None).generate(["1 2 3 4 5 6"], stop=["24"]).generations[0][0]
    assert len(info.text.split()) > 16
