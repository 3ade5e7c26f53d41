"""Tool calls as each server sends them, as messages, chunks and whole servers.

    serve_turns(fake_server, "tgi", Turn(calls=[("add", '{"a": 1}')]), Turn(["It is 1."]))

The rows of "transformers" and "llama-cpp-python" follow the running programs, those of TGI its
sources and recorded traffic, the others the servers' own documents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple, cast

from .fake_responses import RESPONSE_SHAPES, Json, chat, chat_events
from .fake_server import FakeServer, Received, Reply, sse
from .fake_text_servers import serve
from .text_servers import TEXT_SERVERS, Calls

__all__ = ["TOOL_CALL_SERVERS", "Turn", "call_events", "call_message", "serve_turns", "turn_reply"]

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


class ToolCallServer(NamedTuple):
    """One server, as a name of `TEXT_SERVERS`, and how it sends calls."""

    server_name: str
    calls: Calls


TOOL_CALL_SERVERS: Mapping[str, ToolCallServer] = {
    **{name: ToolCallServer(name, server.calls) for name, server in TEXT_SERVERS.items()},
    "tgi-2": ToolCallServer("tgi", Calls(lambda _: 0, "eos_token", style="bare", parsed=True)),
    "idless": ToolCallServer("openai", Calls(lambda _: None, "stop", style="whole", index=False)),
}


def call_message(server: str, calls: Sequence[Call]) -> list[Json]:
    """List the calls of a whole answer."""
    row = TOOL_CALL_SERVERS[server].calls
    return [
        _named(row, number, {"name": name, "arguments": json.loads(text) if row.parsed else text})
        for number, (name, text) in enumerate(calls)
    ]


def _named(row: Calls, number: int, function: Json) -> Json:
    call: dict[str, object] = {"type": "function", "function": function}
    identity = row.ids(number)
    return call if identity is None else {"id": identity, **call}


def call_events(server: str, calls: Sequence[Call], size: int = 4) -> list[Json]:
    """List the deltas of a stream with these calls; `size` is that of a chunk in characters."""
    row = TOOL_CALL_SERVERS[server].calls
    return [
        {"tool_calls": entry if row.style == "bare" else [entry]}
        for number, call in enumerate(calls)
        for entry in _entries(row, number, call, size)
    ]


def _entries(row: Calls, number: int, call: Call, size: int) -> list[Json]:
    name, text = call
    index = {"index": 0 if row.style in ("typed", "bare") else number} if row.index else {}
    if row.style == "bare":
        text = json.dumps({"function": {"_name": name, **json.loads(text)}}) + "<|eot_id|>"
        parts = _split(text, size)
        return [{"id": "", **index, "function": {"name": None, "arguments": p}} for p in parts]
    first = _named(row, number, {"name": name, "arguments": ""})
    if row.style == "whole":
        return [{**index, **first, "function": {"name": name, "arguments": text}}]
    if row.style == "repeated":
        parts = _split(text, size)
        return [{**index, **first, "function": {"name": name, "arguments": p}} for p in parts]
    rest: list[Json] = [{**index, "function": {"arguments": p}} for p in _split(text, size)]
    if row.style == "typed":  # id and type stand in every chunk, the name in the first
        rest = [{**index, "id": "0", "type": "function", **part} for part in rest]
    return [{**index, **first}, *rest]


def _split(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]


def turn_reply(server: str, turn: Turn, *, stream: bool) -> Reply:
    """Build the answer of one turn."""
    row = TOOL_CALL_SERVERS[server]
    own = row.calls.finish if turn.calls else "stop"
    reason = turn.finish_reason or own
    if not stream:
        more: dict[str, object] = dict(turn.message)
        if turn.calls:
            more["tool_calls"] = call_message(server, turn.calls)
        text = "".join(turn.text) or (None if turn.calls else "")
        return chat(text, server_name=row.server_name, finish_reason=reason or "stop", message=more)
    events = chat_events([*turn.text, _PLACE], row.server_name, finish_reason=cast("str", reason))
    at = next(n for n, event in enumerate(events) if _PLACE in json.dumps(event))
    deltas = [*[turn.message] * bool(turn.message), *call_events(server, turn.calls)]
    events[at : at + 1] = _chunks(events[at], deltas or [{"content": ""}])
    responses = RESPONSE_SHAPES[row.server_name]
    return sse(*events, space=responses.space, done=responses.done, headers=responses.headers)


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


def serve_turns(server: FakeServer, server_name: str, *turns: Turn, model: str = "tiny") -> None:
    """Make `server` one that answers these turns one after the other, the last again and again."""
    text_server = TOOL_CALL_SERVERS[server_name].server_name
    serve(server, text_server, model=model)
    number = count()

    def answer(request: Received) -> Reply:
        body = cast("dict[str, object]", request.json)
        turn = turns[min(next(number), len(turns) - 1)]
        return turn_reply(server_name, turn, stream=bool(body.get("stream")))

    server.on("POST", "/v1/chat/completions", answer)
