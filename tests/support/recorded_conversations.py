"""Conversations that any real chat server can have, with what must be true of its answers.

`python -m tests.record` has them with a real server and keeps what was said; the unit tests have
them again with what was kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat, huggingface
from langchain_easyllm.errors import EasyLLMError

__all__ = ["CONVERSATIONS", "Place"]


@dataclass(frozen=True)
class Place:
    """Where a conversation is had.

    Attributes:
        base_url: The server's root.
        model: The name of a model there, or None for its only one.
        api_key: A token that it wants, or None.
    """

    base_url: str
    model: str | None = None
    api_key: str | None = None

    def chat(self, **fields: Any) -> EasyLLMChat:
        """A chat model there, as deterministic as the server can be."""
        return EasyLLMChat(**self._fields(), **{"temperature": 0, "max_tokens": 32} | fields)

    def llm(self, **fields: Any) -> EasyLLM:
        """An LLM there."""
        return EasyLLM(**self._fields(), **{"temperature": 0, "max_tokens": 32} | fields)

    def _fields(self) -> dict[str, Any]:
        return {"base_url": self.base_url, "model": self.model, "api_key": self.api_key}


def whole(place: Place) -> None:
    """A whole answer is accounted for."""
    message = place.chat(max_tokens=5).invoke("Tell me about the sea.")
    assert message.text
    assert message.response_metadata["finish_reason"] == "length"
    assert message.response_metadata["model_name"]
    usage = message.usage_metadata
    assert 0 < usage["output_tokens"] <= 8
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def streamed(place: Place) -> None:
    """A stream comes in pieces and ends as a whole answer does."""
    pieces = list(place.chat(max_tokens=12).stream("Tell me about the sea."))
    assert sum(bool(piece.text) for piece in pieces) > 1
    message = reduce(add, pieces)
    assert message.response_metadata["finish_reason"] in ("length", "stop")
    assert pieces[-1].chunk_position == "last"


def asynchronous(place: Place) -> None:
    """The asynchronous ways give answers, several at a time."""

    async def ask() -> None:
        chat = place.chat(max_tokens=8)
        answers = await chat.abatch(["One word.", "Two words.", "Three words."])
        assert all(answer.text for answer in answers)
        assert "".join([piece.text async for piece in chat.astream("One word.")])
        await chat.aclose()

    asyncio.run(ask())


def stopped(place: Place) -> None:
    """No stop sequence reaches the caller, streamed or not."""
    chat = place.chat()
    answer = chat.invoke("Tell me about the sea.").text
    middle = len(answer) // 2
    stop = answer[middle : middle + 3]
    unused = [f"<never {number}>" for number in range(6)]
    assert stop not in chat.invoke("Tell me about the sea.", stop=[stop]).text
    assert stop not in chat.invoke("Tell me about the sea.", stop=[*unused, stop]).text
    pieces = [piece.text for piece in chat.stream("Tell me about the sea.", stop=[stop])]
    assert stop not in "".join(pieces)


def remembered(place: Place) -> None:
    """A conversation of several turns, with a system message and characters of every width."""
    talk: list[Any] = [
        ("system", "You are brief."),
        ("human", "Grüße, 안녕, \N{WAVING HAND SIGN}!"),
    ]
    answer = place.chat(max_tokens=12).invoke(talk)
    assert answer.text
    assert place.chat(max_tokens=12).invoke([*talk, answer, ("human", "And now?")]).text


def completed(place: Place) -> None:
    """An LLM completes a text, and several in the order in which they were asked."""
    llm = place.llm(max_tokens=8)
    prompts = ["Once upon a time", "The sea is", "Number one is"]
    assert all(llm.batch(prompts))
    assert "".join(llm.stream(prompts[0]))


def as_easyllm(place: Place) -> None:
    """EasyLLM's client gives the same kind of answer in its own shape."""
    messages = [{"role": "user", "content": "Tell me about the sea."}]
    there = {"model": place.model, "api_base": place.base_url, "api_key": place.api_key}
    create = huggingface.ChatCompletion.create
    response = create(messages, max_tokens=5, n=2, **there)
    assert [choice["finish_reason"] for choice in response["choices"]] == ["length", "length"]
    assert response["usage"]["completion_tokens"] > 5
    chunks = list(create(messages, max_tokens=5, stream=True, **there))
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def refused(place: Place) -> None:
    """A model that is not there is an error in the server's own words."""
    with pytest.raises(EasyLLMError) as caught:
        place.chat().invoke("Hi", model="nobody/knows-it")
    assert caught.value.status_code in (400, 404, 422)
    assert caught.value.body


CONVERSATIONS: dict[str, Callable[[Place], None]] = {
    talk.__name__: talk
    for talk in (
        whole,
        streamed,
        asynchronous,
        stopped,
        remembered,
        completed,
        as_easyllm,
        refused,
    )
}
"""Every conversation by its name."""
