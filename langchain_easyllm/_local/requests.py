"""A generation in this process: TGI's parameters in, TGI's responses out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict, cast

import orjson

from ..errors import BadRequestError, EasyLLMError, GenerationError


@dataclass(frozen=True, slots=True)
class Job:
    """One generation, apart from its prompt."""

    options: Mapping[str, object] = field(default_factory=dict)  # of transformers' `generate`
    limit: int | None = None  # maximum number of new tokens; None for the model's own
    stops: tuple[str, ...] = ()
    count: int = 1
    seed: int | None = None
    truncate: int | None = None
    logprobs: bool = False
    top: int = 0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    grammar: Mapping[str, object] | None = None  # in TGI's format
    least: int = 0  # minimum number of new tokens
    ignore_eos: bool = False

    @property
    def batch_key(self) -> object:
        """Equal for generations that can go through the model in one batch."""
        if self.seed is not None:
            return id(self)  # another draw from its random numbers would change its answer
        options = orjson.dumps((self.options, self.grammar), option=orjson.OPT_SORT_KEYS)
        penalties = self.frequency_penalty, self.presence_penalty
        ends = self.least, self.ignore_eos
        return options, self.stops, self.logprobs, self.top, penalties, ends


@dataclass(frozen=True, slots=True)
class Token:
    id: int  # negative where the answer ended without one more
    text: str  # empty while a character is incomplete
    logprob: float | None = None
    top: tuple[tuple[str, float], ...] = ()  # (text, logprob) of the most likely ones, descending
    reason: str | None = None  # of the last token: "length", "eos_token" or "stop_sequence"


@dataclass(frozen=True, slots=True)
class Started:
    input_length: int


SequenceEvent = Token | Started | Exception
"""What a sequence emits, in this order: its start, its tokens; or its failure."""


@dataclass(eq=False, slots=True)
class LocalSequence:
    """One answer to one prompt, while it is generated."""

    job: Job
    prompt: str
    emit: Callable[[SequenceEvent], None]  # called in the model's own thread
    cancelled: bool = False


class _Parameters(TypedDict, total=False):
    """The parameters that `generate` does not take under the same name."""

    details: bool
    do_sample: bool
    frequency_penalty: float
    grammar: Mapping[str, object]
    ignore_eos: bool
    logit_bias: Mapping[str, float]
    logprobs: bool
    max_new_tokens: int
    min_tokens: int
    n: int
    presence_penalty: float
    return_full_text: bool
    seed: int
    stop: list[str]
    top_n_tokens: int
    truncate: int


_NOT_OPTIONS = frozenset(_Parameters.__annotations__)
# The parameters of sampling, each with the value that turns it off.
_SAMPLING: Mapping[str, float] = {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "typical_p": 1.0,
    "min_p": 0.0,
}


def to_job(parameters: Mapping[str, object]) -> Job:
    """Read TGI's `parameters`; `generate` gets those that are not known here as they are."""
    known = cast("_Parameters", parameters)
    options = {name: value for name, value in parameters.items() if name not in _NOT_OPTIONS}
    if biases := known.get("logit_bias"):
        # A list: the dict that `generate` takes as well has tuples as keys, which JSON has not.
        options["sequence_bias"] = [[[int(token)], float(x)] for token, x in biases.items()]
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
        least=known.get("min_tokens") or 0,
        ignore_eos=bool(known.get("ignore_eos")),
    )


def _sampling(parameters: Mapping[str, object]) -> dict[str, object]:
    """Any option of sampling turns it on, unless `do_sample` is false."""
    given = {name: parameters[name] for name in _SAMPLING if name in parameters}
    if parameters.get("do_sample") is False:
        # Unset: transformers warns of the model's own values, which greedy decoding ignores.
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
    """Writes one answer in TGI's format as its tokens arrive."""

    logprobs: bool
    started: bool = False
    done: bool = False
    _input_length: int = 0
    _reason: str | None = None
    _tokens: list[Token] = field(default_factory=list)

    def write(self, event: SequenceEvent) -> bytes | None:
        """Return the stream's event for a token; None for the start; raise a failure."""
        if isinstance(event, Exception):
            raise to_easyllm_error(event) from event
        if isinstance(event, Started):
            self.started, self._input_length = True, event.input_length
            return None
        if event.id >= 0:
            self._tokens.append(event)
        self._reason, self.done = event.reason, event.reason is not None
        written = {
            "index": len(self._tokens),
            "token": _token(event),
            "top_tokens": _top(event),
            "generated_text": self._text() if self.done else None,
            "details": self._details() if self.done else None,
        }
        return orjson.dumps(written)

    def response(self) -> dict[str, object]:
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


def to_easyllm_error(error: Exception) -> EasyLLMError:
    """Return a model's failure as an error of this package, a new one for each caller."""
    if isinstance(error, EasyLLMError):
        return copy.copy(error)
    reason = str(error).strip() or type(error).__name__
    if isinstance(error, TypeError | ValueError):
        return BadRequestError(f"The local model refuses the request: {reason}")
    failure = GenerationError(
        f"The local model failed while it was generating ({reason}): a smaller batch_size, "
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
