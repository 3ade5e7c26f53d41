"""A web server that answers, byte for byte, what a test tells it to.

It listens on a real socket of 127.0.0.1, speaks HTTP/1.1 with keep-alive, and misbehaves on
command::

    with FakeServer() as server:
        busy = Reply({"error": "busy"}, status=429, headers={"retry-after": "0"})
        server.on("GET", "/info", Reply({"router": "text-generation-router"}))
        server.on("POST", "/generate_stream", busy, sse({"token": {"text": "Hi"}}, Stall()))
        ...  # the first call meets `busy`, every later one the stream that never ends
        assert server.requests[0].json["inputs"] == "Hello"
        server.wait_until(lambda: server.disconnects == 1)

The server is an asyncio loop in a thread of its own, so hundreds of connections are cheap. A
callable given to `on` runs on that loop: it must not block (a delay is a `Pause`). Asynchronous
tests call `await asyncio.to_thread(server.wait_until, ...)`, so that their own loop keeps running.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from .fake_reply import Action, Barrier, Chunk, Cut, Pause, Reply, Reset, Stall, sse

__all__ = [
    "Action",
    "Answer",
    "Barrier",
    "Chunk",
    "Cut",
    "FakeServer",
    "Pause",
    "Received",
    "Reply",
    "Reset",
    "Stall",
    "sse",
]


@dataclass(frozen=True)
class Received:
    """One request as it came in; header names are lower-case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    connection: int  # 1 for the first TCP connection the server accepted

    @property
    def json(self) -> object:
        """The body, parsed."""
        return json.loads(self.body)


Answer = Reply | Callable[[Received], Reply]


class _Gone(Exception):  # noqa: N818 - a signal, not an error
    """The client went away before the reply was whole."""


class _Closed(Exception):  # noqa: N818 - a signal, not an error
    """The reply itself closed the connection."""


class _Connection(asyncio.StreamReaderProtocol):
    """One TCP connection: reads its requests one after the other and sends the replies."""

    def __init__(self, server: FakeServer) -> None:
        self.reader = asyncio.StreamReader(limit=1 << 20)
        super().__init__(self.reader, self._start)
        self.server = server
        self.gone = asyncio.Event()

    def eof_received(self) -> bool | None:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        self.server._transports.discard(self.writer.transport)
        super().connection_lost(exc)
        # asyncio closes the socket when this has returned: only then can the client see it.
        asyncio.get_running_loop().call_soon(self._count_closed)

    def _count_closed(self) -> None:
        self.server.open_connections -= 1

    def _start(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server.connections += 1
        self.server.open_connections += 1
        self.number = self.server.connections
        self.writer = writer
        self.server._transports.add(writer.transport)
        # A chunk is sent once the kernel has it: nothing may wait in the loop's own buffer.
        # Not 0 as a bound: under TLS asyncio takes an empty buffer for one that is full, then.
        writer.transport.set_write_buffer_limits(high=1, low=0)
        self.server._track(asyncio.get_running_loop().create_task(self._serve()))

    async def _serve(self) -> None:
        try:
            while True:
                request = await self._read()
                reply = self.server._take(request)
                with self.server._answering():
                    await self._send(reply, request)
                if reply.closes:
                    break
        except _Gone:
            self.server.disconnects += 1
        except (_Closed, ConnectionError, EOFError):
            pass
        finally:
            self.writer.close()

    async def _read(self) -> Received:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.strip().split("\r\n")
        method, target, _ = line.split(" ", 2)
        pairs = (item.split(":", 1) for item in fields)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        if headers.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await self._read_body(headers)
        url = urlsplit(target)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        return Received(method, unquote(url.path), query, headers, body, self.number)

    async def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return await self.reader.readexactly(int(headers.get("content-length", 0)))
        body = b""
        while size := int((await self.reader.readline()).split(b";")[0], 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        while (await self.reader.readline()).strip():
            pass
        return body

    async def _send(self, reply: Reply, request: Received) -> None:
        for chunk in reply.before:
            await self._send_chunk(chunk, chunked=False)
        await self._send_chunk(reply.head(), chunked=False)
        if request.method == "HEAD" or reply.status in {204, 304}:
            return
        for chunk in reply.payload():
            await self._send_chunk(chunk, chunked=reply.chunked)
        if reply.chunked:
            await self._send_chunk(b"0\r\n\r\n", chunked=False)

    async def _send_chunk(self, chunk: Chunk, *, chunked: bool) -> None:
        if isinstance(chunk, Pause | Stall):
            with suppress(TimeoutError):
                await asyncio.wait_for(self.gone.wait(), getattr(chunk, "seconds", None))
        elif isinstance(chunk, Barrier):
            end = time.monotonic() + chunk.seconds
            # Looked at now and then: what else changes the count needs to know of nobody who waits.
            while self.server.max_in_flight < chunk.count and time.monotonic() < end:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        elif isinstance(chunk, Cut | Reset):
            if isinstance(chunk, Reset):
                linger = struct.pack("ii", 1, 0)
                sock = self.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.writer.transport.abort()
            raise _Closed
        elif chunk:
            self.writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
            with suppress(ConnectionError):  # `gone` tells
                await self.writer.drain()
            await asyncio.sleep(0)  # so that the loop sees a client that left between two chunks
        if self.gone.is_set():
            raise _Gone


@dataclass
class _Route:
    """The replies of one route: each call takes the next, the last one repeats."""

    answers: Sequence[Answer]
    calls: int = 0

    def take(self, request: Received) -> Reply:
        answer = self.answers[min(self.calls, len(self.answers) - 1)]
        self.calls += 1
        return answer if isinstance(answer, Reply) else answer(request)


class FakeServer:
    """The server; see the module for an example.

    Attributes:
        url: Its root, such as `http://127.0.0.1:40123`.
        requests: Every request, in the order in which they were complete.
        connections: How many connections were accepted.
        open_connections: How many of them are open now.
        max_in_flight: The most requests that were being answered at once.
        disconnects: How many clients went away before their reply was whole.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.requests: list[Received] = []
        self.connections = self.open_connections = self.max_in_flight = self.disconnects = 0
        self._tls = tls
        self._port = port
        self._in_flight = 0
        self._routes: dict[tuple[str, str], _Route] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._transports: set[asyncio.WriteTransport] = set()
        self._failures: list[BaseException] = []
        self._listening: Future[str] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Answer this route: each call takes the next of `answers`, the last one repeats."""
        self._routes[method, path] = _Route(answers)

    def received(self, path: str) -> list[Received]:
        """The requests for one path."""
        return [request for request in list(self.requests) if request.path == path]

    def wait_until(self, check: Callable[[], object], timeout: float = 5.0) -> None:
        """Return once `check()` holds; fail after `timeout` seconds."""
        limit = time.monotonic() + timeout
        while not check():
            assert time.monotonic() < limit, f"this did not come true in {timeout} s"
            time.sleep(0.002)

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = self._listening.result(timeout=10)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(timeout=10)
        if error is None and self._failures:
            raise self._failures[0]

    async def _main(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        try:
            server = await self._loop.create_server(
                lambda: _Connection(self), "127.0.0.1", self._port, ssl=self._tls, backlog=1024
            )
        except OSError as error:
            self._listening.set_exception(error)
            return
        port = server.sockets[0].getsockname()[1]
        self._listening.set_result(f"{'https' if self._tls else 'http'}://127.0.0.1:{port}")
        await self._closing.wait()
        for listener in server.sockets:
            self._loop.remove_reader(listener.fileno())
        for _ in range(3):  # the turns in which what was just accepted becomes a connection,
            await asyncio.sleep(0)  # which a server that is closed already would not let it
        server.close()
        await self._hang_up()

    async def _hang_up(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for transport in tuple(self._transports):
            transport.abort()  # whatever it has still to send
        for _ in range(4):  # the turns in which they are closed, under TLS too, and counted
            await asyncio.sleep(0)

    def _track(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._untrack)

    def _untrack(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._failures.append(error)

    def _take(self, request: Received) -> Reply:
        self.requests.append(request)
        route = self._routes.get((request.method, request.path))
        if route is None:
            return Reply({"error": f"no route {request.method} {request.path}"}, status=404)
        return route.take(request)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        self._in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self._in_flight)
        try:
            yield
        finally:
            self._in_flight -= 1
