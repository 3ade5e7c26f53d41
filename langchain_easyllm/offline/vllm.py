"""The routes of an offline server that speaks as vLLM does.

Sources: the request models, validators and error handlers of vLLM 0.32's OpenAI-compatible server.
It ignores keys that it does not know, counts no alternatives beyond twenty, and holds the arguments
of a call to the tool's schema only where the tool says `strict`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import cast

from . import limits
from .answers import Piece, pieces, whole
from .bodies import SPACED_DONE, HTTPError, Json, spaced_event
from .engine import Engine
from .language_model import Token
from .openai_style import (
    chat_logprobs,
    head,
    text_logprobs,
    token_ids,
)
from .server_api import Answer, Handler, Reply, ServerApi, routes
from .tools import read_calls
from .vllm_requests import (
    VLLMRequest,
    invalid_key,
    prompt_of,
    read_chat,
    read_completions,
    tools_of,
)

VERSION = "0.32.0"
_FINGERPRINT = {"system_fingerprint": f"vllm-{VERSION}-{limits.LABEL}"}
_MESSAGE_REST = dict.fromkeys(("refusal", "annotations", "audio", "function_call"))
_CHOICE_REST = dict.fromkeys(("token_ids", "routed_experts"))
_REST = dict.fromkeys(("kv_transfer_params", "ec_transfer_params", "metrics"))
_PROMPT_REST = dict.fromkeys(("prompt_logprobs", "prompt_token_ids", "prompt_text"))
_NO_DETAILS = dict.fromkeys(("prompt_tokens_details", "completion_tokens_details"))


def _calls(text: str) -> list[dict[str, object]]:
    return [
        {
            "id": f"chatcmpl-tool-{uuid.uuid4().hex[:16]}",
            "type": "function",
            "function": {key: cast("Json", call["function"])[key] for key in ("name", "arguments")},
        }
        for call in read_calls(text)
    ]


def _reason(piece: Piece, *, called: bool, named: bool) -> str | None:
    return "tool_calls" if called and not named and piece.finish_reason else piece.finish_reason


async def chat(engine: Engine, body: Json) -> Answer:
    request = await engine.run(partial(read_chat, body, engine.language))
    if request.stream:
        return _stream_chat(engine, request)
    choices, count = list[dict[str, object]](), 0
    for index, plan, _ in request.runs:
        piece = await whole(engine, plan)
        count += len(piece.tokens)
        calls = _calls(piece.text) if request.tools else []
        message: dict[str, object] = {"role": "assistant", **_MESSAGE_REST, "reasoning": None}
        message["content"] = None if calls else piece.text
        if calls:
            message["tool_calls"] = calls
        choices.append(
            {
                "index": index,
                "message": message,
                "logprobs": chat_logprobs(piece.tokens) if request.logprobs else None,
                "finish_reason": _reason(piece, called=bool(calls), named=request.named),
                "stop_reason": piece.stop,
                **_CHOICE_REST,
            }
        )
    counted = {**request.usage_of(count), **_NO_DETAILS}
    about = {"service_tier": None, **_FINGERPRINT, "usage": counted, **_PROMPT_REST, **_REST}
    return {**head("chat.completion", "chatcmpl", engine.language), "choices": choices, **about}


async def _stream_chat(engine: Engine, request: VLLMRequest) -> AsyncIterator[bytes]:
    """Answer a chat as a stream; calls are sent when they are whole."""
    first, count = head("chat.completion.chunk", "chatcmpl", engine.language), 0
    for index, plan, _ in request.runs:
        role = {"role": "assistant", "content": ""}
        begun = {"index": index, "delta": role, "logprobs": None, "finish_reason": None}
        about = {"prompt_token_ids": None, "prompt_text": None}
        yield spaced_event({**first, "choices": [begun], **about})
        held, tokens = "", list[Token]()
        async for piece in pieces(engine, plan):
            count += len(piece.tokens)
            held += piece.text
            tokens += piece.tokens
            if request.tools and not piece.finish_reason and _may_call(held):
                continue
            calls = _calls(held) if request.tools and piece.finish_reason else []
            for delta in _call_deltas(calls):
                choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
                yield spaced_event({**first, "choices": [{**choice, "token_ids": None}]})
            text = "" if calls else held
            choice = {
                "index": index,
                "delta": {"content": text} if text else {},
                "logprobs": chat_logprobs(tokens) if request.logprobs else None,
                "finish_reason": _reason(piece, called=bool(calls), named=request.named),
            }
            if piece.finish_reason:
                choice["stop_reason"] = piece.stop
            held, tokens = "", []
            yield spaced_event({**first, "choices": [{**choice, "token_ids": None}]})
    if request.usage:
        counted = request.usage_of(count)
        yield spaced_event({**first, "choices": [], "usage": counted, **_FINGERPRINT})
    yield SPACED_DONE


def _may_call(text: str) -> bool:
    start, text = "<tool_call>", text.lstrip()
    return text.startswith(start) or start.startswith(text)


def _call_deltas(calls: Sequence[Json]) -> Iterator[dict[str, object]]:
    for index, call in enumerate(calls):
        function = cast("Json", call["function"])
        begun = {**call, "index": index, "function": {"name": function["name"], "arguments": ""}}
        yield {"tool_calls": [begun]}
        rest = {"index": index, "function": {"arguments": function["arguments"]}}
        yield {"tool_calls": [rest]}


async def completions(engine: Engine, body: Json) -> Answer:
    request = await engine.run(partial(read_completions, body, engine.language))
    if request.stream:
        return _stream_completions(engine, request)
    choices, count = list[dict[str, object]](), 0
    for index, plan, echo in request.runs:
        piece = await whole(engine, plan)
        count += len(piece.tokens)
        choice = _text_choice(index, piece, request, echo)
        prompt = {"prompt_logprobs": None, "prompt_token_ids": None, "routed_experts": None}
        choices.append({**choice, **prompt})
    counted = {**request.usage_of(count), **_NO_DETAILS}
    about = {"service_tier": None, **_FINGERPRINT, "usage": counted, **_REST}
    return {**head("text_completion", "cmpl", engine.language), "choices": choices, **about}


def _text_choice(index: int, piece: Piece, request: VLLMRequest, echo: str) -> dict[str, object]:
    return {
        "index": index,
        "text": echo + piece.text,
        "logprobs": text_logprobs(piece.tokens, len(echo)) if request.logprobs else None,
        "finish_reason": piece.finish_reason,
        "stop_reason": piece.stop,
        "token_ids": None,
    }


async def _stream_completions(engine: Engine, request: VLLMRequest) -> AsyncIterator[bytes]:
    first, count = head("text_completion", "cmpl", engine.language), 0
    for index, plan, begun in request.runs:
        echo = begun
        async for piece in pieces(engine, plan):
            count += len(piece.tokens)
            choice = {**_text_choice(index, piece, request, echo), "prompt_token_ids": None}
            yield spaced_event({**first, "choices": [choice]})
            echo = ""
    if request.usage:
        counted = request.usage_of(count)
        yield spaced_event({**first, "choices": [], "usage": counted, **_FINGERPRINT})
    yield SPACED_DONE


async def tokenize(engine: Engine, body: Json) -> Answer:
    def work() -> dict[str, object]:
        model = engine.language
        if isinstance(prompt := body.get("prompt"), str):
            special = bool(body.get("add_special_tokens", True))
            tokens = model.encode(prompt, add_special_tokens=special)
        elif "messages" in body:
            tokens = model.encode(prompt_of(body, model, tools_of(body), None))
        else:
            error = {"type": "missing", "msg": "Field required", "input": "<dict>"}
            raise invalid_key("prompt", error)
        strings = [token.text for token in tokens] if body.get("return_token_strs") else None
        return {
            "count": len(tokens),
            "max_model_len": limits.max_total_tokens(model.context),
            "tokens": token_ids(tokens),
            "token_strs": strings,
        }

    return await engine.run(work)


async def detokenize(engine: Engine, body: Json) -> Answer:
    ids = body.get("tokens")
    if not isinstance(ids, list) or not all(isinstance(one, int) for one in ids):
        error = {"type": "missing", "msg": "Field required", "input": "<dict>"}
        raise invalid_key("tokens", error)
    known = [one for one in ids if 0 <= one < engine.language.vocab_size]
    return {"prompt": engine.language.decode(known, skip_special_tokens=False)}


async def _health(_engine: Engine, _: Json) -> Answer:
    return None


async def _version(_engine: Engine, _: Json) -> Answer:
    return {"version": VERSION}


async def _models(engine: Engine, _: Json) -> Answer:
    name = engine.language.name
    card = {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "vllm",
        "root": name,
        "parent": None,
        "max_model_len": limits.max_total_tokens(engine.language.context),
        "permission": [],
    }
    return {"object": "list", "data": [card]}


async def _metrics(engine: Engine, _: Json) -> Answer:
    labels = f'{{engine="0",model_name="{engine.language.name}"}}'
    name, meaning = "vllm:num_requests_running", "Number of requests in model execution batches."
    return Reply(
        f"# HELP {name} {meaning}\n# TYPE {name} gauge\n{name}{labels} {engine.in_flight:.1f}\n"
    )


def _shape(error: HTTPError) -> dict[str, object]:
    """Write an error as vLLM does; those of the shared code get its names of them."""
    kind = error.kind
    if not kind[:1].isupper():
        kind = "InternalServerError" if error.status >= 500 else "BadRequestError"
    param = error.details.get("param")
    inner = {"message": error.message, "type": kind, "param": param, "code": error.status}
    return {"error": inner}


def _failure(error: HTTPError) -> bytes:
    return spaced_event(_shape(error)) + SPACED_DONE


def _missing(_name: str, _path: str, others: tuple[str, ...]) -> HTTPError:
    words, status = ("Method Not Allowed", 405) if others else ("Not Found", 404)
    headers = {"allow": ", ".join(others)} if others else {}
    return HTTPError(words, words, status, headers, lambda error: {"detail": error.message})


def _parse(content_type: str, body: bytes) -> Json:
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json":
        message = "Unsupported Media Type: Only 'application/json' is allowed"
        raise HTTPError(message, "Bad Request", 400)
    try:
        value = json.loads(body)
    except ValueError as error:
        words = {"error": getattr(error, "msg", str(error))}
        wrong = {"type": "json_invalid", "msg": "JSON decode error", "input": {}, "ctx": words}
        raise invalid_key(str(getattr(error, "pos", 0)), wrong) from error
    if not isinstance(value, dict):
        expected = "Input should be a valid dictionary or object to extract fields from"
        wrong = {"type": "model_attributes_type", "loc": "body", "msg": expected}
        message = f"1 validation error:\n  {wrong}"
        raise HTTPError(message, "Bad Request", 400, details={"param": "body"})
    return value


_ASKED: dict[str, Handler] = {
    "/health": _health,
    "/ping": _health,
    "/version": _version,
    "/metrics": _metrics,
    "/v1/models": _models,
}
_POSTED: dict[str, Handler] = {
    "/v1/chat/completions": chat,
    "/v1/completions": completions,
    "/tokenize": tokenize,
    "/detokenize": detokenize,
}

VLLM = ServerApi(
    routes=routes(_ASKED, _POSTED, _shape, _failure),
    shape=_shape,
    missing=_missing,
    parse=_parse,
    statuses={422: 400, 424: 500},
    stream_type="text/event-stream; charset=utf-8",
)
