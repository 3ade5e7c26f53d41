"""Requests as vLLM reads them: what it refuses, in its words, and what they ask of the model."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import orjson

from .._llguidance import close_schema
from . import limits
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
    texts,
    usage,
    wants_usage,
)
from .plan import Plan
from .tokenizing import TokenText
from .tools import forced, read_tools

_MAX_LOGPROBS = 20
_POSITIVE = "must be a positive value or -1."
_STUB = 16  # the tokens of a completion that names no limit
_INTEGERS = (
    *("max_tokens", "max_completion_tokens", "n", "seed", "top_k", "top_logprobs"),
    *("truncate_prompt_tokens", "min_tokens"),
)
_NUMBERS = (
    *("temperature", "top_p", "min_p", "repetition_penalty"),
    *("presence_penalty", "frequency_penalty"),
)
_BOUNDS: tuple[tuple[str, Callable[[float], bool], str, bool], ...] = (
    ("temperature", lambda x: x >= 0, "must be non-negative, got {}.", True),
    ("top_p", lambda x: 0 < x <= 1, "must be in (0, 1], got {}.", True),
    ("min_p", lambda x: 0 <= x <= 1, "must be in [0, 1], got {}.", False),
    ("min_tokens", lambda x: x >= 0, "must be greater than or equal to 0, got {}.", False),
    ("top_k", lambda x: x >= -1, "must be 0 (disable), or at least 1, got {}.", False),
    ("repetition_penalty", lambda x: x > 0, "must be greater than zero, got {}.", False),
    ("presence_penalty", lambda x: -2 <= x <= 2, "must be in [-2, 2], got {}.", False),
    ("frequency_penalty", lambda x: -2 <= x <= 2, "must be in [-2, 2], got {}.", False),
    ("n", lambda x: x >= 1, "must be at least 1, got {}.", False),
)
# What vLLM acts by and this server does not, with the value that says nothing.
_LACKING: Mapping[str, object] = {
    **dict.fromkeys(("allowed_token_ids", "prompt_logprobs", "suffix")),
    **dict.fromkeys(("use_beam_search", "include_stop_str_in_output"), False),
    **dict.fromkeys(("return_token_ids", "return_tokens_as_token_ids"), False),
    "bad_words": [],
    "stop_token_ids": [],
    "length_penalty": 1.0,
    "skip_special_tokens": True,
}


@dataclass(frozen=True, slots=True)
class VLLMRequest:
    plans: tuple[Plan, ...]  # one for each prompt
    stream: bool
    usage: bool
    n: int = 1
    logprobs: bool = False
    echo: tuple[str, ...] = ()  # what each text begins with
    tools: bool = False  # the answer may be calls
    named: bool = False  # it is a call of the one tool that was named

    @property
    def runs(self) -> Iterator[tuple[int, Plan, str]]:
        """Each answer's number, plan and beginning."""
        for at, plan in enumerate(self.plans):
            for turn in range(self.n):
                yield at * self.n + turn, plan.turn(turn), self.echo[at] if self.echo else ""

    def usage_of(self, answer: int) -> dict[str, object]:
        return usage(sum(len(plan.prompt) for plan in self.plans), answer)


def _refused(message: str, param: str | None = None, *, value: object = None) -> HTTPError:
    """Return the error of a validator of vLLM's own."""
    shown = [f"parameter={param}"] if param else []
    shown += [] if value is None else [f"value={value}"]
    more = f" ({', '.join(shown)})" if shown else ""
    return HTTPError(message + more, "BadRequestError", 400, details={"param": param})


def invalid_key(name: str, *errors: Mapping[str, object]) -> HTTPError:
    """Return the error of its request models, which lists what is wrong with a key."""
    label = "error" if len(errors) == 1 else "errors"
    where = f"body.{name}"
    lines = [{"type": e["type"], "loc": where, **e} for e in errors]
    listed = "\n".join(f"  {line}" for line in lines)
    message = f"{len(errors)} validation {label}:\n{listed}"
    return HTTPError(message, "Bad Request", 400, details={"param": where})


def _check_types(body: Json) -> None:
    for name in (*_INTEGERS, *_NUMBERS):
        value = body.get(name)
        kinds = (int,) if name in _INTEGERS else (int, float)
        if value is None or (isinstance(value, kinds) and not isinstance(value, bool)):
            continue
        kind, noun = ("int", "integer") if name in _INTEGERS else ("float", "number")
        message = f"Input should be a valid {noun}"
        if isinstance(value, str):
            message += f", unable to parse string as {'an' if kind == 'int' else 'a'} {noun}"
        shown = value if isinstance(value, str) else f"<{type(value).__name__}>"
        raise invalid_key(name, {"type": f"{kind}_parsing", "msg": message, "input": shown})


def _check_stops(body: Json) -> tuple[str, ...]:
    stops = body.get("stop")
    if stops is None or isinstance(stops, str):
        stops = texts(stops)
    one = {"type": "string_type", "msg": "Input should be a valid string"}
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise invalid_key("stop", {**one, "input": f"<{type(stops).__name__}>"})
    shown = {"input": f"<list of {len(stops)} items>"}
    if len(stops) > limits.MAX_STOPS:
        message = (
            f"List should have at most {limits.MAX_STOPS} items after validation, not {len(stops)}"
        )
        bounds = {
            "field_type": "List",
            "max_length": limits.MAX_STOPS,
            "actual_length": len(stops),
        }
        many = {"type": "too_long", "msg": message, **shown, "ctx": bounds}
        raise invalid_key("stop", {**one, **shown}, many)
    if "" in stops:
        raise _refused("stop cannot contain an empty string.")
    return tuple(stops)


def _check(body: Json, model: LanguageModel) -> tuple[str, ...]:
    """Check what both routes share, in vLLM's words; return the stop sequences."""
    name = body.get("model")
    if name not in (None, "", model.name):
        raise HTTPError(
            f"The model `{name}` does not exist. Valid aliases: {model.name}",
            "NotFoundError",
            404,
            details={"param": "model"},
        )
    if body.get("stream_options") and not body.get("stream"):
        message = "Stream options can only be defined when `stream=True`."
        raise _refused(message, "stream_options")
    _check_types(body)
    refuse_lacking(body, _LACKING)
    stops = _check_stops(body)
    for name in ("temperature", "repetition_penalty"):
        given = cast("float", body.get(name) or 0)
        if not abs(given) <= sys.float_info.max:  # JSON as Python reads it has NaN and Infinity
            raise _refused(f"{name} must be a finite number, got {given}.", name)
    for name, holds, words, named in _BOUNDS:
        value = body.get(name)
        if value is not None and not holds(cast("float", value)):
            number = float(cast("float", value)) if name in _NUMBERS else value
            message = f"{name} {words.format(number)}"
            raise _refused(message, name, value=number) if named else _refused(message)
    if body.get("temperature") == 0 and cast("int", body.get("n") or 1) > 1:
        raise _refused(f"n must be 1 when using greedy sampling, got {body['n']}.")
    return stops


def _biases(body: Json, model: LanguageModel) -> list[tuple[int, float]]:
    given = body.get("logit_bias")
    if given is None:
        return []
    if not isinstance(given, Mapping):
        kind = {"type": "dict_type", "msg": "Input should be a valid dictionary"}
        raise invalid_key("logit_bias", {**kind, "input": f"<{type(given).__name__}>"})
    found = dict[int, float]()
    for token, bias in given.items():
        if isinstance(bias, bool) or not isinstance(bias, int | float):
            kind = {"type": "float_type", "msg": "Input should be a valid number"}
            raise invalid_key(f"logit_bias.{token}", {**kind, "input": str(bias)})
        if not (token.isascii() and token.removeprefix("-").isdigit()):
            words = "must be an integer or string representing an integer"
            raise _refused(f"Found token_id `{token}` in logit_bias but token_id {words}")
        found[int(token)] = float(min(100.0, max(-100.0, bias)))
    outside = [token for token in found if not 0 <= token < model.vocab_size]
    if outside:
        size = f"Vocabulary size: {model.vocab_size}"
        message = f"token_id(s) {outside} in logit_bias contain out-of-vocab token ids. {size}"
        raise _refused(message, "logit_bias", value=outside)
    return list(found.items())


def _plan(
    prompt: list[TokenText],
    body: Json,
    model: LanguageModel,
    limit: int | None,
    *,
    top: int = 0,
    constraint: Constraint | None = None,
) -> Plan:
    """Plan an answer of at most `limit` tokens; None for what the context has room for."""
    keep = body.get("truncate_prompt_tokens")
    if isinstance(keep, int) and keep > 0:
        prompt = prompt[-keep:]
    if not prompt:  # begins with nothing, where the model has no token for that
        raise _refused("The decoder prompt cannot be empty", "prompt")
    most = limits.max_total_tokens(model.context)
    name = "max_completion_tokens" if body.get("max_completion_tokens") else "max_tokens"
    if limit is not None and limit < 1:
        raise _refused(f"max_tokens must be at least 1, got {limit}.", "max_tokens", value=limit)
    if limit is not None and limit > most:
        message = f"{name}={limit} cannot be greater than max_model_len={most}. "
        raise _refused(f"{message}Please request fewer output tokens.", name, value=limit)
    if len(prompt) >= model.context or len(prompt) + (limit or 0) > most:
        longest = model.context if len(prompt) >= model.context else most
        raise _refused(
            f"This model's maximum context length is {longest} tokens. However, you requested "
            f"{limit or 0} output tokens and your prompt contains at least {len(prompt)} input "
            f"tokens, for a total of at least {len(prompt) + (limit or 0)} tokens. Please reduce "
            "the length of the input prompt or the number of requested output tokens.",
            "input_tokens",
            value=len(prompt),
        )
    top = model.vocab_size if top == -1 else top
    if top > _MAX_LOGPROBS:
        allowed = f"which is greater than max allowed: {_MAX_LOGPROBS}"
        raise _refused(f"Requested sample logprobs of {top}, {allowed}", "logprobs", value=top)
    least = cast("int", body.get("min_tokens") or 0)
    if limit is not None and least > limit:
        raise _refused(f"min_tokens must be less than or equal to max_tokens={limit}, got {least}.")
    room = min(limit or most, model.context - len(prompt))
    biases = _biases(body, model) + no_end(body, model)
    return Plan(
        prompt=tuple(prompt),
        max_new_tokens=room,
        sampling=read_sampling(body, body.get("repetition_penalty"), biases, least),
        stop=_check_stops(body),
        top_n=top,
        constraint=constraint,
    )


def _constraint(body: Json) -> tuple[Constraint | None, Json | None]:
    """Return the constraint of a request, and its schema if it has one."""
    own = body.get("structured_outputs")
    if isinstance(own, Mapping):
        given = [name for name in ("json", "regex", "choice") if own.get(name) is not None]
        if len(given) > 1:
            kinds = "outputs ('json', 'regex' or 'choice')."
            raise _refused(f"You can only use one kind of constraints for structured {kinds}")
        if own.get("json") is not None:
            schema = own["json"]
            try:
                schema = orjson.loads(schema) if isinstance(schema, str) else schema
            except orjson.JSONDecodeError as reason:
                raise _refused(f"Invalid grammar specification: {reason}") from reason
            return constrained("json", close_schema(schema)), cast("Json", schema)
        if own.get("regex") is not None:
            return constrained("regex", own["regex"]), None
        if own.get("choice") is not None:
            choices = own["choice"]
            if not isinstance(choices, list) or not all(isinstance(one, str) for one in choices):
                wrong = {"type": "list_type", "msg": "Input should be a valid list of strings"}
                shown = f"<{type(choices).__name__}>"
                raise invalid_key("structured_outputs.choice", {**wrong, "input": shown})
            return constrained("regex", "|".join(map(re.escape, choices))), None
        if own.get("grammar") is not None:
            return constrained("ebnf", own["grammar"]), None
    wanted = body.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if not isinstance(wanted, Mapping) or kind in (None, "text"):
        return None, None
    if kind == "json_object":
        return constrained("json", {"type": "object"}), {"type": "object"}
    if kind != "json_schema":
        words = "Input should be 'text', 'json_object' or 'json_schema'"
        error = {"type": "literal_error", "msg": words, "input": str(kind)}
        raise invalid_key("response_format.type", error)
    inner = wanted.get("json_schema")
    if not isinstance(inner, Mapping):
        needed = "the 'json_schema' field must be provided."
        raise _refused(f"When response_format type is 'json_schema', {needed}", "response_format")
    schema = inner.get("schema") or {"type": "object"}
    return constrained("json", close_schema(schema)), cast("Json", schema)


def _tools(body: Json) -> tuple[Sequence[Json], Constraint | None, bool]:
    """Return the tools that the model sees, the constraint of its answer, and whether one is named.

    A forced answer is a call; its arguments are any object unless the tool says `strict`.
    """
    given, choice = body.get("tools"), body.get("tool_choice")
    if given == []:
        message = "`tools` must not be an empty array. Either provide at least one tool or omit "
        raise _refused(f"{message}the field entirely.", "tools")
    if choice not in (None, "none") and not given:
        raise _refused("When using `tool_choice`, `tools` must be set.", "tool_choice")
    if not given or choice == "none":
        return (), None, False
    tools = tools_of(body)
    names = [cast("Json", tool["function"])["name"] for tool in tools]
    if isinstance(choice, str) and choice not in ("auto", "required"):
        words = 'Only named tools, "none", "auto" or "required" are supported.'
        raise _refused(f"Invalid value for `tool_choice`: {choice}! {words}", "tool_choice")
    if isinstance(choice, Mapping):
        function = choice.get("function")
        if not isinstance(function, Mapping) or function.get("name") not in names:
            words = "does not match any of the specified `tools`"
            raise _refused(f"The tool specified in `tool_choice` {words}", "tool_choice")
        choice = {"type": "function", "function": {"name": function["name"]}}
    strict = any(cast("Json", tool["function"]).get("strict") for tool in tools)
    if choice in (None, "auto") and not strict:
        return tools, None, False
    held = [tool if _is_strict(tool) else _any_arguments(tool) for tool in tools]
    return tools, forced(choice, held)[1], isinstance(choice, Mapping)


def tools_of(body: Json) -> list[Json]:
    """Return the tools, without the keys that vLLM does not know."""
    given = body.get("tools") or []
    if not isinstance(given, list) or not all(isinstance(tool, Mapping) for tool in given):
        wrong = {"type": "list_type", "msg": "Input should be a valid list of objects"}
        raise invalid_key("tools", {**wrong, "input": f"<{type(given).__name__}>"})
    return read_tools([_known_keys(tool) for tool in given])


def _known_keys(tool: Json) -> Json:
    function = tool.get("function")
    function = function if isinstance(function, Mapping) else {}
    kept = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {k: function[k] for k in kept if k in function}}


def _is_strict(tool: Json) -> bool:
    return cast("Json", tool["function"]).get("strict") is True


def _any_arguments(tool: Json) -> Json:
    return {
        **tool,
        "function": {**cast("Json", tool["function"]), "parameters": {"type": "object"}},
    }


def prompt_of(body: Json, model: LanguageModel, tools: Sequence[Json], schema: Json | None) -> str:
    messages = body.get("messages")
    if not isinstance(messages, list):
        shown = f"<dict of {len(body)} items>"
        raise invalid_key("messages", {"type": "missing", "msg": "Field required", "input": shown})
    if body.get("continue_final_message"):
        if body.get("add_generation_prompt"):
            both = "`continue_final_message` and `add_generation_prompt` to True."
            raise _refused(f"Cannot set both {both}")
        begun = last_answer(messages)
        if begun is not None:
            return render_chat(model.prompt, messages[:-1], tools, schema) + begun
    return render_chat(model.prompt, messages, tools, schema)


def read_chat(body: Json, model: LanguageModel) -> VLLMRequest:
    _check(body, model)
    tools, call, named = _tools(body)
    constraint, schema = _constraint(body)
    top = cast("int", body.get("top_logprobs") or 0)
    if top < -1:
        raise _refused(f"`top_logprobs` {_POSITIVE}", "top_logprobs", value=top)
    if top and not body.get("logprobs"):
        message = "when using `top_logprobs`, `logprobs` must be set to true."
        raise _refused(message, "top_logprobs")
    limit = cast("int | None", body.get("max_completion_tokens") or body.get("max_tokens"))
    prompt = model.encode(prompt_of(body, model, tools, schema))
    plan = _plan(prompt, body, model, limit, top=top, constraint=constraint or call)
    return VLLMRequest(
        plans=(plan,),
        stream=bool(body.get("stream")),
        usage=wants_usage(body),
        n=cast("int", body.get("n") or 1),
        logprobs=bool(body.get("logprobs")),
        tools=bool(tools),
        named=named,
    )


def read_completions(body: Json, model: LanguageModel) -> VLLMRequest:
    _check(body, model)
    prompts = body.get("prompt")
    if prompts in (None, "", []):
        raise _refused("Either prompt or prompt_embeds must be provided and non-empty.", "prompt")
    listed = prompts if isinstance(prompts, list) else [prompts]
    if not all(isinstance(prompt, str) for prompt in listed):
        shown = f"<{type(prompts).__name__}>"
        words = {"type": "string_type", "msg": "Input should be a valid string", "input": shown}
        raise invalid_key("prompt", words)
    given = cast("list[str]", listed)
    constraint, _ = _constraint(body)
    wanted = body.get("logprobs")
    top = wanted if isinstance(wanted, int) else 0
    if top < -1:
        raise _refused(f"`logprobs` {_POSITIVE}", "logprobs", value=top)
    limit = cast("int | None", body.get("max_tokens"))
    make = partial(_plan, top=top, constraint=constraint)
    limit = _STUB if limit is None else limit
    return VLLMRequest(
        plans=tuple(make(model.encode(prompt), body, model, limit) for prompt in given),
        stream=bool(body.get("stream")),
        usage=wants_usage(body),
        n=cast("int", body.get("n") or 1),
        logprobs=wanted is not None,
        echo=tuple(given) if body.get("echo") else (),
    )
