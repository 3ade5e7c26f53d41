"""Conversations that any real server can have, with what must be true of its answers.

`python -m tests.record` has them with a real server and keeps what was said; the unit tests have
them again with what was kept. Both send the requests with httpx, where vcrpy sees them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any, Self

import httpx
import pytest
from langchain_core.documents import Document
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_easyllm import (
    EasyLLM,
    EasyLLMChat,
    EasyLLMEmbeddings,
    EasyLLMRerank,
    huggingface,
)
from langchain_easyllm.errors import EasyLLMError

__all__ = ["CALLED", "CONSTRAINED", "CONVERSATIONS", "EVERY_CONVERSATION", "VECTORS", "Target"]


@dataclass(frozen=True)
class Target:
    """Where a conversation is had.

    Attributes:
        base_url: The server's root.
        model: The name of a model there, or None for its only one.
        api_key: A token that it wants, or None.
        client: What synchronous calls are sent with.
    """

    base_url: str
    model: str | None = None
    api_key: str | None = None
    client: httpx.Client = field(default_factory=httpx.Client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def chat(self, **fields: Any) -> EasyLLMChat:
        """A chat model there, as deterministic as the server can be."""
        return EasyLLMChat(**self._fields(), **{"temperature": 0, "max_tokens": 32} | fields)

    def llm(self, **fields: Any) -> EasyLLM:
        """An LLM there."""
        return EasyLLM(**self._fields(), **{"temperature": 0, "max_tokens": 32} | fields)

    def embeddings(self, **fields: Any) -> EasyLLMEmbeddings:
        """Embeddings there."""
        return EasyLLMEmbeddings(**self._fields(), **fields)

    def rerank(self, **fields: Any) -> EasyLLMRerank:
        """A reranker there."""
        return EasyLLMRerank(**self._fields(), **fields)

    def _fields(self) -> dict[str, Any]:
        fields = {"base_url": self.base_url, "model": self.model, "api_key": self.api_key}
        return {**fields, "http_client": self.client}


def whole(target: Target) -> None:
    """A whole answer is accounted for."""
    message = target.chat(max_tokens=5).invoke("Tell me about the sea.")
    assert message.text
    assert message.response_metadata["finish_reason"] == "length"
    assert message.response_metadata["model_name"]
    usage = message.usage_metadata
    assert 0 < usage["output_tokens"] <= 8
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def streamed(target: Target) -> None:
    """A stream comes in chunks and ends as a whole answer does."""
    chunks = list(target.chat(max_tokens=12).stream("Tell me about the sea."))
    assert sum(bool(chunk.text) for chunk in chunks) > 1
    message = reduce(add, chunks)
    assert message.response_metadata["finish_reason"] in ("length", "stop")
    assert chunks[-1].chunk_position == "last"


def asynchronous(target: Target) -> None:
    """The asynchronous modes give answers, several at a time."""

    async def ask() -> None:
        async with httpx.AsyncClient() as client:
            chat = target.chat(max_tokens=8, http_async_client=client)
            answers = await chat.abatch(["One word.", "Two words.", "Three words."])
            assert all(answer.text for answer in answers)
            assert "".join([chunk.text async for chunk in chat.astream("One word.")])
            await chat.aclose()

    asyncio.run(ask())


def stopped(target: Target) -> None:
    """No stop sequence reaches the caller, streamed or not."""
    chat = target.chat()
    answer = chat.invoke("Tell me about the sea.").text
    middle = len(answer) // 2
    stop = answer[middle : middle + 3]
    unused = [f"<never {number}>" for number in range(6)]
    assert stop not in chat.invoke("Tell me about the sea.", stop=[stop]).text
    assert stop not in chat.invoke("Tell me about the sea.", stop=[*unused, stop]).text
    chunks = [chunk.text for chunk in chat.stream("Tell me about the sea.", stop=[stop])]
    assert stop not in "".join(chunks)


def remembered(target: Target) -> None:
    """A conversation of several turns, with a system message and characters of every width."""
    messages: list[Any] = [
        ("system", "You are brief."),
        ("human", "Grüße, 안녕, \N{WAVING HAND SIGN}!"),
    ]
    answer = target.chat(max_tokens=12).invoke(messages)
    assert answer.text
    assert target.chat(max_tokens=12).invoke([*messages, answer, ("human", "And now?")]).text


def completed(target: Target) -> None:
    """An LLM completes a text, and several in the order in which they were asked."""
    llm = target.llm(max_tokens=8)
    prompts = ["Once upon a time", "The sea is", "Number one is"]
    assert all(llm.batch(prompts))
    assert "".join(llm.stream(prompts[0]))


def as_easyllm(target: Target) -> None:
    """EasyLLM's client gives the same kind of answer in its own format."""
    messages = [{"role": "user", "content": "Tell me about the sea."}]
    there = {"model": target.model, "api_base": target.base_url, "api_key": target.api_key}
    there["http_client"] = target.client
    create = huggingface.ChatCompletion.create
    response = create(messages, max_tokens=5, n=2, **there)
    assert [choice["finish_reason"] for choice in response["choices"]] == ["length", "length"]
    assert response["usage"]["completion_tokens"] > 5
    chunks = list(create(messages, max_tokens=5, stream=True, **there))
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def refused(target: Target) -> None:
    """A model that is not there is an error in the server's own words."""
    with pytest.raises(EasyLLMError) as caught:
        target.chat().invoke("Hi", model="nobody/knows-it")
    assert caught.value.status_code in (400, 404, 422)
    assert caught.value.body


def shaped(target: Target) -> None:
    """A chat that is constrained to a schema answers in it, streamed or not."""
    schema = {
        "title": "light",
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}, "lit": {"type": "boolean"}},
        "required": ["colour", "lit"],
        "additionalProperties": False,
    }
    chain = target.chat(max_tokens=60).with_structured_output(schema, method="json_schema")
    whole = chain.invoke("Is the traffic light red or green?")
    assert whole["colour"] in ("red", "green")
    assert list(chain.stream("Is the traffic light red or green?"))[-1] == whole


class _Suite(ChatModelIntegrationTests):
    """langchain-tests' suite, for single tests of it."""

    @property
    def chat_model_class(self) -> type[EasyLLMChat]:
        return EasyLLMChat


CALLED = {"temperature": 0, "max_tokens": 120}
"""What the model of `called` is made with."""


def called(target: Target) -> None:
    """langchain-tests' tests of calls that have texts of the question in their arguments."""
    suite, chat = _Suite(), target.chat(**CALLED)
    suite.test_tool_calling(chat)
    suite.test_unicode_tool_call_integration(chat)

    async def ask() -> None:
        async with httpx.AsyncClient() as client:
            chat = target.chat(**CALLED, http_async_client=client)
            await suite.test_tool_calling_async(chat)
            await chat.aclose()

    asyncio.run(ask())


def embedded(target: Target) -> None:
    """Vectors come in the order of the texts, and like texts have like vectors."""
    texts = ["A cat sleeps.", "Cats are asleep.", "The stock market fell."]
    cat, cats, market = target.embeddings().embed_documents(texts)
    assert target.embeddings().embed_query(texts[0]) == pytest.approx(cat, abs=1e-3)

    def likeness(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert likeness(cat, cat) == pytest.approx(1, abs=1e-3)
    assert likeness(cat, cats) > likeness(cat, market)


def reranked(target: Target) -> None:
    """Documents come by falling score, and no more than were asked for."""
    documents = [Document(text) for text in ("A cat.", "A dog.", "A stock market.")]
    everything = target.rerank().compress_documents(documents, "Where is the cat?")
    scores = [one.metadata["relevance_score"] for one in everything]
    assert scores == sorted(scores, reverse=True)
    best = target.rerank(top_n=1).compress_documents(documents, "Where is the cat?")
    assert [one.page_content for one in best] == [everything[0].page_content]


CONVERSATIONS: dict[str, Callable[[Target], None]] = {
    conversation.__name__: conversation
    for conversation in (
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
"""Every conversation with any language model by its name."""

VECTORS: dict[str, Callable[[Target], None]] = {"embedded": embedded, "reranked": reranked}
"""Those with an embedding model, and with a reranker."""

CONSTRAINED: dict[str, Callable[[Target], None]] = {"shaped": shaped, "called": called}
"""Those with a server that constrains what its model says."""

EVERY_CONVERSATION = {**CONVERSATIONS, **CONSTRAINED, **VECTORS}
"""All of them."""
