"""A loopback server that costs next to nothing: every answer is bytes made before it listens.

Each variant (so many tokens, such a latency) has a port of its own. The server prints one line of
JSON, `{"variant": port}`, and leaves when its standard input is closed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
from dataclasses import dataclass

from . import vectors

WORDS = ("The ", "quick ", "brown ", "fox ", "jumps ", "over ", "the ", "lazy ", "dog, ", "and ")
SHORT_ANSWER = "The quick brown fox."
CALLED = "look_up_weather"
MODEL = "m"

JSON_HEAD = b"content-type: application/json\r\n"
STREAM_HEAD = b"content-type: text/event-stream\r\ncache-control: no-cache\r\n"
COMMON_HEAD = (
    b"date: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: bench\r\nx-request-id: 0123456789abcdef\r\n"
)


@dataclass(frozen=True)
class Variant:
    """What one port answers.

    Args:
        tokens: Tokens of a streamed answer, one event each.
        delay: Seconds before an answer begins.
        pause: Seconds between a stream's first token and the rest of it.
        dim: Dimensions of the vectors of an embedding server; 0 for a server that generates.
        calls: Whether a chat is answered with a tool call until it has a tool's result.
    """

    tokens: int
    delay: float = 0.0
    pause: float = 0.0
    dim: int = 0
    calls: bool = False


VARIANTS = {
    "short": Variant(20),
    "first": Variant(2, pause=0.01),
    "200": Variant(200),
    "500": Variant(500),
    "2000": Variant(2_000),
    "20000": Variant(20_000),
    "wait50": Variant(200, delay=0.05),
    "agent": Variant(20, calls=True),
    "384": Variant(1, dim=384),
    "384wait20": Variant(1, delay=0.02, dim=384),
    "1024": Variant(1, dim=1024),
    "1024wait20": Variant(1, delay=0.02, dim=1024),
}


@dataclass(frozen=True)
class Answer:
    """The bytes of one route: unstreamed, and streamed in two parts."""

    plain: bytes
    stream_first: bytes = b""
    stream_rest: bytes = b""


def tokens_of(count: int) -> list[str]:
    """Return the pieces of an answer of `count` tokens."""
    return [WORDS[i % len(WORDS)] for i in range(count)]


def text_of(count: int) -> str:
    """Return the whole text of a streamed answer of `count` tokens."""
    return "".join(tokens_of(count))


# ------------------------------------------------------------------ bytes


def _plain(body: object) -> bytes:
    return _whole(json.dumps(body, separators=(",", ":")).encode())


def _whole(data: bytes) -> bytes:
    length = b"content-length: %d\r\n\r\n" % len(data)
    return b"HTTP/1.1 200 OK\r\n" + JSON_HEAD + COMMON_HEAD + length + data


def _event(body: object, prefix: str = "data: ") -> bytes:
    text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
    data = f"{prefix}{text}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


def _streamed(events: list[bytes], first: int) -> tuple[bytes, bytes]:
    """Split a stream behind its first token; `first` counts the events up to and with it."""
    head = (
        b"HTTP/1.1 200 OK\r\n" + STREAM_HEAD + COMMON_HEAD + b"transfer-encoding: chunked\r\n\r\n"
    )
    return head + b"".join(events[:first]), b"".join(events[first:]) + b"0\r\n\r\n"


def _usage(count: int) -> dict[str, int]:
    return {"prompt_tokens": 12, "completion_tokens": count, "total_tokens": 12 + count}


def _openai(object_: str, choices: list[object], usage: dict[str, int] | None) -> dict[str, object]:
    return {
        "id": "cmpl-0123456789abcdef",
        "object": object_,
        "created": 1767225600,
        "model": MODEL,
        "system_fingerprint": "bench",
        "choices": choices,
        "usage": usage,
    }


def chat_answer(count: int) -> Answer:
    """Return `/v1/chat/completions`: a role, the tokens, the finish reason, the usage, `[DONE]`."""

    def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _event(_openai("chat.completion.chunk", [choice], None))

    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"content": token}) for token in tokens_of(count)]
    events.append(chunk({}, "stop"))
    events.append(_event(_openai("chat.completion.chunk", [], _usage(count))))
    events.append(_event("[DONE]"))
    message = {"role": "assistant", "content": SHORT_ANSWER}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return Answer(
        _plain(_openai("chat.completion", [choice], _usage(5))), *_streamed(events, first=2)
    )


def _completion_choice(text: str, finish: str | None, index: int = 0) -> dict[str, object]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


def completions_answer(count: int) -> Answer:
    """Return `/v1/completions` for one prompt."""

    def chunk(text: str, finish: str | None = None) -> bytes:
        return _event(_openai("text_completion", [_completion_choice(text, finish)], None))

    events = [chunk(token) for token in tokens_of(count)]
    events.append(chunk("", "stop"))
    events.append(_event(_openai("text_completion", [], _usage(count))))
    events.append(_event("[DONE]"))
    return Answer(many_completions(1), *_streamed(events, first=1))


def many_completions(prompts: int) -> bytes:
    """Return the answer to a `/v1/completions` request with a list of prompts."""
    choices: list[object] = [_completion_choice(SHORT_ANSWER, "stop", i) for i in range(prompts)]
    return _plain(_openai("text_completion", choices, _usage(5 * prompts)))


def call_answer() -> Answer:
    """Return a chat answer that calls a tool."""
    function = {"name": CALLED, "arguments": '{"place": "Oslo"}'}
    calls = [{"id": "call_1", "type": "function", "function": function}]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
    return Answer(_plain(_openai("chat.completion", [choice], _usage(20))))


def generate_answer(count: int, *, in_list: bool = False) -> Answer:
    """Return TGI's `/generate` and `/generate_stream`, or `/` with its list of one."""
    tokens = tokens_of(count)
    details = {
        "finish_reason": "length",
        "generated_tokens": count,
        "seed": None,
        "input_length": 12,
    }

    def event(index: int, text: str) -> bytes:
        last = index == len(tokens)
        return _event(
            {
                "index": index,
                "token": {"id": 450, "text": text, "logprob": -0.53125, "special": False},
                "generated_text": "".join(tokens) if last else None,
                "details": details if last else None,
            },
            prefix="data:",
        )

    body = {
        "generated_text": SHORT_ANSWER,
        "details": {"finish_reason": "eos_token", "generated_tokens": 5, "seed": None},
    }
    events = [event(i, token) for i, token in enumerate(tokens, 1)]
    return Answer(_plain([body] if in_list else body), *_streamed(events, first=1))


INFO = {
    "model_id": MODEL,
    "model_sha": None,
    "model_pipeline_tag": "text-generation",
    "max_concurrent_requests": 128,
    "max_best_of": 2,
    "max_stop_sequences": 4,
    "max_input_tokens": 100_000,
    "max_total_tokens": 131_072,
    "validation_workers": 2,
    "max_client_batch_size": 4,
    "router": "text-generation-router",
    "version": "3.3.4",
}
MODELS = {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": MODEL}]}


def routes_of(variant: Variant) -> dict[bytes, Answer]:
    """Return every route of one variant; a key is the request line up to the HTTP version."""
    if variant.dim:
        return {b"GET /info": Answer(_plain(vectors.TEI_INFO))}
    count = variant.tokens
    generate = generate_answer(count)
    streamed = Answer(b"", generate.stream_first, generate.stream_rest)
    return {
        b"POST /v1/chat/completions": chat_answer(count),
        b"POST /v1/completions": completions_answer(count),
        b"POST /generate": generate,
        b"POST /generate_stream": streamed,
        b"POST /": generate_answer(count, in_list=True),
        b"GET /info": Answer(_plain(INFO)),
        b"GET /v1/models": Answer(_plain(MODELS)),
        b"GET /health": Answer(_plain({})),
    }


CALL = call_answer()
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


# ------------------------------------------------------------------ sockets


class Connection(asyncio.Protocol):
    """One kept-alive connection: finds where a request ends, writes ready bytes."""

    def __init__(self, variant: Variant, routes: dict[bytes, Answer]) -> None:
        self.variant = variant
        self.routes = routes
        self.buffer = b""
        self.later = asyncio.get_running_loop().call_later

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to write to."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        data = self.buffer + data if self.buffer else data
        while data:
            head_end = data.find(b"\r\n\r\n")
            if head_end < 0:
                break
            head = data[:head_end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r", 1)[0]) if at >= 0 else 0
            end = head_end + 4 + length
            if len(data) < end:
                break
            self.answer(data[: data.index(b" HTTP/")], data[head_end + 4 : end])
            data = data[end:]
        self.buffer = data

    def answer(self, route: bytes, body: bytes) -> None:
        """Send what belongs to `route`, at once or after the variant's delay."""
        if self.variant.dim and (data := vectors.answer(self.variant.dim, route, body)):
            self.later(self.variant.delay, self.write, _whole(data), b"")
            return
        answer = self.routes.get(route)
        if self.variant.calls and b'"tools":' in body and b'"tool_call_id":' not in body:
            answer = CALL
        if answer is None:
            self.transport.write(NOT_FOUND)
            return
        streamed = b'"stream":true' in body or b'"stream": true' in body or not answer.plain
        if not streamed:
            first, rest = answer.plain, b""
            if b'"prompt":[' in body:
                first = many_completions(len(json.loads(body)["prompt"]))
        elif self.variant.pause:
            first, rest = answer.stream_first, answer.stream_rest
        else:
            first, rest = answer.stream_first + answer.stream_rest, b""
        # The delay is the model's: what only asks about the server is answered at once.
        if self.variant.delay and route.startswith(b"POST"):
            self.later(self.variant.delay, self.write, first, rest)
        else:
            self.write(first, rest)

    def write(self, first: bytes, rest: bytes) -> None:
        """Write `first` now and `rest` after the variant's pause."""
        if self.transport.is_closing():
            return
        self.transport.write(first)
        if rest:
            self.later(self.variant.pause, self.write, rest, b"")


async def main() -> None:
    """Listen on a port for each variant until standard input closes."""
    loop = asyncio.get_running_loop()
    ports = {}
    servers = []
    for name, variant in VARIANTS.items():
        routes = routes_of(variant)

        def connection(
            variant: Variant = variant, routes: dict[bytes, Answer] = routes
        ) -> Connection:
            return Connection(variant, routes)

        server = await loop.create_server(connection, "127.0.0.1", 0, backlog=4096)
        ports[name] = server.sockets[0].getsockname()[1]
        servers.append(server)
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


def _leave_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    # The server allocates nothing that lives; its collector would only disturb the client's time.
    gc.freeze()
    gc.disable()
    asyncio.run(main())
