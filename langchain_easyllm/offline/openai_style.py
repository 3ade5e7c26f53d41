"""What the OpenAI-style routes of vLLM and llama.cpp have in common."""

from __future__ import annotations

import math
import secrets
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import cast

from .bodies import HTTPError, Json
from .constraint import Constraint, ConstraintError
from .language_model import LanguageModel, Token
from .sampling import Sampling
from .tokenizing import TokenText

_PENALTIES = ("frequency_penalty", "presence_penalty")


def head(kind: str, prefix: str, model: LanguageModel) -> dict[str, object]:
    """Return the keys with which every answer and chunk begins."""
    name = f"{prefix}-{uuid.uuid4().hex}"
    return {"id": name, "object": kind, "created": int(time.time()), "model": model.name}


def usage(prompt: int, answer: int) -> dict[str, object]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
    }


def wants_usage(request: Json) -> bool:
    options = request.get("stream_options")
    return isinstance(options, Mapping) and bool(options.get("include_usage"))


def texts(value: object) -> list[str]:
    """Return a string or a list of strings as a list."""
    return [value] if isinstance(value, str) else list(cast("list[str]", value or []))


def read_sampling(
    request: Json,
    repetition: object,
    biases: Sequence[tuple[int, float]] = (),
    min_tokens: int = 0,
) -> Sampling:
    """Return how a request wants to sample.

    Decoding is greedy unless it asks to sample, so that a test gets the same answer each time; the
    real servers sample.
    """
    given: dict[str, object] = {name: request[name] for name in _PENALTIES if request.get(name)}
    given |= {"biases": tuple(biases), "min_tokens": min_tokens}
    if repetition:
        given["repetition_penalty"] = repetition
    temperature, top_p = request.get("temperature"), request.get("top_p")
    if temperature == 0 or (temperature is None and top_p in (None, 1)):
        return Sampling(**given)  # type: ignore[arg-type]
    given["temperature"] = temperature or 1.0
    for name, off in (("top_p", 1), ("typical_p", 1), ("top_k", 0), ("min_p", 0)):
        value = request.get(name)
        if isinstance(value, int | float) and 0 < value != off:
            given[name] = value
    seed = request.get("seed")
    given["seed"] = seed % 2**63 if isinstance(seed, int) and seed >= 0 else secrets.randbits(63)
    return Sampling(**given)  # type: ignore[arg-type]


def no_end(request: Json, model: LanguageModel) -> list[tuple[int, float]]:
    """Return the biases that keep the model from ending an answer, if a request wants that."""
    return [(end, -math.inf) for end in model.eos_ids] if request.get("ignore_eos") else []


def refuse_lacking(request: Json, off: Mapping[str, object]) -> None:
    """Refuse keys that the real server acts by and this one does not, unless they say nothing."""
    for name, default in off.items():
        value = request.get(name)
        if value is not None and value != default:
            raise HTTPError(
                f"The offline server has no `{name}`: leave it out, or run the real server.",
                "validation",
                400,
            )


def last_answer(messages: Sequence[Json]) -> str | None:
    """Return the text of an assistant's message at the end, which is to be continued."""
    last = messages[-1] if messages else {}
    content = last.get("content")
    if last.get("role") != "assistant" or last.get("tool_calls") or content is None:
        return None
    parts = content if isinstance(content, list) else [{"text": content}]
    return "".join(str(part.get("text") or "") for part in parts if isinstance(part, Mapping))


def constrained(kind: str, source: object) -> Constraint:
    """Return a constraint (`json`, `regex` or `ebnf`), or raise an `HTTPError` of status 400."""
    try:
        if kind == "json":
            return Constraint.json(source)
        if kind == "ebnf":
            return Constraint.ebnf(str(source))
        return Constraint.regex(str(source))
    except ConstraintError as error:
        reason = " ".join(str(error).split())
        raise HTTPError(f"Invalid grammar specification: {reason}", "validation", 400) from error


def token_ids(tokens: Sequence[TokenText]) -> list[int]:
    return [token.id for token in tokens]


def chat_logprobs(tokens: Sequence[Token], *, ids: bool = False) -> dict[str, object]:
    """Return log probabilities in the form of chat completions, with tokens' ids if wanted."""

    def entry(id: int, text: str, logprob: float) -> dict[str, object]:
        own: dict[str, object] = {"id": id} if ids else {}
        return {**own, "token": text, "logprob": logprob, "bytes": list(text.encode())}

    return {
        "content": [
            {
                **entry(token.id, token.text, token.logprob),
                "top_logprobs": [entry(*top) for top in token.top],
            }
            for token in tokens
            if not token.special
        ]
    }


def text_logprobs(tokens: Sequence[Token], start: int = 0) -> dict[str, object]:
    """Return log probabilities in the form of completions; the text begins at an offset."""
    shown = [token for token in tokens if not token.special]
    offsets, at = list[int](), start
    for token in shown:
        offsets.append(at)
        at += len(token.text)
    return {
        "text_offset": offsets,
        "token_logprobs": [token.logprob for token in shown],
        "tokens": [token.text for token in shown],
        "top_logprobs": [
            {token.text: token.logprob} | {text: logprob for _, text, logprob in token.top}
            for token in shown
        ],
    }
