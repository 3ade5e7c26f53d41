"""What TGI's two OpenAI-style routes share."""

from __future__ import annotations

import time

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
from .info import FINGERPRINT
from .language_model import LanguageModel
from .plan import Plan

__all__ = ["FIELDS", "REASONS", "head", "to_parameters", "usage", "wants_usage"]

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
    # Fields of OpenAI's that TGI reads past.
    "logit_bias": ANY,
    "metadata": ANY,
    "n": COUNT,
    "store": ANY,
    "user": ANY,
}
"""Request fields of both routes."""

REASONS = {"length": "length", "eos_token": "stop", "stop_sequence": "stop_sequence"}
"""TGI's finish reasons on these routes: of its own words, it changes one only to OpenAI's."""

_SAME = ("frequency_penalty", "presence_penalty", "repetition_penalty", "seed", "stop", "top_p")


def to_parameters(request: Json) -> dict[str, object]:
    """Return a request's parameters as `/generate` calls them.

    Decoding is greedy unless the request asks to sample, so that a test gets the same answer each
    time; TGI samples at temperature 1.0 here if it is not told otherwise.
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
    """Return what every answer and chunk begins with."""
    return {
        "object": kind,
        "id": "",
        "created": int(time.time()),
        "model": LanguageModel.name,
        "system_fingerprint": FINGERPRINT,
    }


def usage(plans: list[tuple[Plan, int]]) -> dict[str, int]:
    """Return the usage of runs that wrote so many tokens each."""
    prompt = sum(len(plan.prompt) for plan, _ in plans)
    written = sum(count for _, count in plans)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
    }


def wants_usage(request: Json) -> bool:
    """Whether a stream is to end with its usage."""
    options = request.get("stream_options")
    if not isinstance(options, dict):
        return False
    known = {"include_usage": BOOLEAN, "include_obfuscation": ANY}
    return bool(read_fields(options, known, where="stream_options.").get("include_usage"))
