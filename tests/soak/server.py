"""The server of the soak, a process of its own: `python -m tests.soak.server` prints its port.

It speaks OpenAI's chat, completions and embeddings and TGI's generate, and meets each attempt with
the fault that follows from its id.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from .answers import DIM, ID, LARGE, SMUGGLED, fault_of, tokens_of, vector_of

__all__ = ["running_server"]

Json = dict[str, object]
STALL = 20.0
"""Seconds after which a stalled connection is closed, should the client not have left."""


@contextmanager
def running_server() -> Iterator[str]:
    """Run the server in a process of its own; gives its address."""
    command = [sys.executable, "-m", __name__]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def _event(value: Json) -> bytes:
    return b"data: %b\n\n" % json.dumps(value).encode()


def _chat(ident: str, tokens: Sequence[str], *, stream: bool) -> list[bytes]:
    base = {"id": f"chatcmpl-{ident}", "created": 1, "model": "m"}
    usage = {"prompt_tokens": 1, "completion_tokens": len(tokens), "total_tokens": len(tokens) + 1}
    if not stream:
        message = {"role": "assistant", "content": "".join(tokens)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = base | {"object": "chat.completion", "choices": [choice], "usage": usage}
        return [json.dumps(whole).encode()]
    base["object"] = "chat.completion.chunk"

    def chunk(delta: Json, reason: str | None) -> bytes:
        return _event(base | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

    content = [chunk({"role": "assistant", "content": token}, None) for token in tokens]
    return [*content, chunk({}, "stop"), b"data: [DONE]\n\n"]


def _generate(tokens: Sequence[str], *, stream: bool) -> list[bytes]:
    text = "".join(tokens)
    details = {"finish_reason": "eos_token", "generated_tokens": len(tokens), "seed": None}
    if not stream:
        whole = {"generated_text": text, "details": {**details, "prefill": [], "tokens": []}}
        return [json.dumps(whole).encode()]

    def event(n: int, token: str, *, last: bool = False) -> bytes:
        value = {"id": n, "text": token, "logprob": -1.0, "special": last}
        ended = {"generated_text": text, "details": details} if last else {}
        return _event(
            {"index": n, "token": value, "generated_text": None, "details": None, **ended}
        )

    content = [event(n, token) for n, token in enumerate(tokens)]
    return [*content, event(len(tokens), "</s>", last=True)]


def _embed(body: Json) -> list[bytes]:
    texts = body["input"]
    assert isinstance(texts, list)
    vectors: list[object] = [vector_of(text) for text in texts]
    if body.get("encoding_format") == "base64":
        packed = (struct.pack(f"<{DIM}f", *vector_of(text)) for text in texts)
        vectors = [b64encode(each).decode() for each in packed]
    data = [{"object": "embedding", "index": n, "embedding": v} for n, v in enumerate(vectors)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return [json.dumps({"object": "list", "data": data, "model": "m", "usage": usage}).encode()]


def _payload(path: str, body: Json, ident: str) -> tuple[list[bytes], bool]:
    """The pieces of the right answer, and whether they are events."""
    if path == "/v1/embeddings":
        return _embed(body), False
    stream = path == "/generate_stream" or bool(body.get("stream"))
    tokens = tokens_of(ident)
    if path.startswith("/generate"):
        return _generate(tokens, stream=stream), stream
    return _chat(ident, tokens, stream=stream), stream


def _render(pieces: Sequence[bytes], framing: str, *, events: bool) -> tuple[bytes, bytes]:
    """The head, and the body in its framing."""
    kind = "text/event-stream" if events else "application/json"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n"
    if framing == "chunked":
        head += "transfer-encoding: chunked\r\n"
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
        body += b"0\r\n\r\n"
    else:
        body = b"".join(pieces)
        head += (
            f"content-length: {len(body)}\r\n" if framing == "length" else "connection: close\r\n"
        )
    return head.encode() + b"\r\n", body


def _refusal(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class _Closed(Exception):  # noqa: N818 - a signal, not an error
    """The connection ends here."""


class _Answerer:
    """Sends the answer to one attempt, as its fault has it."""

    def __init__(self, writer: asyncio.StreamWriter, random: Random) -> None:
        self._writer = writer
        self._random = random

    async def answer(self, fault: str, pieces: list[bytes], *, events: bool) -> None:
        random = self._random
        framing = random.choice(["length", "chunked", "chunked", "close"])
        if fault in {"429", "503", "page"}:
            await self._send(self._refuse(fault))
            return
        if fault == "error in the answer":
            error = {"error": {"message": "the model failed", "type": "server_error"}}
            failed = _event(error) if events else json.dumps(error).encode()
            pieces = [*pieces[: random.randrange(len(pieces))], failed]
        elif fault == "ends unfinished":
            # Neither the reason why it ended nor what says that it did: it cannot be whole.
            kept = random.randrange(max(len(pieces) - 2, 1))
            pieces = pieces[:kept] if events else [pieces[0][: random.randrange(len(pieces[0]))]]
        elif fault == "broken framing":
            framing = random.choice(["length", "chunked"])
        head, body = _render(pieces, framing, events=events)
        await self._spoil(fault, head, body, framing)
        if framing == "close":
            raise _Closed

    def _refuse(self, fault: str) -> bytes:
        if fault == "429":
            return _refusal("429 Too Many Requests", b'{"error":"slow down"}', "retry-after: 0")
        if fault == "503":
            after = ["retry-after: 0"] * self._random.randrange(2)
            return _refusal("503 Service Unavailable", b'{"error":"busy"}', *after)
        page = b"<html><title>Sign in</title><body>proxy</body></html>"
        return _refusal("200 OK", page, "content-type: text/html")

    async def _spoil(self, fault: str, head: bytes, body: bytes, framing: str) -> None:
        random = self._random
        whole = head + body
        at = random.randrange(len(whole))
        if fault == "slow":
            step = len(whole) // random.randint(2, 6) + 1
            for start in range(0, len(whole), step):
                await self._send(whole[start : start + step])
                await asyncio.sleep(random.random() / 12)
        elif fault == "closed after the answer":
            await self._send(whole)
            raise _Closed
        elif fault in {"cut", "reset", "stalled"}:
            await self._stop(fault, whole[:at])
        elif fault == "garbage":
            await self._send(whole[: random.choice([0, at])] + self._random.randbytes(60) + b"\r\n")
            raise _Closed
        elif fault == "broken framing":
            await self._send(self._misframed(head, body, framing))
            raise _Closed
        elif fault == "bytes behind the end" and framing != "close":
            await self._send(
                whole + random.choice([whole, self._smuggled(), b"\r\n", b"0\r\n\r\n"])
            )
        else:
            await self._send(whole)

    async def _stop(self, fault: str, sent: bytes) -> None:
        if sent:
            await self._send(sent)
        if fault == "stalled":
            await asyncio.sleep(STALL)
        elif fault == "reset":
            sock: socket.socket = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
        raise _Closed

    def _misframed(self, head: bytes, body: bytes, framing: str) -> bytes:
        if framing == "length":
            size = b"%d" % len(body)
            wrong = self._random.choice([size + b"00", b"-" + size, b"0x10", size + b", 7"])
            return head.replace(b"content-length: " + size, b"content-length: " + wrong) + body
        size, _, rest = body.partition(b"\r\n")
        wrong = self._random.choice([b"-1", b"zz", size + b"0", b"0x" + size, b""])
        return head + wrong + b"\r\n" + rest

    def _smuggled(self) -> bytes:
        pieces, events = self._random.choice(
            [
                (_chat(SMUGGLED, [SMUGGLED], stream=False), False),
                (_chat(SMUGGLED, [SMUGGLED], stream=True), True),
                (_generate([SMUGGLED], stream=False), False),
                (_embed({"input": [SMUGGLED]}), False),
            ]
        )
        return b"".join(_render(pieces, "length", events=events))

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


class _Server:
    def __init__(self) -> None:
        self._attempts: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(_Closed, ConnectionError, asyncio.IncompleteReadError):
            while True:
                await self._serve_one(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, path, _ = head.split("\r\n")[0].split(" ")
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
        size = int(fields.get("content-length", 0))
        if size > LARGE:
            writer.write(_refusal("413 Content Too Large", b'{"error":"too large"}'))
            await writer.drain()
            raise _Closed
        raw = await reader.readexactly(size)
        found = ID.search(raw)
        if method == "GET" or found is None:
            known = path == "/v1/models"
            listed = b'{"object":"list","data":[{"id":"m","object":"model","owned_by":"o"}]}'
            writer.write(
                _refusal("200 OK", listed, "content-type: application/json")
                if known
                else _refusal("404 Not Found", b"{}")
            )
            await writer.drain()
            return
        ident = found[0].decode()
        attempt = self._attempts[ident]
        self._attempts[ident] += 1
        fault = fault_of(ident, attempt)
        pieces, events = _payload(path, json.loads(raw), ident)
        answerer = _Answerer(writer, Random(f"{ident} {attempt}"))
        await answerer.answer(fault, pieces, events=events)


async def _main() -> None:
    server = await asyncio.start_server(_Server().serve, "127.0.0.1", 0, backlog=2048, limit=LARGE)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
