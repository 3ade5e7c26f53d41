"""The server as an ASGI application: its routes, and the handling of every request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import orjson

from . import limits
from ._extra import needs_extra
from .bodies import HEADERS, HTTPError, failure, invalid
from .engine import ConnectionCut, Engine
from .server_api import Answer, Method, Reply, ServerApi

with needs_extra():
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import Response
    from starlette.routing import Route, Router
    from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

CUT = "langchain_easyllm.cut"
"""The extension of the ASGI scope that closes the connection at once."""

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
    engine: Engine
    requests: deque[Received] = field(default_factory=lambda: deque(maxlen=_KEPT))

    @property
    def in_flight(self) -> int:
        """The number of requests that are being answered."""
        return self.engine.in_flight

    @contextmanager
    def slot(self, *, refuses_crowds: bool) -> Iterator[None]:
        """Count a request in flight; raise an `HTTPError` if there are too many."""
        if refuses_crowds and self.in_flight >= limits.MAX_CONCURRENT:
            raise HTTPError("Model is overloaded", "overloaded", 429)
        self.engine.in_flight += 1
        try:
            yield
        finally:
            self.engine.in_flight -= 1


class Endpoint:
    """A path as an ASGI application; one that does not exist has no methods."""

    def __init__(self, state: State, api: ServerApi, methods: Mapping[str, Method]) -> None:
        self._state = state
        self._api = api
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope, receive)
            await _Exchange(self._state, self._api, self._methods, request, send).run()


class _Exchange:
    def __init__(
        self,
        state: State,
        api: ServerApi,
        methods: Mapping[str, Method],
        request: Request,
        send: Send,
    ) -> None:
        self._state = state
        self._api = api
        self._methods = methods
        self._request = request
        self._send = send
        self._shape = api.shape
        self._failure: Callable[[HTTPError], bytes] = failure
        self._begun = False

    async def run(self) -> None:
        try:
            body = await self._read()
        except ClientDisconnect:
            return
        await _unless_gone(self._guarded(body), self._request.receive)

    async def _read(self) -> bytes:
        """Read the body; of one that is too long, only a part."""
        body = bytearray()
        async for chunk in self._request.stream():
            if self._api.max_body is None or len(body) <= self._api.max_body:
                body += chunk
        request = self._request
        self._state.requests.append(Received(request.method, request.url.path, bytes(body)))
        return bytes(body)

    async def _guarded(self, body: bytes) -> None:
        try:
            await self._answer(body)
        except HTTPError as error:
            await self._fail(error)
        except RecursionError:
            await self._fail(invalid("the body is nested too deeply"))
        except ConnectionCut:
            self._request.scope["extensions"][CUT]()
            await asyncio.get_running_loop().create_future()  # until the loss has come through

    async def _answer(self, body: bytes) -> None:
        method = self._find()
        self._shape, self._failure = method.shape, method.failure
        await self._start_cold()
        if not method.generates:
            await self._reply(await method.handler(self._state.engine, {}))
            return
        self._limit_rate()
        api = self._api
        if api.max_body is not None and len(body) > api.max_body:
            raise HTTPError("Failed to buffer the request body: length limit exceeded", "", 413)
        parsed = api.parse(self._request.headers.get("content-type", ""), body)
        with self._state.slot(refuses_crowds=api.refuses_crowds):
            await self._reply(await method.handler(self._state.engine, parsed))

    def _find(self) -> Method:
        methods = self._methods
        name, path = self._request.method, self._request.url.path
        found = methods.get("GET" if name == "HEAD" else name)
        if found is None:
            raise self._api.missing(name, path, tuple(methods))
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
            await self._respond(self._whole(answer))

    async def _stream(self, chunks: AsyncGenerator[bytes]) -> None:
        given = {**HEADERS, **self._api.headers, "content-type": self._api.stream_type}
        headers = [(name.encode(), value.encode()) for name, value in given.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send(_body(b""))  # the head goes out before the first token is there
        self._begun = True
        async with aclosing(chunks):
            async for chunk in chunks:
                await self._send(_body(chunk))
        await self._send(_body(b"", more=False))

    async def _fail(self, error: HTTPError) -> None:
        error.status = self._api.statuses.get(error.status, error.status)
        if self._begun:  # with a stream, whose head says 200 already
            await self._send(_body(self._failure(error)))
            await self._send(_body(b"", more=False))
            return
        if error.kind:
            response = self._whole((error.shape or self._shape)(error))
        else:
            response = Response(error.message, media_type="text/plain")
        response.status_code = error.status
        response.headers.update(error.headers)
        await self._respond(response)

    def _whole(self, answer: Answer) -> Response:
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        headers = {**self._api.headers, **reply.headers}
        if isinstance(reply.body, str):
            return Response(reply.body, headers=headers, media_type="text/plain")
        body = b"" if reply.body is None else orjson.dumps(reply.body)
        kind = None if reply.body is None else self._api.json_type
        return Response(body, headers=headers, media_type=kind)

    async def _respond(self, response: Response) -> None:
        request = self._request
        await response(request.scope, request.receive, self._send)


def _by_gateway(error: HTTPError) -> dict[str, object]:
    """Write an error as the Hub does, before a request reaches a server."""
    return {"error": error.message}


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


def make_app(state: State, api: ServerApi) -> ASGIApp:
    routed = [Route(path, Endpoint(state, api, methods)) for path, methods in api.routes.items()]
    return Router(routed, redirect_slashes=False, default=Endpoint(state, api, {}))
