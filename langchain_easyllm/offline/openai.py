"""TGI's `/v1/completions`, and what it shares with `/v1/chat/completions`.

Format: the OpenAPI document of Text Generation Inference 3 (`CompletionRequest`, `Chunk`,
`CompletionFinal`).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import cast

from .engine import Engine
from .fields import (
    ANY,
    BOOLEAN,
    COUNT,
    NUMBER,
    OBJECT,
    SEED,
    STRING,
    STRINGS,
    Json,
    Kind,
    read_fields,
)
from .generate import finish
from .info import FINGERPRINT, MAX_BATCH
from .language_model import LanguageModel, Token
from .plan import Plan, make_plan
from .responses import DONE, HTTPError, event

__all__ = [
    "FIELDS",
    "REASONS",
    "complete",
    "complete_stream",
    "head",
    "read_request",
    "to_parameters",
    "usage",
    "wants_usage",
]

FIELDS: dict[str, Kind] = {
    "frequency_penalty": NUMBER,
    "max_tokens": COUNT,
    "model": STRING,
    "seed": SEED,
    "stop": STRINGS,
    "stream": BOOLEAN,
    "stream_options": OBJECT,
    "temperature": NUMBER,
    "top_p": NUMBER,
    # Fields of OpenAI's that TGI ignores.
    "logit_bias": ANY,
    "metadata": ANY,
    "n": COUNT,
    "store": ANY,
    "user": ANY,
}
"""Request fields of both routes."""

REASONS = {"length": "length", "eos_token": "stop", "stop_sequence": "stop_sequence"}
"""TGI's finish reasons on these routes, of which it changes only one to OpenAI's."""

_SAME = ("frequency_penalty", "presence_penalty", "repetition_penalty", "seed", "stop", "top_p")


def to_parameters(request: Json) -> dict[str, object]:
    """Return a request's parameters as `/generate` calls them.

    Decoding is greedy unless the request asks to sample, so that a test gets the same answer each
    time; TGI samples at temperature 1.0 here by default.
    """
    parameters = {name: request[name] for name in _SAME if name in request}
    if "max_tokens" in request:
        parameters["max_new_tokens"] = request["max_tokens"]
    if request.get("temperature"):  # 0 means greedy on these routes
        parameters["temperature"] = request["temperature"]
    elif "temperature" in request:
        parameters.pop("top_p", None)
    return parameters


def head(kind: str) -> dict[str, object]:
    """Return the first fields of every answer and chunk."""
    return {
        "object": kind,
        "id": "",
        "created": int(time.time()),
        "model": LanguageModel.name,
        "system_fingerprint": FINGERPRINT,
    }


def usage(plans: list[tuple[Plan, int]]) -> dict[str, int]:
    """Return the usage of runs, each with its number of new tokens."""
    prompt = sum(len(plan.prompt) for plan, _ in plans)
    written = sum(count for _, count in plans)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
    }


def wants_usage(request: Json) -> bool:
    """Return whether a stream ends with its usage."""
    options = request.get("stream_options")
    if not isinstance(options, dict):
        return False
    known = {"include_usage": BOOLEAN, "include_obfuscation": ANY}
    return bool(read_fields(options, known, where="stream_options.").get("include_usage"))


_PROMPT = Kind(
    "a string or a list of strings",
    lambda value: all(isinstance(each, str) for each in _prompts(value)),
)
_FIELDS = {**FIELDS, "prompt": _PROMPT, "repetition_penalty": NUMBER, "suffix": STRING}


def read_request(body: Json) -> dict[str, object]:
    """Check the body of a completions request."""
    request = read_fields(body, _FIELDS, required=("prompt",))
    if "suffix" in request:
        message = "Suffix is not supported and can be achieved by preprocessing the prompt."
        raise HTTPError(message, "suffix not supported")
    if len(_prompts(request["prompt"])) > MAX_BATCH:
        message = f"Number of prompts exceeds the maximum allowed batch size of {MAX_BATCH}"
        raise HTTPError(message, "batch size exceeded")
    return request


async def complete(engine: Engine, request: Json) -> dict[str, object]:
    """Answer a request with a choice for each prompt."""
    answers = [await finish(engine, plan) for plan in await _plans(engine, request, stream=False)]
    choices = [
        {
            "index": index,
            "text": answer.text,
            "logprobs": None,
            "finish_reason": REASONS[answer.reason],
        }
        for index, answer in enumerate(answers)
    ]
    counted = usage([(answer.plan, len(answer.tokens)) for answer in answers])
    return {**head("text_completion"), "choices": choices, "usage": counted}


async def complete_stream(engine: Engine, request: Json) -> AsyncIterator[bytes]:
    """Answer a request as a stream: a chunk for each token, one prompt after the other.

    The finish reasons are TGI's own: here it forgets to change them to OpenAI's.
    """
    for index, plan in enumerate(await _plans(engine, request, stream=True)):
        count = 0
        async for token in engine.tokens(plan):
            count += 1
            yield event(_chunk(index, plan, token, count))
    yield DONE


def _chunk(index: int, plan: Plan, token: Token, count: int) -> dict[str, object]:
    reason = token.finish_reason or ""
    text = "" if token.special else token.text
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": reason}
    chunk: dict[str, object] = {**head("text_completion"), "choices": [choice]}
    if reason:
        chunk["usage"] = usage([(plan, count)])
    return chunk


async def _plans(engine: Engine, request: Json, *, stream: bool) -> list[Plan]:
    parameters = to_parameters(request)
    model = engine.language
    prompts = _prompts(request["prompt"])
    return await engine.run(
        lambda: [make_plan(prompt, parameters, model, stream=stream) for prompt in prompts]
    )


def _prompts(value: object) -> list[str]:
    return cast("list[str]", value) if isinstance(value, list) else [cast("str", value)]
