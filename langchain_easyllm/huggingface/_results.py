"""Answers in the format that EasyLLM documents: OpenAI's, as plain dicts."""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

from .._protocols.events import Delta, Usage
from .._protocols.reader import Answer, Chunk

Json = dict[str, object]
"""A result, or a part of one."""

UNKNOWN_MODEL = "custom"
"""EasyLLM's name for a model that neither the caller nor the server named."""


class Results(ABC):
    """Writes the results of one call.

    `served` returns the model's name as far as it is known: the first response may have it.
    """

    response_object: str
    chunk_object: str

    def __init__(self, served: Callable[[], str | None]) -> None:
        self._served = served
        self._id = "hf-" + secrets.token_urlsafe(7)  # ten characters, as EasyLLM's have
        self._created = int(time.time())
        self._opened = False

    def response(self, answers: Sequence[Answer]) -> Json:
        choices = [
            {"index": index, **self.choice(answer), "finish_reason": answer.end.finish_reason}
            for index, answer in enumerate(answers)
        ]
        model = answers[0].end.model
        usage = _sum([answer.end.usage for answer in answers])
        return {**self._head(self.response_object, model), "choices": choices, "usage": usage}

    def chunks(self, chunks: Iterable[Chunk]) -> Iterator[Json]:
        """Yield the chunks of a streamed answer; the last has the finish reason."""
        if not self._opened:
            self._opened = True
            yield from (self._chunk(choice) for choice in self.opening())
        for delta in _deltas(chunks):
            if delta.text or delta.reasoning or delta.refusal or delta.logprobs or delta.tool_calls:
                yield self._chunk(self.part(delta))
            else:
                last = self._chunk(self.closing(), delta.finish_reason)
                yield {**last, "usage": usage_of(delta.usage)}

    @abstractmethod
    def choice(self, answer: Answer) -> Json:
        """The choice of a complete result."""

    @abstractmethod
    def opening(self) -> Iterable[Json]:
        """The choices of the chunks before any text."""

    @abstractmethod
    def part(self, delta: Delta) -> Json:
        """The choice of a chunk."""

    @abstractmethod
    def closing(self) -> Json:
        """The choice of the last chunk."""

    def _head(self, kind: str, reported: str | None) -> Json:
        model = self._served() or reported or UNKNOWN_MODEL
        return {"id": self._id, "object": kind, "created": self._created, "model": model}

    def _chunk(self, choice: Json, finish_reason: str | None = None) -> Json:
        choices = [{"index": 0, **choice, "finish_reason": finish_reason}]
        return {**self._head(self.chunk_object, None), "choices": choices}


class ChatResults(Results):
    response_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def choice(self, answer: Answer) -> Json:
        message: Json = {"role": "assistant", "content": answer.text}
        refusal: Json = {"refusal": answer.refusal} if answer.refusal else {}
        return {"message": {**message, **_reasoning(answer.reasoning), **refusal}}

    def opening(self) -> Iterable[Json]:
        return [{"delta": {"role": "assistant"}}]

    def part(self, delta: Delta) -> Json:
        text: Json = {"content": delta.text} if delta.text else {}
        refusal: Json = {"refusal": delta.refusal} if delta.refusal else {}
        return {"delta": {**text, **_reasoning(delta.reasoning), **refusal}}

    def closing(self) -> Json:
        return {"delta": {}}


class CompletionResults(Results):
    response_object = chunk_object = "text.completion"

    def choice(self, answer: Answer) -> Json:
        """Return the text; its tokens' log probabilities as a list of `text` and `logprob`."""
        tokens = _tokens(answer.logprobs)
        found = [{"text": token["token"], "logprob": token["logprob"]} for token in tokens]
        return {"text": answer.text, **_reasoning(answer.reasoning), "logprobs": found or None}

    def opening(self) -> Iterable[Json]:
        return ()

    def part(self, delta: Delta) -> Json:
        """Return a part of the text; the log probability of its token as a number."""
        values = [token["logprob"] for token in _tokens(delta.logprobs)]
        numbers = [value for value in values if isinstance(value, int | float)]
        return {
            "text": delta.text,
            **_reasoning(delta.reasoning),
            "logprobs": sum(numbers) if numbers else None,
        }

    def closing(self) -> Json:
        return {"text": "", "logprobs": None}


def usage_of(usage: Usage | None) -> Json | None:
    """Return token counts in OpenAI's names; None if the server did not count."""
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }


def _sum(usages: Sequence[Usage | None]) -> Json | None:
    """Return the counts of several answers to one prompt, which counts once."""
    known = [usage for usage in usages if usage is not None]
    if len(known) < len(usages):
        return None
    prompt, written = known[0].input_tokens, sum(usage.output_tokens for usage in known)
    total = known[0].total_tokens if len(known) == 1 else prompt + written
    return usage_of(Usage(prompt, written, total))


def _deltas(chunks: Iterable[Chunk]) -> Iterator[Delta]:
    """Yield deltas, a text together with the log probabilities that follow it."""
    text = ""
    for chunk in chunks:
        if isinstance(chunk, Delta) and chunk.logprobs:
            yield replace(chunk, text=text)
            text = ""
            continue
        if text:
            yield Delta(text=text)
        text = chunk if isinstance(chunk, str) else ""
        if isinstance(chunk, Delta):
            yield chunk
    if text:
        yield Delta(text=text)


def _tokens(logprobs: Mapping[str, object] | None) -> list[Json]:
    return cast("list[Json]", (logprobs or {}).get("content") or [])


def _reasoning(reasoning: str) -> Json:
    return {"reasoning_content": reasoning} if reasoning else {}
