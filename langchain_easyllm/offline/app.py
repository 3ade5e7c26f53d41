"""The server as an ASGI application: its routes, and the handling of every request."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

import orjson

from . import limits, tei, tgi
from ._extra import needs_extra
from .bodies import (
    HEADERS,
    HTTPError,
    Json,
    Shape,
    failure,
    invalid,
    openai_failure,
    openai_shape,
    parse_body,
    tei_shape,
    tgi_shape,
)
from .engine import ConnectionCut, Engine

with needs_extra():
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import Response
    from starlette.routing import Route, Router
    from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

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
    engine: Engine
    requests: deque[Received] = field(default_factory=lambda: deque(maxlen=_KEPT))
    in_flight: int = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Count a request in flight; raise an `HTTPError` if there are too many."""
        if self.in_flight >= limits.MAX_CONCURRENT:
            raise HTTPError("Model is overloaded", "overloaded", 429)
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


@dataclass(frozen=True, slots=True)
class Method:
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
        if scope["type"] == "http":
            await _Exchange(self._state, self._methods, Request(scope, receive), send).run()


class _Exchange:
    def __init__(
        self, state: State, methods: Mapping[str, Method], request: Request, send: Send
    ) -> None:
        self._state = state
        self._methods = methods
        self._request = request
        self._send = send
        self._shape: Shape = tgi_shape
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
            if len(body) <= limits.MAX_BODY:
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
        if len(body) > limits.MAX_BODY:
            raise HTTPError("Failed to buffer the request body: length limit exceeded", "", 413)
        parsed = parse_body(self._request.headers.get("content-type", ""), body)
        with self._state.slot():
            await self._reply(await method.handler(self._state.engine, parsed))

    def _find(self) -> Method:
        methods = self._methods
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


async def _tokenize(engine: Engine, body: Json) -> Answer:
    if tei.is_tei_tokenize(body):
        try:
            return await engine.run(partial(tei.tokenize, engine.embeddings, body))
        except HTTPError as error:
            error.shape = tei_shape
            raise
    return await tgi.tokenize(engine, body)


def _embedding(work: Callable[..., Answer]) -> Handler:
    async def handler(engine: Engine, body: Json) -> Answer:
        return await engine.run(partial(work, engine.embeddings, body))

    return handler


async def _info(engine: Engine, _: Json) -> Answer:
    """Return the union of TGI's and TEI's `/info`: one address serves both kinds of client."""
    language, embeddings = engine.language, engine.embeddings
    return {
        "model_id": language.name,
        "model_sha": None,
        "model_pipeline_tag": "text-generation",
        "max_concurrent_requests": limits.MAX_CONCURRENT,
        "max_best_of": limits.MAX_BEST_OF,
        "max_stop_sequences": limits.MAX_STOPS,
        "max_input_tokens": language.context - 1,
        "max_total_tokens": limits.max_total_tokens(language.context),
        "validation_workers": 1,
        "max_client_batch_size": limits.MAX_BATCH,
        "router": "text-generation-router",
        "version": limits.VERSION,
        "sha": None,
        "docker_label": limits.LABEL,
        "model_dtype": "float32",
        "served_model_name": embeddings.name,
        "model_type": {"embedding": {"pooling": "mean"}},
        "max_input_length": embeddings.max_input_length,
        "max_batch_tokens": limits.MAX_BATCH * embeddings.max_input_length,
        "max_batch_requests": None,
        "auto_truncate": False,
        "tokenization_workers": 1,
    }


async def _models(engine: Engine, _: Json) -> Answer:
    """Return the list of models as TGI has it: the language model, which owns itself."""
    name = engine.language.name
    model = {"id": name, "object": "model", "created": 0, "owned_by": name}
    return {"object": "list", "data": [model]}


async def _health(_engine: Engine, _: Json) -> Answer:
    return None


_QUESTIONS: dict[str, Handler] = {
    "/": _health,
    "/health": _health,
    "/ping": _health,
    "/info": _info,
    "/v1/models": _models,
}
_TGI: dict[str, Handler] = {
    "/": tgi.generate_at_root,
    "/generate": tgi.generate,
    "/generate_stream": tgi.generate_stream,
    "/chat_tokenize": tgi.chat_tokenize,
    "/tokenize": _tokenize,
}
_TGI_OPENAI: dict[str, Handler] = {
    "/v1/completions": tgi.completions,
    "/v1/chat/completions": tgi.chat,
}
_extract = _embedding(tei.feature_extraction)
_TEI: dict[str, Handler] = {
    "/embed": _embedding(tei.embed),
    "/rerank": _embedding(tei.rerank),
    "/hf-inference/models/{model:path}/pipeline/feature-extraction": _extract,
    "/models/{model:path}/pipeline/feature-extraction": _extract,
    "/pipeline/feature-extraction/{model:path}": _extract,
}
_TEI_OPENAI: dict[str, Handler] = dict.fromkeys(
    ("/embeddings", "/v1/embeddings"), _embedding(tei.embeddings)
)


def make_app(state: State) -> ASGIApp:
    paths: dict[str, dict[str, Method]] = defaultdict(dict)
    for path, handler in _QUESTIONS.items():
        paths[path]["GET"] = Method(handler, tgi_shape, generates=False)
    for routes, shape in ((_TGI, tgi_shape), (_TEI, tei_shape), (_TEI_OPENAI, openai_shape)):
        for path, handler in routes.items():
            paths[path]["POST"] = Method(handler, shape)
    for path, handler in _TGI_OPENAI.items():
        paths[path]["POST"] = Method(handler, tgi_shape, openai_failure)
    routed = [Route(path, Endpoint(state, methods)) for path, methods in paths.items()]
    return Router(routed, redirect_slashes=False, default=Endpoint(state, {}))
