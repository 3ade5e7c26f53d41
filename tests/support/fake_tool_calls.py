"""Tool calls as each server sends them, as messages, chunks and whole servers.

    serve_turns(wire_server, "tgi", Turn(calls=[("add", '{"a": 1}')]), Turn(["It is 1."]))

The rows of "transformers" and "llama-cpp-python" follow the running programs, those of TGI its
sources and recorded traffic, the others the servers' own documents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple, cast

from .fake_responses import DIALECTS, Json, chat, chat_events
from .fake_server import Received, Reply, WireServer, sse
from .fake_text_servers import serve
from .text_servers import TEXT_SERVERS, Calls

__all__ = ["CALLERS", "Turn", "call_events", "call_message", "serve_turns", "turn_reply"]

Call = tuple[str, str]
"""A tool's name and its arguments as JSON text, which may be cut off."""


@dataclass(frozen=True)
class Turn:
    """What a server answers to one request.

    Attributes:
        text: Text in tokens, before the calls.
        calls: The calls.
        finish_reason: Why it ends; "" for the server's own word for calls or text.
        message: More keys of the message, or of a stream's first delta.
    """

    text: Sequence[str] = ()
    calls: Sequence[Call] = ()
    finish_reason: str = ""
    message: Json = field(default_factory=dict)


class Caller(NamedTuple):
    """One server, as a name of `TEXT_SERVERS`, and how it sends calls."""

    dialect: str
    calls: Calls


CALLERS: Mapping[str, Caller] = {
    **{name: Caller(name, server.calls) for name, server in TEXT_SERVERS.items()},
    "tgi-2": Caller("tgi", Calls(lambda _: 0, "eos_token", style="bare", parsed=True)),
    "idless": Caller("openai", Calls(lambda _: None, "stop", style="whole", index=False)),
}


def call_message(server: str, calls: Sequence[Call]) -> list[Json]:
    """List the calls of a whole answer."""
    row = CALLERS[server].calls
    return [
        _named(row, number, {"name": name, "arguments": json.loads(text) if row.parsed else text})
        for number, (name, text) in enumerate(calls)
    ]


def _named(row: Calls, number: int, function: Json) -> Json:
    call: dict[str, object] = {"type": "function", "function": function}
    identity = row.ids(number)
    return call if identity is None else {"id": identity, **call}


def call_events(server: str, calls: Sequence[Call], size: int = 4) -> list[Json]:
    """List the deltas of a stream with these calls; `size` is that of a piece in characters."""
    row = CALLERS[server].calls
    return [
        {"tool_calls": entry if row.style == "bare" else [entry]}
        for number, call in enumerate(calls)
        for entry in _entries(row, number, call, size)
    ]


def _entries(row: Calls, number: int, call: Call, size: int) -> list[Json]:
    name, text = call
    place = {"index": 0 if row.style in ("typed", "bare") else number} if row.index else {}
    if row.style == "bare":
        text = json.dumps({"function": {"_name": name, **json.loads(text)}}) + "<|eot_id|>"
        parts = _pieces(text, size)
        return [{"id": "", **place, "function": {"name": None, "arguments": p}} for p in parts]
    first = _named(row, number, {"name": name, "arguments": ""})
    if row.style == "whole":
        return [{**place, **first, "function": {"name": name, "arguments": text}}]
    if row.style == "repeated":
        parts = _pieces(text, size)
        return [{**place, **first, "function": {"name": name, "arguments": p}} for p in parts]
    rest: list[Json] = [{**place, "function": {"arguments": p}} for p in _pieces(text, size)]
    if row.style == "typed":  # id and type stand in every chunk, the name in the first
        rest = [{**place, "id": "0", "type": "function", **part} for part in rest]
    return [{**place, **first}, *rest]


def _pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]


def turn_reply(server: str, turn: Turn, *, stream: bool) -> Reply:
    """Build the answer of one turn."""
    row = CALLERS[server]
    own = row.calls.finish if turn.calls else "stop"
    reason = turn.finish_reason or own
    if not stream:
        more: dict[str, object] = dict(turn.message)
        if turn.calls:
            more["tool_calls"] = call_message(server, turn.calls)
        text = "".join(turn.text) or (None if turn.calls else "")
        return chat(text, dialect=row.dialect, finish_reason=reason or "stop", message=more)
    events = chat_events([*turn.text, _PLACE], row.dialect, finish_reason=cast("str", reason))
    at = next(n for n, event in enumerate(events) if _PLACE in json.dumps(event))
    deltas = [*[turn.message] * bool(turn.message), *call_events(server, turn.calls)]
    events[at : at + 1] = _chunks(events[at], deltas or [{"content": ""}])
    dialect = DIALECTS[row.dialect]
    return sse(*events, space=dialect.space, done=dialect.done, headers=dialect.headers)


_PLACE = "<calls>"


def _chunks(pattern: Json, deltas: Sequence[Json]) -> list[Json]:
    """List chunks like the pattern with these deltas; the last one may end the answer."""
    [choice] = cast("list[dict[str, object]]", pattern["choices"])
    role = {k: v for k, v in cast("Json", choice["delta"]).items() if k == "role"}
    filled = [{**choice, "delta": {**role, **delta}} for delta in deltas]
    for early in filled[:-1]:
        early["finish_reason"] = None
    return [
        *({**pattern, "choices": [one], "usage": None} for one in filled[:-1]),
        {**pattern, "choices": [filled[-1]]},
    ]


def serve_turns(server: WireServer, caller: str, *turns: Turn, model: str = "tiny") -> None:
    """Make `server` one that answers these turns one after the other, the last again and again."""
    dialect = CALLERS[caller].dialect
    serve(server, dialect, model=model)
    number = count()

    def answer(request: Received) -> Reply:
        body = cast("dict[str, object]", request.json)
        turn = turns[min(next(number), len(turns) - 1)]
        return turn_reply(caller, turn, stream=bool(body.get("stream")))

    server.on("POST", "/v1/chat/completions", answer)
