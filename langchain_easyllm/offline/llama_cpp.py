"""The routes of an offline server that speaks as llama.cpp's `llama-server` does.

Sources: its documentation and its answers. It ignores keys that it does not know and the name of a
model, takes any number of stop sequences, and drops tools in silence: the templates that it
publishes have none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import orjson

from . import limits
from .answers import Piece, Stopwatch, pieces, whole
from .bodies import SPACED_DONE, HTTPError, Json, spaced_event
from .engine import Engine
from .llama_cpp_requests import (
    LlamaCppRequest,
    failed,
    prompt_of,
    read_chat,
    read_completions,
)
from .openai_style import chat_logprobs, head, token_ids, usage
from .plan import Plan
from .server_api import Answer, Handler, Reply, ServerApi, routes

_BUILD = "b1-" + limits.LABEL
_SLOTS = 4
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
        "prompt_per_token_ms": read / length if length else 0.0,
        "prompt_per_second": 1000 * length / read if read else 0.0,
        "predicted_n": count,
        "predicted_ms": wrote,
        "predicted_per_token_ms": wrote / count if count else 0.0,
        "predicted_per_second": 1000 * count / wrote if wrote else 0.0,
    }


async def chat(engine: Engine, body: Json) -> Answer:
    request = await engine.run(partial(read_chat, body, engine.language))
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


async def _stream_chat(engine: Engine, request: LlamaCppRequest) -> AsyncIterator[bytes]:
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
    request = await engine.run(partial(read_completions, body, engine.language))
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
    index: int, text: str, piece: Piece | None, request: LlamaCppRequest, reason: str | None
) -> dict[str, object]:
    shown = request.logprobs and piece is not None and piece.tokens
    found = chat_logprobs(piece.tokens, ids=True) if piece and shown else None
    return {"text": text, "index": index, "logprobs": found, "finish_reason": reason}


async def _stream_completions(engine: Engine, request: LlamaCppRequest) -> AsyncIterator[bytes]:
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
        spelled = [(token.id, engine.language.spelling(token.id)) for token in tokens]
        return {"tokens": [{"id": id, "piece": _readable(piece)} for id, piece in spelled]}
    return {"tokens": token_ids(tokens)}


def _readable(piece: bytes) -> str | list[int]:
    """Return a token's text, or its bytes where it is a part of a character."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return list(piece)


async def detokenize(engine: Engine, body: Json) -> Answer:
    ids, size = body.get("tokens", []), engine.language.vocab_size
    if not isinstance(ids, list) or not all(isinstance(one, int) for one in ids):
        raise failed("[json.exception.type_error.302] the tokens must be an array of numbers")
    if not all(0 <= one < size for one in ids):
        raise failed(f"vector::_M_range_check: a token is not below this->size() (which is {size})")
    return {"content": engine.language.decode(ids, skip_special_tokens=False)}


async def apply_template(engine: Engine, body: Json) -> Answer:
    prompt, _ = await engine.run(partial(prompt_of, body, engine.language))
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
        raise failed(f"[json.exception.parse_error.101] parse error: {error}") from error
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
