"""What each text-generation server sends, as replies for a `FakeServer`.

What the OpenAI-style servers share is built once; how each departs from it stands in its row of
`text_servers`. `fake_text_servers.serve` makes a whole server of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

from .fake_server import Reply, sse
from .text_servers import TEXT_SERVERS, Json, ResponseShape

__all__ = [
    "RESPONSE_SHAPES",
    "Json",
    "Options",
    "ResponseShape",
    "chat",
    "chat_events",
    "chat_stream",
    "completions",
    "completions_events",
    "completions_stream",
    "ollama",
    "ollama_lines",
    "ollama_stream",
    "tgi_generate",
    "tgi_generate_events",
    "tgi_generate_stream",
]

CREATED = 1_700_000_000
PROMPT_TOKENS = 7
RESPONSE_SHAPES: Mapping[str, ResponseShape] = {
    name: server.responses for name, server in TEXT_SERVERS.items()
}


def chat(
    content: str | None,
    *,
    server_name: str = "openai",
    finish_reason: str = "stop",
    completion_tokens: int = 2,
    model: str = "tiny",
    message: Json | None = None,
) -> Reply:
    """Build a whole chat answer; `message` adds keys such as `tool_calls` or `reasoning`."""
    row = RESPONSE_SHAPES[server_name]
    said = {"role": "assistant", "content": content, **row.message, **(message or {})}
    choice = {"index": 0, "message": said, **row.whole, "finish_reason": finish_reason}
    top = {**row.top, "usage": _usage(completion_tokens)}
    return Reply(_answer("chat.completion", model, top, [choice]), headers=row.headers)


def completions(
    text: str,
    *,
    server_name: str = "openai",
    finish_reason: str = "stop",
    completion_tokens: int = 2,
    model: str = "tiny",
) -> Reply:
    """Build a whole answer of the completions route."""
    row = _text_row(server_name)
    choice = {"index": 0, "text": text, **row.whole, "finish_reason": finish_reason}
    top = {**row.top, "usage": _usage(completion_tokens)}
    return Reply(_answer("text_completion", model, top, [choice]), headers=row.headers)


class Options(TypedDict, total=False):
    """What a stream may vary.

    Attributes:
        finish_reason: Why it ends, "stop" unless given.
        usage: Whether the request asked for usage, True unless given.
        model: The name of the model, "tiny" unless given.
    """

    finish_reason: str
    usage: bool
    model: str


def chat_events(
    tokens: Sequence[str], server_name: str = "openai", **options: Unpack[Options]
) -> list[Json]:
    """List the chunks of a chat stream, one for each token and what stands around them."""
    row = RESPONSE_SHAPES[server_name]
    parts: list[Json] = [{"delta": {**row.delta, "content": token}} for token in tokens]
    if row.first is not None:
        parts.insert(0, {"delta": row.first})
    if row.end or not tokens:
        parts.append({"delta": {}})
    return _events("chat.completion.chunk", parts, row, len(tokens), **options)


def completions_events(
    tokens: Sequence[str], server_name: str = "openai", **options: Unpack[Options]
) -> list[Json]:
    """List the chunks of a stream of the completions route."""
    row = _text_row(server_name)
    texts = [*tokens, ""] if row.end or not tokens else tokens
    parts: list[Json] = [{"text": text} for text in texts]
    return _events("text_completion", parts, row, len(tokens), **options)


def chat_stream(
    tokens: Sequence[str], server_name: str = "openai", **options: Unpack[Options]
) -> Reply:
    """Build a chat stream; for one with a fault, give `chat_events` and the fault to `sse`."""
    return _stream(chat_events(tokens, server_name, **options), RESPONSE_SHAPES[server_name])


def completions_stream(
    tokens: Sequence[str], server_name: str = "openai", **options: Unpack[Options]
) -> Reply:
    """Build a stream of the completions route."""
    return _stream(completions_events(tokens, server_name, **options), _text_row(server_name))


def tgi_generate(
    text: str,
    *,
    finish_reason: str = "eos_token",
    tokens: Sequence[str] = (),
    details: bool = False,
    root: bool = False,
) -> Reply:
    """Build a whole answer of TGI's own protocol: from `/generate`, or a list of one from `/`."""
    answer: dict[str, object] = {"generated_text": text}
    if details:
        answer["details"] = {
            "finish_reason": finish_reason,
            "generated_tokens": len(tokens),
            "seed": None,
            "prefill": [],
            "tokens": [_token(number, token) for number, token in enumerate(tokens)],
        }
    return Reply([answer] if root else answer)


def tgi_generate_events(
    tokens: Sequence[str], *, finish_reason: str = "eos_token", special: str = "</s>"
) -> list[Json]:
    """List the events of TGI's own stream.

    One that ends with "eos_token" has a last event for the special token, which is no part of
    the generated text. The last event also has the whole text and the details.
    """
    shown = [_token(number, token) for number, token in enumerate(tokens)]
    if finish_reason == "eos_token" or not tokens:
        shown.append(_token(len(tokens), special, special=True))
    events: list[dict[str, object]] = [
        {"index": index, "token": token, "generated_text": None, "details": None}
        for index, token in enumerate(shown, start=1)
    ]
    events[-1]["generated_text"] = "".join(tokens)
    events[-1]["details"] = {
        "finish_reason": finish_reason,
        "generated_tokens": len(shown),
        "input_length": PROMPT_TOKENS,
        "seed": None,
    }
    return [*events]


def tgi_generate_stream(
    tokens: Sequence[str], *, finish_reason: str = "eos_token", special: str = "</s>"
) -> Reply:
    """Build TGI's own stream."""
    events = tgi_generate_events(tokens, finish_reason=finish_reason, special=special)
    return sse(*events, space=False, done=False)


def ollama_lines(
    tokens: Sequence[str], *, finish_reason: str = "stop", model: str = "tiny"
) -> list[Json]:
    """List the lines of a stream of Ollama's own route: one for each token, and a last one."""
    same = {"model": model, "created_at": "2026-01-01T00:00:00Z"}
    lines: list[Json] = [{**same, "response": token, "done": False} for token in tokens]
    return [*lines, _ollama_end(same, "", finish_reason, len(tokens))]


def ollama_stream(
    tokens: Sequence[str], *, finish_reason: str = "stop", model: str = "tiny"
) -> Reply:
    """Build a stream of Ollama's own route."""
    lines = ollama_lines(tokens, finish_reason=finish_reason, model=model)
    chunks = [json.dumps(line).encode() + b"\n" for line in lines]
    return Reply(chunks=chunks, headers={"content-type": "application/x-ndjson"})


def ollama(
    text: str,
    *,
    finish_reason: str = "stop",
    completion_tokens: int = 2,
    model: str = "tiny",
    **more: object,
) -> Reply:
    """Build a whole answer of Ollama's own route; `more` are further keys."""
    same = {"model": model, "created_at": "2026-01-01T00:00:00Z", **more}
    return Reply(_ollama_end(same, text, finish_reason, completion_tokens))


def _ollama_end(same: Json, text: str, finish_reason: str, count: int) -> Json:
    counts = {"prompt_eval_count": PROMPT_TOKENS, "eval_count": count}
    times = {"total_duration": 5_000_000, "eval_duration": 3_000_000}
    return {
        **same,
        "response": text,
        "done": True,
        "done_reason": finish_reason,
        **times,
        **counts,
    }


def _token(number: int, text: str, *, special: bool = False) -> Json:
    return {"id": 100 + number, "text": text, "logprob": -0.25, "special": special}


def _text_row(server_name: str) -> ResponseShape:
    return RESPONSE_SHAPES[server_name].text or RESPONSE_SHAPES[server_name]


def _stream(events: Sequence[Json], row: ResponseShape) -> Reply:
    return sse(*events, space=row.space, done=row.done, headers=row.headers)


def _events(
    kind: str, parts: Sequence[Json], row: ResponseShape, count: int, **options: Unpack[Options]
) -> list[Json]:
    model = options.get("model", "tiny")
    choices = [{"index": 0, **row.part, **part} for part in parts]
    choices[-1]["finish_reason"] = options.get("finish_reason", "stop")
    top = {**row.top, **row.chunk}
    events = [_answer(kind, model, top, [choice]) for choice in choices]
    if row.usage == "last":
        events[-1]["usage"] = _usage(count)
    if row.usage == "asked" and options.get("usage", True):
        events.append(_answer(kind, model, {**top, "usage": _usage(count)}, []))
    return [*events]


def _answer(kind: str, model: str, top: Json, choices: Sequence[Json]) -> dict[str, object]:
    named = {"id": "answer-1", "object": kind, "created": CREATED, "model": model}
    return {**named, **top, "choices": choices}


def _usage(completion_tokens: int) -> Json:
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": completion_tokens,
        "total_tokens": PROMPT_TOKENS + completion_tokens,
    }
