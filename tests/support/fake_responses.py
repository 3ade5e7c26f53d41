"""What each text-generation server sends, as replies for a `WireServer`.

What the OpenAI-style servers share is built once; how each departs from it is a row of `DIALECTS`.
The rows of "transformers" and "llama-cpp-python" were written beside the running programs, the
others after the servers' own documents and recorded traffic. `fake_text_servers.serve` makes a
whole server of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict, Unpack

from .fake_server import Reply, sse

__all__ = [
    "DIALECTS",
    "Dialect",
    "Json",
    "Options",
    "chat",
    "chat_events",
    "chat_stream",
    "completions",
    "completions_events",
    "completions_stream",
    "tgi_generate",
    "tgi_generate_events",
    "tgi_generate_stream",
]

Json = Mapping[str, object]
CREATED = 1_700_000_000
PROMPT_TOKENS = 7
NULLS: Json = {"logprobs": None, "finish_reason": None}
TGI_FIELDS = frozenset(
    {
        "details",
        "do_sample",
        "grammar",
        "max_new_tokens",
        "repetition_penalty",
        "top_k",
        "truncate",
        "typical_p",
        "watermark",
    }
)
TGI_TOP: Json = {"id": "", "system_fingerprint": "3.3.4-native"}


@dataclass(frozen=True)
class Dialect:
    """How one server departs from the shape that all of them share.

    Attributes:
        top: More keys of every answer and chunk.
        chunk: More keys of every chunk.
        whole: More keys of the choice of a whole answer.
        part: Keys of the choice in every chunk; `finish_reason` is set at the end.
        message: More keys of a whole chat message.
        delta: More keys of every delta with content.
        first: The delta of a first chunk before all content; None if there is no such chunk.
        end: Whether the finish reason comes in a chunk of its own after the last token.
        usage: When a stream has it: in a chunk of its own if the request asks for it, always in
            the last chunk, or never.
        done: Whether `[DONE]` ends a stream.
        space: Whether a blank follows `data:`.
        stop: What becomes of a stop sequence: "cut" from the text; "kept" with the whole token that
            completes it; "ended" as kept, but unseen if that token goes on after it.
        max_stops: The most stop sequences that a request may have.
        refuses: Fields that it does not know and answers with an error.
        headers: More headers of every successful answer.
        text: The row for the completions route, where it differs.
    """

    top: Json = field(default_factory=dict)
    chunk: Json = field(default_factory=dict)
    whole: Json = field(default_factory=lambda: {"logprobs": None})
    part: Json = field(default_factory=lambda: NULLS)
    message: Json = field(default_factory=dict)
    delta: Json = field(default_factory=dict)
    first: Json | None = None
    end: bool = True
    usage: Literal["asked", "last", "never"] = "asked"
    done: bool = True
    space: bool = True
    stop: Literal["cut", "kept", "ended"] = "cut"
    max_stops: int | None = None
    refuses: frozenset[str] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)
    text: Dialect | None = None


DIALECTS: Mapping[str, Dialect] = {
    "openai": Dialect(
        top={"system_fingerprint": "fp_1", "service_tier": "default"},
        message={"refusal": None, "annotations": []},
        first={"role": "assistant", "content": "", "refusal": None},
    ),
    "tgi": Dialect(
        top=TGI_TOP,
        chunk={"usage": None},
        delta={"role": "assistant"},
        end=False,
        space=False,
        stop="ended",
        max_stops=4,
        text=Dialect(
            top=TGI_TOP,
            part={"logprobs": None, "finish_reason": ""},
            end=False,
            usage="last",
            space=False,
        ),
    ),
    "vllm": Dialect(
        whole={"logprobs": None, "stop_reason": None},
        message={"reasoning_content": None, "tool_calls": []},
        first={"role": "assistant", "content": ""},
    ),
    "llamacpp": Dialect(
        top={"system_fingerprint": "b6800-1"},
        whole={},
        part={"finish_reason": None},
        first={"role": "assistant", "content": None},
    ),
    "llama-cpp-python": Dialect(first={"role": "assistant"}, usage="never"),
    "transformers": Dialect(
        chunk={"system_fingerprint": ""},
        whole={},
        part={},
        first={"role": "assistant"},
        usage="last",
        done=False,
        stop="kept",
        refuses=TGI_FIELDS | {"min_p", "guided_json"},
        text=Dialect(whole={}, part={}, usage="last", done=False),
    ),
    # A provider behind the router: text and seed stray beside the delta.
    "router": Dialect(
        chunk={"usage": None},
        part={**NULLS, "text": "", "seed": None},
        delta={"role": "assistant", "tool_calls": None},
        end=False,
        usage="last",
        headers={"retry-after": "30"},
    ),
}


def chat(
    content: str | None,
    *,
    dialect: str = "openai",
    finish_reason: str = "stop",
    completion_tokens: int = 2,
    model: str = "tiny",
    message: Json | None = None,
) -> Reply:
    """Build a whole chat answer; `message` adds keys such as `tool_calls` or `reasoning`."""
    row = DIALECTS[dialect]
    said = {"role": "assistant", "content": content, **row.message, **(message or {})}
    choice = {"index": 0, "message": said, **row.whole, "finish_reason": finish_reason}
    top = {**row.top, "usage": _usage(completion_tokens)}
    return Reply(_answer("chat.completion", model, top, [choice]), headers=row.headers)


def completions(
    text: str,
    *,
    dialect: str = "openai",
    finish_reason: str = "stop",
    completion_tokens: int = 2,
    model: str = "tiny",
) -> Reply:
    """Build a whole answer of the completions route."""
    row = _text_row(dialect)
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
    tokens: Sequence[str], dialect: str = "openai", **options: Unpack[Options]
) -> list[Json]:
    """List the chunks of a chat stream, one for each token and what stands around them."""
    row = DIALECTS[dialect]
    parts: list[Json] = [{"delta": {**row.delta, "content": token}} for token in tokens]
    if row.first is not None:
        parts.insert(0, {"delta": row.first})
    if row.end or not tokens:
        parts.append({"delta": {}})
    return _events("chat.completion.chunk", parts, row, len(tokens), **options)


def completions_events(
    tokens: Sequence[str], dialect: str = "openai", **options: Unpack[Options]
) -> list[Json]:
    """List the chunks of a stream of the completions route."""
    row = _text_row(dialect)
    texts = [*tokens, ""] if row.end or not tokens else tokens
    parts: list[Json] = [{"text": text} for text in texts]
    return _events("text_completion", parts, row, len(tokens), **options)


def chat_stream(
    tokens: Sequence[str], dialect: str = "openai", **options: Unpack[Options]
) -> Reply:
    """Build a chat stream; for one with a fault, give `chat_events` and the fault to `sse`."""
    return _stream(chat_events(tokens, dialect, **options), DIALECTS[dialect])


def completions_stream(
    tokens: Sequence[str], dialect: str = "openai", **options: Unpack[Options]
) -> Reply:
    """Build a stream of the completions route."""
    return _stream(completions_events(tokens, dialect, **options), _text_row(dialect))


def tgi_generate(
    text: str,
    *,
    finish_reason: str = "eos_token",
    tokens: Sequence[str] = (),
    details: bool = False,
    root: bool = False,
) -> Reply:
    """Build a whole answer of TGI's own wire: from `/generate`, or a list of one from `/`."""
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


def _token(number: int, text: str, *, special: bool = False) -> Json:
    return {"id": 100 + number, "text": text, "logprob": -0.25, "special": special}


def _text_row(dialect: str) -> Dialect:
    return DIALECTS[dialect].text or DIALECTS[dialect]


def _stream(events: Sequence[Json], row: Dialect) -> Reply:
    return sse(*events, space=row.space, done=row.done, headers=row.headers)


def _events(
    kind: str, parts: Sequence[Json], row: Dialect, count: int, **options: Unpack[Options]
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
