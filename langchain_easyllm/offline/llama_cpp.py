"""The routes of an offline server that speaks as llama.cpp's `llama-server` does.

Sources: its documentation and its answers. It ignores keys that it does not know and the name of a
model, takes any number of stop sequences, and drops tools in silence: the templates that it
publishes have none.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import orjson

from .._llguidance import close_schema
from . import limits
from .answers import Piece, Stopwatch, pieces, whole
from .bodies import SPACED_DONE, HTTPError, Json, spaced_event
from .constraint import Constraint
from .conversation import render_chat
from .engine import Engine
from .language_model import LanguageModel
from .openai_style import (
    chat_logprobs,
    constrained,
    head,
    last_answer,
    read_sampling,
    refuse_lacking,
    texts,
    token_ids,
    usage,
    wants_usage,
)
from .plan import Plan
from .server_api import Answer, Handler, Reply, ServerApi, routes
from .tokenizing import TokenText

_BUILD = "b1-" + limits.LABEL
_EMPTY = '"prompt" must not be empty'
_SLOTS = 4
_TOP_LOGPROBS = 20  # alternatives where a request names no number
_NUMBERS = (
    *("max_tokens", "n_predict", "n", "seed", "temperature", "top_p", "top_k", "min_p"),
    *("typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty", "top_logprobs"),
)
# What llama-server acts by and this one does not, with the value that says nothing.
_LACKING: Mapping[str, object] = {
    **dict.fromkeys(("mirostat", "dry_multiplier", "xtc_probability", "dynatemp_range"), 0),
    "top_n_sigma": -1,
    "samplers": [],
    "return_tokens": False,
}
# What the template has room for: without tools, there are none in a conversation either.
_CAPABILITIES = {
    "supports_object_arguments": False,
    "supports_parallel_tool_calls": False,
    "supports_preserve_reasoning": False,
    "supports_reasoning_effort": False,
    "supports_string_content": True,
    "supports_system_role": True,
    "supports_tool_calls": False,
    "supports_tools": False,
    "supports_typed_content": False,
}


@dataclass(frozen=True, slots=True)
class _Request:
    plans: tuple[Plan, ...]  # one for each prompt
    stream: bool
    usage: bool
    logprobs: bool
    begun: str = ""  # the assistant's message that it continues, which its answer begins with
    streams_begun: bool = True  # whether a stream begins with it, too


def _refused(message: str) -> HTTPError:
    return HTTPError(message, "invalid_request_error", 400)


def _failed(message: str) -> HTTPError:
    return HTTPError(message, "server_error", 500)


def _check(body: Json) -> None:
    for name in _NUMBERS:
        value = body.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            found = {bool: "boolean", str: "string", list: "array"}.get(type(value), "object")
            reason = f"type must be number, but is {found}"
            raise _refused(f"Field '{name}': [json.exception.type_error.302] {reason}")
    if (n := body.get("n")) not in (None, 1):
        raise _refused(f"Field 'n': Value must be between 1 <= value <= 1, but got {n}")
    refuse_lacking(body, _LACKING)


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
    prompt: list[TokenText], body: Json, model: LanguageModel, constraint: Constraint | None
) -> Plan:
    if not prompt:  # begins with nothing, where the model has no token for that
        raise _refused(_EMPTY)
    if len(prompt) >= model.context:
        message = (
            f"request ({len(prompt)} tokens) exceeds the available context size "
            f"({model.context} tokens), try increasing it"
        )
        counts = {"n_prompt_tokens": len(prompt), "n_ctx": model.context}
        raise HTTPError(message, "exceed_context_size_error", 400, details=counts)
    limit = body.get("max_tokens", body.get("max_completion_tokens", body.get("n_predict")))
    room = model.context - len(prompt)
    top = body.get("logprobs") or body.get("n_probs") or 0
    top = body.get("top_logprobs", _TOP_LOGPROBS) if top is True else top
    room = min(limit, room) if isinstance(limit, int) and limit > 0 else room
    biases = _biases(body.get("logit_bias"), model)
    least = room if body.get("ignore_eos") else 0
    return Plan(
        prompt=tuple(prompt),
        max_new_tokens=room,
        sampling=read_sampling(body, body.get("repeat_penalty"), biases, least),
        stop=tuple(stop for stop in texts(body.get("stop")) if stop),
        top_n=int(cast("int", top)),
        constraint=constraint,
    )


def _constraint(body: Json, *, chat: bool) -> tuple[Constraint | None, Json | None]:
    """Return the constraint of a request, and its schema if it has one."""
    schema, grammar = body.get("json_schema"), body.get("grammar")
    if schema is not None and grammar:
        raise _failed("Cannot use both json_schema and grammar")
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


def _prompt_of(
    body: Json, model: LanguageModel, schema: Json | None = None
) -> tuple[str, str | None]:
    """Return the prompt of a chat, and the assistant's message at its end; None without one."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise _refused("'messages' is required")
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


def _read_chat(body: Json, model: LanguageModel) -> _Request:
    _check(body)
    constraint, schema = _constraint(body, chat=True)
    prompt, begun = _prompt_of(body, model, schema)
    if begun is not None and constraint is not None:  # it is held to the beginning, too
        raise _refused("Failed to initialize samplers: std::exception")
    plan = _plan(model.encode(prompt), body, model, constraint)
    repeats = not _asks_to_continue(body)
    return replace(_request(body, plan), begun=begun or "", streams_begun=repeats)


def _read_completions(body: Json, model: LanguageModel) -> _Request:
    _check(body)
    prompts = body.get("prompt")
    if prompts is None:
        raise _refused("[json.exception.out_of_range.403] key 'prompt' not found")
    if not all(isinstance(prompt, str) for prompt in texts(prompts)):
        kinds = "a string, a list of tokens, a JSON object containing a prompt string, or a list"
        raise _refused(f'"prompt" elements must be {kinds} of mixed strings & tokens.')
    constraint, _ = _constraint(body, chat=False)
    given = texts(prompts)
    if not given:
        raise _refused(_EMPTY)
    plans = [_plan(model.encode(prompt), body, model, constraint) for prompt in given]
    return _request(body, *plans)


def _request(body: Json, *plans: Plan) -> _Request:
    logprobs = bool(body.get("logprobs"))
    return _Request(plans, bool(body.get("stream")), wants_usage(body), logprobs)


def _about(kind: str, engine: Engine) -> dict[str, object]:
    return {**head(kind, "chatcmpl", engine.language), "system_fingerprint": _BUILD}


def _usage(plan: Plan, count: int) -> dict[str, object]:
    return {**usage(len(plan.prompt), count), "prompt_tokens_details": {"cached_tokens": 0}}


def _timings(plan: Plan, count: int, watch: Stopwatch) -> dict[str, object]:
    read, wrote = 1000 * watch.prompt_time, 1000 * watch.answer_time
    length = len(plan.prompt)
    return {
        "cache_n": 0,
        "prompt_n": length,
        "prompt_ms": read,
        "prompt_per_token_ms": read / length,
        "prompt_per_second": 1000 * length / read if read else 0.0,
        "predicted_n": count,
        "predicted_ms": wrote,
        "predicted_per_token_ms": wrote / count,
        "predicted_per_second": 1000 * count / wrote if wrote else 0.0,
    }


async def chat(engine: Engine, body: Json) -> Answer:
    request = await engine.run(partial(_read_chat, body, engine.language))
    if request.stream:
        return _stream_chat(engine, request)
    [plan] = request.plans
    watch = Stopwatch()
    piece = await whole(engine, plan, watch)
    choice: dict[str, object] = {
        "finish_reason": piece.finish_reason,
        "index": 0,
        "message": {"role": "assistant", "content": request.begun + piece.text},
    }
    if request.logprobs:
        choice["logprobs"] = chat_logprobs(piece.tokens, ids=True)
    count = len(piece.tokens)
    measured = {"usage": _usage(plan, count), "timings": _timings(plan, count, watch)}
    return {"choices": [choice], **_about("chat.completion", engine), **measured}


async def _stream_chat(engine: Engine, request: _Request) -> AsyncIterator[bytes]:
    [plan] = request.plans
    watch, count, about = Stopwatch(), 0, _about("chat.completion.chunk", engine)

    def chunk(delta: Json, piece: Piece | None = None, reason: str | None = None) -> Json:
        choice = {"finish_reason": reason, "index": 0, "delta": delta}
        if request.logprobs and piece and delta:
            choice["logprobs"] = chat_logprobs(piece.tokens, ids=True)
        return {"choices": [choice], **about}

    yield spaced_event(chunk({"role": "assistant", "content": None}))
    reason, begun = None, request.begun if request.streams_begun else ""
    async for piece in pieces(engine, plan, watch):
        count += len(piece.tokens)
        reason = piece.finish_reason
        if begun + piece.text:
            yield spaced_event(chunk({"content": begun + piece.text}, piece))
            begun = ""
    timings = {"timings": _timings(plan, count, watch)}
    last = chunk({}, reason=reason)
    if request.usage:
        yield spaced_event(last)
        yield spaced_event({"choices": [], **about, "usage": _usage(plan, count), **timings})
    else:
        yield spaced_event({**last, **timings})
    yield SPACED_DONE


async def completions(engine: Engine, body: Json) -> Answer:
    request = await engine.run(partial(_read_completions, body, engine.language))
    if request.stream:
        return _stream_completions(engine, request)
    choices, measured = list[Json](), dict[str, object]()
    for index, plan in enumerate(request.plans):
        watch = Stopwatch()
        piece = await whole(engine, plan, watch)
        choices.append(_text_choice(index, piece.text, piece, request, piece.finish_reason))
        if not measured:  # of the first prompt only
            count = len(piece.tokens)
            measured["usage"] = _usage(plan, count)
            measured["timings"] = _timings(plan, count, watch)
    return {"choices": choices, **_about("text_completion", engine), **measured}


def _text_choice(
    index: int, text: str, piece: Piece | None, request: _Request, reason: str | None
) -> dict[str, object]:
    found = chat_logprobs(piece.tokens, ids=True) if request.logprobs and piece else None
    return {"text": text, "index": index, "logprobs": found, "finish_reason": reason}


async def _stream_completions(engine: Engine, request: _Request) -> AsyncIterator[bytes]:
    about = _about("text_completion", engine)
    for index, plan in enumerate(request.plans):
        watch, count, reason = Stopwatch(), 0, None
        async for piece in pieces(engine, plan, watch):
            count += len(piece.tokens)
            reason = piece.finish_reason
            if piece.text:
                choice = _text_choice(index, piece.text, piece, request, None)
                yield spaced_event({"choices": [choice], **about})
        last = _text_choice(index, "", None, request, reason)
        measured = {"usage": _usage(plan, count), "timings": _timings(plan, count, watch)}
        yield spaced_event({"choices": [last], **about, **measured})
    yield SPACED_DONE


async def tokenize(engine: Engine, body: Json) -> Answer:
    content = str(body.get("content") or "")
    special = bool(body.get("add_special"))
    work = partial(engine.language.encode, content, add_special_tokens=special)
    tokens = await engine.run(work) if content else []
    if body.get("with_pieces"):
        return {"tokens": [{"id": token.id, "piece": token.text} for token in tokens]}
    return {"tokens": token_ids(tokens)}


async def detokenize(engine: Engine, body: Json) -> Answer:
    ids = [one for one in cast("list[object]", body.get("tokens") or []) if isinstance(one, int)]
    return {"content": engine.language.decode(ids)}


async def apply_template(engine: Engine, body: Json) -> Answer:
    prompt, _ = await engine.run(partial(_prompt_of, body, engine.language))
    return {"prompt": prompt}


async def no_embeddings(_engine: Engine, _: Json) -> Answer:
    message = "This server does not support embeddings. Start it with `--embeddings`"
    raise HTTPError(message, "not_supported_error", 501)


async def no_reranking(_engine: Engine, _: Json) -> Answer:
    message = "This server does not support reranking. Start it with `--reranking`"
    raise HTTPError(message, "not_supported_error", 501)


async def _health(_engine: Engine, _: Json) -> Answer:
    return {"status": "ok"}


async def _props(engine: Engine, _: Json) -> Answer:
    return {
        "default_generation_settings": {"params": {}, "n_ctx": engine.language.context},
        "total_slots": _SLOTS,
        "model_alias": engine.language.name,
        "model_path": engine.language.name,
        "modalities": {"vision": False, "video": False, "audio": False},
        "endpoint_slots": True,
        "endpoint_props": False,
        "endpoint_metrics": True,
        "chat_template": engine.language.chat_template,
        "chat_template_caps": _CAPABILITIES,
        "bos_token": engine.language.bos_token,
        "eos_token": engine.language.eos_token,
        "build_info": _BUILD,
    }


async def _slots(engine: Engine, _: Json) -> Answer:
    same = {"n_ctx": engine.language.context, "speculative": False}
    busy = engine.in_flight
    return [{"id": id, **same, "is_processing": id < busy} for id in range(_SLOTS)]


async def _metrics(engine: Engine, _: Json) -> Answer:
    name, meaning = "llamacpp:requests_processing", "Number of requests processing."
    return Reply(f"# HELP {name} {meaning}\n# TYPE {name} gauge\n{name} {engine.in_flight}\n")


async def _models(engine: Engine, _: Json) -> Answer:
    name, context = engine.language.name, engine.language.context
    meta = {"n_ctx": context, "n_ctx_train": context}
    listed = {"name": name, "model": name, "type": "model", "capabilities": ["completion"]}
    card = {
        "id": name,
        "aliases": [name],
        "tags": [],
        "object": "model",
        "created": 0,
        "owned_by": "llamacpp",
        "meta": meta,
    }
    return {"models": [listed], "object": "list", "data": [card]}


def _shape(error: HTTPError) -> dict[str, object]:
    """Write an error as llama-server does; those of the shared code get its names of them."""
    kind = error.kind
    if kind in ("validation", "template_error", "generation", "tool_error", "overloaded"):
        kind = "server_error" if error.status >= 500 else "invalid_request_error"
    inner = {"code": error.status, "message": error.message, "type": kind, **error.details}
    return {"error": inner}


def _failure(error: HTTPError) -> bytes:
    return spaced_event(_shape(error))


def _missing(_name: str, _path: str, _others: tuple[str, ...]) -> HTTPError:
    return HTTPError("File Not Found", "not_found_error", 404)


def _parse(_content_type: str, body: bytes) -> Json:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _failed(f"[json.exception.parse_error.101] parse error: {error}") from error
    return value if isinstance(value, dict) else {}


_ASKED: dict[str, Handler] = {
    "/health": _health,
    "/props": _props,
    "/slots": _slots,
    "/metrics": _metrics,
    "/v1/models": _models,
    "/models": _models,
}
_POSTED: dict[str, Handler] = {
    "/v1/chat/completions": chat,
    "/chat/completions": chat,
    "/v1/completions": completions,
    "/tokenize": tokenize,
    "/detokenize": detokenize,
    "/apply-template": apply_template,
    "/v1/embeddings": no_embeddings,
    "/v1/rerank": no_reranking,
}

LLAMA_CPP = ServerApi(
    routes=routes(_ASKED, _POSTED, _shape, _failure),
    shape=_shape,
    missing=_missing,
    parse=_parse,
    statuses={422: 400, 424: 500},
    headers={"server": "llama.cpp"},
    json_type="application/json; charset=utf-8",
)
