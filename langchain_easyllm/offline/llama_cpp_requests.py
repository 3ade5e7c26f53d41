"""Requests as `llama-server` reads them: what it refuses, and what they ask of the model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from .._llguidance import close_schema
from .bodies import HTTPError, Json
from .constraint import Constraint
from .conversation import render_chat
from .language_model import LanguageModel
from .openai_style import (
    constrained,
    last_answer,
    no_end,
    read_sampling,
    refuse_lacking,
    token_ids,
    wants_usage,
)
from .plan import Plan
from .tokenizing import TokenText

_TOP_LOGPROBS = 20  # alternatives where a request names no number
_NUMBERS = (
    *("max_tokens", "max_completion_tokens", "n_predict", "n", "seed", "temperature", "top_p"),
    *("top_k", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty"),
    "top_logprobs",
)
_LIMITS = ("n_predict", "max_completion_tokens", "max_tokens")  # the first that is set counts
_LEAST = 1e-9  # a share of the probability that the likeliest token has alone
# What samplers do with numbers that lie further out: llama-server takes any.
_BOUNDS = {
    "temperature": (0.0, math.inf),
    "top_p": (_LEAST, 1.0),
    "typical_p": (_LEAST, 1.0),
    "min_p": (0.0, 1.0),
}
_COUNTS = ("logprobs", "n_probs")  # of alternatives; `true` is one
# What llama-server acts by and this one does not, with the value that says nothing.
_LACKING: Mapping[str, object] = {
    **dict.fromkeys(("mirostat", "dry_multiplier", "xtc_probability", "dynatemp_range"), 0),
    "top_n_sigma": -1,
    "samplers": [],
    "return_tokens": False,
}


@dataclass(frozen=True, slots=True)
class LlamaCppRequest:
    plans: tuple[Plan, ...]  # one for each prompt
    stream: bool
    usage: bool
    logprobs: bool
    begun: str = ""  # the assistant's message that it continues, which its answer begins with
    streams_begun: bool = True  # whether a stream begins with it, too


def _refused(message: str) -> HTTPError:
    return HTTPError(message, "invalid_request_error", 400)


def failed(message: str) -> HTTPError:
    return HTTPError(message, "server_error", 500)


def _check(body: Json) -> None:
    for name in (*_NUMBERS, *_COUNTS):
        value = body.get(name)
        wrong = isinstance(value, bool) and name not in _COUNTS
        if value is not None and (wrong or not isinstance(value, int | float)):
            raise _wrong_type(name, "number", value)
    if (n := body.get("n")) not in (None, 1):
        raise _refused(f"Field 'n': Value must be between 1 <= value <= 1, but got {n}")
    penalty = cast("float | None", body.get("repeat_penalty"))
    if penalty is not None and penalty <= 0:
        reason = "penalty_repeat must be finite and greater than 0"
        raise _refused(f"Failed to initialize samplers: {reason}")
    refuse_lacking(body, _LACKING)


def _wrong_type(name: str, wanted: str, value: object) -> HTTPError:
    kinds = {bool: "boolean", str: "string", list: "array", dict: "object", type(None): "null"}
    reason = f"type must be {wanted}, but is {kinds.get(type(value), 'number')}"
    return _refused(f"Field '{name}': [json.exception.type_error.302] {reason}")


def _biases(given: object, model: LanguageModel) -> list[tuple[int, float]]:
    """Return biases by token: given by ids or by texts, in a dict or a list of pairs.

    `False` bans a token. What makes no sense is passed over, as llama-server does.
    """
    if isinstance(given, Mapping):
        given = [[int(k) if k.isascii() and k.isdigit() else k, v] for k, v in given.items()]
    found = dict[int, float]()
    for pair in given if isinstance(given, list) else ():
        if not (isinstance(pair, list) and len(pair) == 2):
            continue
        token, bias = pair
        if bias is not False and (isinstance(bias, bool) or not isinstance(bias, int | float)):
            continue
        if isinstance(token, str):
            ids = token_ids(model.encode(token, add_special_tokens=False))
        else:
            ids = [token] if isinstance(token, int) else []
        known = [one for one in ids if 0 <= one < model.vocab_size]
        found |= dict.fromkeys(known, -math.inf if bias is False else float(bias))
    return list(found.items())


def _plan(
    prompt: list[TokenText],
    body: Json,
    model: LanguageModel,
    top: int,
    constraint: Constraint | None,
) -> Plan:
    if len(prompt) >= model.context:
        message = (
            f"request ({len(prompt)} tokens) exceeds the available context size "
            f"({model.context} tokens), try increasing it"
        )
        counts = {"n_prompt_tokens": len(prompt), "n_ctx": model.context}
        raise HTTPError(message, "exceed_context_size_error", 400, details=counts)
    biases = _biases(body.get("logit_bias"), model) + no_end(body, model)
    return Plan(
        prompt=tuple(prompt),
        max_new_tokens=_room(body, model.context - len(prompt)),
        sampling=read_sampling(_bounded(body), body.get("repeat_penalty"), biases),
        stop=_stops(body.get("stop")),
        top_n=top,
        constraint=constraint,
    )


def _room(body: Json, most: int) -> int:
    """Return how many tokens an answer may have: one at least, and below zero means any number."""
    given = (cast("float | None", body.get(name)) for name in _LIMITS)
    limit = int(next((each for each in given if each is not None), -1))
    return most if limit < 0 else min(max(limit, 1), most)


def _bounded(body: Json) -> Json:
    found = dict(body)
    for name, (low, high) in _BOUNDS.items():
        if body.get(name) is not None:
            found[name] = min(max(cast("float", body[name]), low), high)
    found["top_k"] = int(cast("float", body.get("top_k") or 0))
    return found


def _stops(given: object) -> tuple[str, ...]:
    """Return the stop sequences; what is neither a text nor a list is passed over."""
    listed = given if isinstance(given, list) else [given] if isinstance(given, str) else []
    for stop in listed:
        if not isinstance(stop, str):
            raise _wrong_type("stop", "string", stop)
    return tuple(stop for stop in listed if stop)


def _alternatives(body: Json, *, chat: bool) -> int:
    """Return how many alternatives are shown for each token; 0 means no log probabilities."""
    named, asked = body.get("top_logprobs"), body.get("logprobs")
    if chat and asked is True:
        asked = _TOP_LOGPROBS if named is None else named
    elif chat and named is not None and not asked:
        raise _refused("top_logprobs requires logprobs to be set to true")
    own = body.get("n_probs")
    return max(int(cast("float", (asked if own is None else own) or 0)), 0)


def _constraint(body: Json, *, chat: bool) -> tuple[Constraint | None, Json | None]:
    """Return the constraint of a request, and its schema if it has one."""
    schema, grammar = body.get("json_schema"), body.get("grammar")
    if schema is not None and grammar:
        raise failed("Cannot use both json_schema and grammar")
    wanted = body.get("response_format")
    if chat and isinstance(wanted, Mapping):  # the text route ignores it
        kind = wanted.get("type")
        if kind == "json_object":
            schema = wanted.get("schema") or schema or {"type": "object"}
        elif kind == "json_schema":
            inner = wanted.get("json_schema")
            schema = (inner.get("schema") if isinstance(inner, Mapping) else None) or {}
        elif kind and kind != "text":
            either = '"text" or "json_object"'
            raise _refused(f"response_format type must be one of {either}, but got: {kind}")
    if schema is not None:
        found = cast("Json", schema) or {"type": "object"}
        return constrained("json", close_schema(found)), found
    if not grammar:
        return None, None
    try:
        return constrained("ebnf", grammar), None
    except HTTPError as error:
        raise _refused("Failed to initialize samplers: failed to parse grammar") from error


def _asks_to_continue(body: Json) -> bool:
    """Whether the request says so, which keeps what is continued out of a stream."""
    return body.get("continue_final_message") in (True, "content", "reasoning_content")


def prompt_of(
    body: Json, model: LanguageModel, schema: Json | None = None
) -> tuple[str, str | None]:
    """Return the prompt of a chat, and the assistant's message at its end; None without one."""
    messages = _messages(body)
    continues = _asks_to_continue(body)
    if continues and body.get("add_generation_prompt", True):
        both = "add_generation_prompt and continue_final_message"
        raise _refused(f"Cannot set both {both} to true.")
    if messages and messages[-1].get("role") == "assistant" and messages[-1].get("tool_calls"):
        raise _refused("Cannot continue an assistant message that contains tool calls.")
    begun = last_answer(messages)
    if begun is None:
        return render_chat(model.prompt, messages, schema=schema), None
    if not continues and last_answer(messages[:-1]) is not None:
        raise _refused("Cannot have 2 or more assistant messages at the end of the list.")
    return render_chat(model.prompt, messages[:-1], schema=schema) + begun, begun


def _messages(body: Json) -> list[Json]:
    if "messages" not in body:
        raise _refused("'messages' is required")
    messages = body["messages"]
    if not isinstance(messages, list):
        raise _refused("Expected 'messages' to be an array")
    for message in messages:
        known = message if isinstance(message, Mapping) else {}
        if known.get("role") != "assistant" and "content" not in known:
            raise _refused("All non-assistant messages must contain 'content'")
    return messages


def read_chat(body: Json, model: LanguageModel) -> LlamaCppRequest:
    _check(body)
    constraint, schema = _constraint(body, chat=True)
    prompt, begun = prompt_of(body, model, schema)
    if begun is not None and constraint is not None:  # it is held to the beginning, too
        raise _refused("Failed to initialize samplers: std::exception")
    plan = _plan(model.encode(prompt), body, model, _alternatives(body, chat=True), constraint)
    repeats = not _asks_to_continue(body)
    return replace(_request(body, plan), begun=begun or "", streams_begun=repeats)


def read_completions(body: Json, model: LanguageModel) -> LlamaCppRequest:
    _check(body)
    if "prompt" not in body:
        raise _refused("[json.exception.out_of_range.403] key 'prompt' not found")
    prompts = body["prompt"]
    given: list[Any] = prompts if isinstance(prompts, list) else [prompts]
    if not all(isinstance(prompt, str) for prompt in given):
        kinds = "a string, a list of tokens, a JSON object containing a prompt string, or a list"
        raise _refused(f'"prompt" elements must be {kinds} of mixed strings & tokens.')
    constraint, _ = _constraint(body, chat=False)
    if not given:
        raise _refused('"prompt" must not be empty')
    top = _alternatives(body, chat=False)
    plans = [_plan(model.encode(prompt), body, model, top, constraint) for prompt in given]
    return _request(body, *plans)


def _request(body: Json, *plans: Plan) -> LlamaCppRequest:
    logprobs = plans[0].top_n > 0
    return LlamaCppRequest(plans, bool(body.get("stream")), wants_usage(body), logprobs)
