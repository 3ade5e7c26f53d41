"""Tokens of a local model as TGI's protocol writes them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from ..errors import BadRequestError, EasyLLMError, GenerationError
from .jobs import Item, Started, Token

__all__ = ["AnswerWriter", "translated", "whole_answer"]


@dataclass(slots=True)
class AnswerWriter:
    """Puts one answer together as its tokens come.

    Args:
        logprobs: Whether the answer is to hold its tokens with their log probabilities.

    Attributes:
        started: Whether the generation began.
        done: Whether the answer is complete.
    """

    logprobs: bool
    started: bool = False
    done: bool = False
    _input_length: int = 0
    _reason: str | None = None
    _tokens: list[Token] = field(default_factory=list)

    def take(self, item: Item) -> bytes | None:
        """Take what happened; return it as an event of a stream, if it is one.

        Raises:
            EasyLLMError: If something went wrong.
        """
        if isinstance(item, Exception):
            raise translated(item) from item
        if isinstance(item, Started):
            self.started, self._input_length = True, item.input_length
            return None
        if item.id >= 0:
            self._tokens.append(item)
        self._reason, self.done = item.reason, item.reason is not None
        event = {
            "index": len(self._tokens),
            "token": _token(item),
            "top_tokens": _top(item),
            "generated_text": self._text() if self.done else None,
            "details": self._details() if self.done else None,
        }
        return orjson.dumps(event)

    def whole(self) -> dict[str, object]:
        """Return the answer as a whole."""
        details = self._details()
        if self.logprobs:
            details["tokens"] = [_token(token) for token in self._tokens]
            details["top_tokens"] = [_top(token) for token in self._tokens]
        return {"generated_text": self._text(), "details": details}

    def _text(self) -> str:
        return "".join(token.text for token in self._tokens)

    def _details(self) -> dict[str, object]:
        return {
            "finish_reason": self._reason,
            "generated_tokens": len(self._tokens),
            "input_length": self._input_length,
        }


def whole_answer(writers: Sequence[AnswerWriter]) -> bytes:
    """Return one or several answers to a request as the body of a response."""
    answers = [writer.whole() for writer in writers]
    return orjson.dumps(answers[0] if len(answers) == 1 else answers)


def translated(error: Exception) -> EasyLLMError:
    """Return what went wrong in a model as an error of this package, new for each who gets it."""
    if isinstance(error, EasyLLMError):
        return copy.copy(error)
    words = str(error).strip() or type(error).__name__
    if isinstance(error, TypeError | ValueError):
        return BadRequestError(f"The local model refuses the request: {words}")
    failure = GenerationError(
        f"The local model failed while it was generating ({words}): a smaller batch_size, "
        "max_tokens or model needs less memory."
    )
    failure.is_retryable = False
    return failure


def _token(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "text": token.text,
        "logprob": token.logprob,
        "special": token.reason == "eos_token",
    }


def _top(token: Token) -> list[dict[str, object]]:
    return [{"text": text, "logprob": logprob} for text, logprob in token.top]
