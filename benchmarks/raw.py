"""The raw client: the least that any client must do. A bare socket (sync) and aiohttp (async).

It knows what the loopback server sends: one event a chunk, a content length otherwise.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    import aiohttp

BATCH_THREADS = 128


@dataclass(frozen=True)
class Protocol:
    """Where requests go and where the text is, for one wire."""

    path: str
    stream_path: str
    body: Callable[[str, bool], object]
    whole: Callable[[dict], str]
    piece: Callable[[dict], str]


def _chat_body(prompt: str, stream: bool) -> object:
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], "stream": stream}


def _chat_piece(event: dict) -> str:
    choices = event["choices"]
    return choices[0]["delta"].get("content", "") if choices else ""


CHAT = Protocol(
    path="/v1/chat/completions",
    stream_path="/v1/chat/completions",
    body=_chat_body,
    whole=lambda answer: answer["choices"][0]["message"]["content"],
    piece=_chat_piece,
)
GENERATE = Protocol(
    path="/generate",
    stream_path="/generate_stream",
    body=lambda prompt, stream: {"inputs": prompt, "stream": stream},
    whole=lambda answer: answer["generated_text"],
    piece=lambda event: event["token"]["text"],
)


class Lines:
    """Cuts received bytes into lines; `done` once the last chunk has been seen."""

    def __init__(self) -> None:
        self.rest = b""
        self.done = False
        self.closing = False

    def events(self, data: bytes) -> Iterator[dict]:
        """Yield the events that `data` completes."""
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        for line in lines:
            if line.startswith(b"data:"):
                if b"[DONE]" not in line:
                    yield orjson.loads(line[5:])
            elif self.closing:
                self.done = True
            elif line == b"0\r":
                self.closing = True


class RawClient:
    """A model-shaped client with neither LangChain nor an HTTP library (async: aiohttp)."""

    def __init__(self, port: int, protocol: Protocol) -> None:
        self.port = port
        self.protocol = protocol
        self.idle: deque[socket.socket] = deque()
        self.threads: ThreadPoolExecutor | None = None
        self.session: aiohttp.ClientSession | None = None
        self.lock = threading.Lock()

    def _send(self, prompt: str, *, stream: bool) -> socket.socket:
        try:
            sock = self.idle.pop()
        except IndexError:
            sock = socket.create_connection(("127.0.0.1", self.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = orjson.dumps(self.protocol.body(prompt, stream))
        path = self.protocol.stream_path if stream else self.protocol.path
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        sock.sendall(head.encode() + body)
        return sock

    def invoke(self, prompt: str) -> str:
        """Return the whole answer."""
        sock = self._send(prompt, stream=False)
        data = sock.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r", 1)[0])
        while len(body) < length:
            body += sock.recv(65536)
        self.idle.append(sock)
        return self.protocol.whole(orjson.loads(body))

    def stream(self, prompt: str, stop: list[str] | None = None) -> Iterator[str]:
        """Yield the answer's pieces; `stop` is taken and ignored."""
        sock = self._send(prompt, stream=True)
        lines = Lines()
        while not lines.done:
            for event in lines.events(sock.recv(65536)):
                yield self.protocol.piece(event)
        self.idle.append(sock)

    def batch(self, prompts: list[str]) -> list[str]:
        """Return the answers, `BATCH_THREADS` requests in flight."""
        if self.threads is None:
            self.threads = ThreadPoolExecutor(BATCH_THREADS)
        return list(self.threads.map(self.invoke, prompts))

    async def aclose(self) -> None:
        """Close the session, which belongs to the event loop it was opened on."""
        if self.session is not None:
            await self.session.close()

    def _post(self, prompt: str, *, stream: bool) -> aiohttp.client._RequestContextManager:
        import aiohttp

        if self.session is None:
            self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        path = self.protocol.stream_path if stream else self.protocol.path
        return self.session.post(
            f"http://127.0.0.1:{self.port}{path}",
            data=orjson.dumps(self.protocol.body(prompt, stream)),
            headers={"content-type": "application/json"},
        )

    async def ainvoke(self, prompt: str) -> str:
        """Return the whole answer."""
        async with self._post(prompt, stream=False) as response:
            return self.protocol.whole(orjson.loads(await response.read()))

    async def astream(self, prompt: str, stop: list[str] | None = None) -> AsyncIterator[str]:
        """Yield the answer's pieces; `stop` is taken and ignored."""
        rest = b""
        async with self._post(prompt, stream=True) as response:
            async for data in response.content.iter_any():
                lines = (rest + data).split(b"\n")
                rest = lines.pop()
                for line in lines:
                    if line.startswith(b"data:") and b"[DONE]" not in line:
                        yield self.protocol.piece(orjson.loads(line[5:]))
