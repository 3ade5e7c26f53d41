"""The handling of every request: body, faults, limits, answer, errors."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import orjson

from ._extra import needs_extra
from .engine import ConnectionCut, Engine
from .fields import Json, parse_body
from .info import MAX_BODY, MAX_CONCURRENT
from .responses import HEADERS, HTTPError, Shape, failure, invalid, tgi_shape

with needs_extra():
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

__all__ = ["CUT", "Answer", "Endpoint", "Handler", "Method", "Received", "State"]

CUT = "langchain_easyllm.cut"
"""The extension of the ASGI scope that closes the connection at once."""

Answer = object
"""JSON, or an async generator of a stream's bytes; None for an answer without a body."""

Handler = Callable[[Engine, Json], Awaitable[Answer]]
"""A route: engine and parsed body to an answer."""

_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came in.

    Attributes:
        method: The HTTP method.
        path: The path.
        body: The body in bytes.
    """

    method: str
    path: str
    body: bytes

    @property
    def json(self) -> object:
        """The body, parsed."""
        return cast("object", orjson.loads(self.body))


@dataclass
class State:
    """The state of a server."""

    engine: Engine
    requests: deque[Received] = field(default_factory=lambda: deque(maxlen=_KEPT))
    in_flight: int = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Count a request in flight; raise an `HTTPError` if there are too many."""
        if self.in_flight >= MAX_CONCURRENT:
            raise HTTPError("Model is overloaded", "overloaded", 429)
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


@dataclass(frozen=True, slots=True)
class Method:
    """One HTTP method of a path."""

    handler: Handler
    shape: Shape
    failure: Callable[[HTTPError], bytes] = failure  # writes an error in a stream that has begun
    generates: bool = True  # False for routes about the server, which faults and limits spare


class Endpoint:
    """A path as an ASGI application; one that does not exist has no methods."""

    def __init__(self, state: State, methods: Mapping[str, Method]) -> None:
        self._state = state
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            exchange = _Exchange(self._state, Request(scope, receive), send)
            await exchange.run(self._methods)


class _Exchange:
    """One request and its answer."""

    def __init__(self, state: State, request: Request, send: Send) -> None:
        self._state = state
        self._request = request
        self._send = send
        self._shape: Shape = tgi_shape
        self._failure: Callable[[HTTPError], bytes] = failure
        self._begun = False

    async def run(self, methods: Mapping[str, Method]) -> None:
        try:
            body = await self._read()
        except ClientDisconnect:
            return
        await _unless_gone(self._guarded(methods, body), self._request.receive)

    async def _read(self) -> bytes:
        """Read the body; of one that is too long, only a part."""
        body = bytearray()
        async for chunk in self._request.stream():
            if len(body) <= MAX_BODY:
                body += chunk
        request = self._request
        self._state.requests.append(Received(request.method, request.url.path, bytes(body)))
        return bytes(body)

    async def _guarded(self, methods: Mapping[str, Method], body: bytes) -> None:
        try:
            await self._answer(methods, body)
        except HTTPError as error:
            await self._fail(error)
        except RecursionError:
            await self._fail(invalid("the body is nested too deeply"))
        except ConnectionCut:
            self._request.scope["extensions"][CUT]()
            await asyncio.get_running_loop().create_future()  # until the loss has come through

    async def _answer(self, methods: Mapping[str, Method], body: bytes) -> None:
        method = self._find(methods)
        self._shape, self._failure = method.shape, method.failure
        await self._start_cold()
        if not method.generates:
            await self._reply(await method.handler(self._state.engine, {}))
            return
        self._limit_rate()
        if len(body) > MAX_BODY:
            raise HTTPError("Failed to buffer the request body: length limit exceeded", "", 413)
        parsed = parse_body(self._request.headers.get("content-type", ""), body)
        with self._state.slot():
            await self._reply(await method.handler(self._state.engine, parsed))

    def _find(self, methods: Mapping[str, Method]) -> Method:
        name, path = self._request.method, self._request.url.path
        if not methods:
            message = f"There is no route {name} {path}: is base_url the server's root?"
            raise HTTPError(message, "not_found", 404)
        found = methods.get("GET" if name == "HEAD" else name)
        if found is None:
            allowed = ", ".join(methods)
            message = f"{path} takes {allowed}, not {name}"
            raise HTTPError(message, "method_not_allowed", 405, {"allow": allowed})
        return found

    async def _start_cold(self) -> None:
        faults = self._state.engine.faults
        wait = _seconds(self._request.headers.get("x-scale-up-timeout"))
        await asyncio.sleep(min(faults.loading_for(), wait))
        remaining = faults.loading_for()
        if not remaining:
            return
        if faults.cold_start_as == "proxy":
            raise HTTPError("503 Service Unavailable", "", 503)
        name = self._state.engine.language.name
        raise HTTPError(
            f"Model {name} is currently loading",
            "loading",
            503,
            shape=lambda error: {**_by_gateway(error), "estimated_time": remaining},
        )

    def _limit_rate(self) -> None:
        faults = self._state.engine.faults
        if faults.rate_limited:
            faults.rate_limited -= 1
            headers = {"retry-after": f"{faults.retry_after:g}"}
            raise HTTPError("Rate limit reached", "rate_limit", 429, headers, _by_gateway)

    async def _reply(self, answer: Answer) -> None:
        if isinstance(answer, AsyncIterator):
            await self._stream(cast("AsyncGenerator[bytes]", answer))
        else:
            await self._respond(_json(answer))

    async def _stream(self, chunks: AsyncGenerator[bytes]) -> None:
        headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send(_body(b""))  # the head goes out before the first token is there
        self._begun = True
        async with aclosing(chunks):
            async for chunk in chunks:
                await self._send(_body(chunk))
        await self._send(_body(b"", more=False))

    async def _fail(self, error: HTTPError) -> None:
        if self._begun:  # with a stream, whose head says 200 already
            await self._send(_body(self._failure(error)))
            await self._send(_body(b"", more=False))
            return
        if error.kind:
            response = _json((error.shape or self._shape)(error))
        else:
            response = Response(error.message, media_type="text/plain")
        response.status_code = error.status
        response.headers.update(error.headers)
        await self._respond(response)

    async def _respond(self, response: Response) -> None:
        request = self._request
        await response(request.scope, request.receive, self._send)


def _by_gateway(error: HTTPError) -> dict[str, object]:
    """Write an error as the Hub does, before a request reaches a server."""
    return {"error": error.message}


def _json(value: object) -> Response:
    body = b"" if value is None else orjson.dumps(value)
    return Response(body, media_type=None if value is None else "application/json")


def _body(body: bytes, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def _seconds(value: str | None) -> float:
    try:
        return max(float(value or 0), 0.0)
    except ValueError:
        return 0.0


async def _unless_gone(work: Coroutine[None, None, None], receive: Receive) -> None:
    """Run a coroutine until it ends or the client disconnects."""
    working = asyncio.create_task(work)
    gone = asyncio.ensure_future(receive())
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)
    if not working.cancelled():
        working.result()
