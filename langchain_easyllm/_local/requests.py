"""What one generation is to be, from the parameters of a request."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict, cast

import orjson

from ..errors import BadRequestError, EasyLLMError, GenerationError

__all__ = [
    "Item",
    "Job",
    "Row",
    "Started",
    "TGIResponseWriter",
    "Token",
    "to_job",
    "translated",
    "whole_answer",
]


@dataclass(frozen=True, slots=True)
class Job:
    """One generation, apart from its prompt.

    Attributes:
        options: Keyword arguments of transformers' `generate`.
        limit: Most new tokens; None for the model's own limit.
        stops: Stop sequences that end the generation.
        count: How many answers are wanted.
        seed: Seed of the sampling.
        truncate: Cut the prompt to its last this many tokens.
        logprobs: Whether log probabilities are wanted.
        top: How many likely alternatives are wanted for each token.
        frequency_penalty: Subtracted from a token's logit for each time that it occurred.
        presence_penalty: Subtracted from the logit of a token that occurred.
        grammar: What the answer must be, in TGI's shape.
    """

    options: Mapping[str, object] = field(default_factory=dict)
    limit: int | None = None
    stops: tuple[str, ...] = ()
    count: int = 1
    seed: int | None = None
    truncate: int | None = None
    logprobs: bool = False
    top: int = 0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    grammar: Mapping[str, object] | None = None

    @property
    def company(self) -> object:
        """What generations have in common that can go through the model together."""
        if self.seed is not None:
            return id(self)  # whoever shares its dice would change its answer
        options = orjson.dumps((self.options, self.grammar), option=orjson.OPT_SORT_KEYS)
        penalties = self.frequency_penalty, self.presence_penalty
        return options, self.stops, self.logprobs, self.top, penalties


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer.

    Attributes:
        id: The token's id; negative where the answer ended without one more.
        text: What it adds to the answer; empty while a character is incomplete.
        logprob: Logarithm of the probability that it was drawn with, if that was wanted.
        top: The most likely tokens of that place as (text, logprob), likeliest first.
        reason: On the last token only: "length", "eos_token" or "stop_sequence".
    """

    id: int
    text: str
    logprob: float | None = None
    top: tuple[tuple[str, float], ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The generation of an answer began.

    Attributes:
        input_length: Tokens of the prompt.
    """

    input_length: int


Item = Token | Started | Exception
"""What happens to a row, in order: it starts, its tokens, or what went wrong."""


@dataclass(eq=False, slots=True)
class Row:
    """One answer to one prompt, while it is generated.

    Attributes:
        job: What is wanted.
        prompt: The prompt as text.
        emit: Takes what happens to it; called in the model's own thread.
        cancelled: Set where nobody waits for it any more.
    """

    job: Job
    prompt: str
    emit: Callable[[Item], None]
    cancelled: bool = False


class _Parameters(TypedDict, total=False):
    """The parameters of a request that are no options of `generate` by the same name."""

    details: bool
    do_sample: bool
    frequency_penalty: float
    grammar: Mapping[str, object]
    logprobs: bool
    max_new_tokens: int
    n: int
    presence_penalty: float
    return_full_text: bool
    seed: int
    stop: list[str]
    top_n_tokens: int
    truncate: int


_NOT_OPTIONS = frozenset(_Parameters.__annotations__)
# What only matters while sampling, and the value of each that turns it off.
_SAMPLING: Mapping[str, float] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "typical_p": 1.0}


def to_job(parameters: Mapping[str, object]) -> Job:
    """Return what the `parameters` of a request in TGI's protocol ask for.

    A parameter that is not known here is handed to `generate` as it is.
    """
    known = cast("_Parameters", parameters)
    options = {name: value for name, value in parameters.items() if name not in _NOT_OPTIONS}
    top = known.get("top_n_tokens") or 0
    return Job(
        options={**options, **_sampling(parameters)},
        limit=known.get("max_new_tokens"),
        stops=tuple(known.get("stop") or ()),
        count=known.get("n") or 1,
        seed=known.get("seed"),
        truncate=known.get("truncate"),
        logprobs=bool(known.get("logprobs") or top),
        top=top,
        frequency_penalty=known.get("frequency_penalty") or 0.0,
        presence_penalty=known.get("presence_penalty") or 0.0,
        grammar=known.get("grammar"),
    )


def _sampling(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return the options of sampling; any of them turns it on, unless it is turned off."""
    given = {name: parameters[name] for name in _SAMPLING if name in parameters}
    if parameters.get("do_sample") is False:
        # Unset, for the model's own values would be warned about, which greedy decoding ignores.
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if not given and parameters.get("do_sample") is None:
        return {}
    off: Mapping[str, tuple[object, ...]] = {"top_k": (-1,), "top_p": (0,), "typical_p": (0,)}
    values = {
        name: _SAMPLING[name] if value in off.get(name, ()) else value
        for name, value in given.items()
    }
    return {"do_sample": True, **values}


@dataclass(slots=True)
class TGIResponseWriter:
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


def whole_answer(writers: Sequence[TGIResponseWriter]) -> bytes:
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
