"""Carries requests to a model in this process, as `HTTPTransport` does to a server.

A call's timeout starts when the model starts with it: waiting for the model to load, and for other
calls, is not counted.
"""

from __future__ import annotations

import asyncio
import builtins
import queue
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Protocol, Self, cast
from urllib.parse import urlsplit

import orjson

from .._http.models import Request, Response, RetryPolicy
from .._http.stream import AsyncClosing, Closing
from ..errors import TimeoutError
from .batcher import Batcher
from .requests import (
    LocalSequence,
    SequenceEvent,
    TGIResponseWriter,
    to_easyllm_error,
    to_job,
    write_body,
)

_Event = tuple[int, SequenceEvent]  # with the index of its sequence
_HEADERS: Mapping[str, str] = {"content-type": "application/json"}


class LocalModel(Protocol):
    """A model that a `LocalTransport` serves."""

    def run(self, sequences: Sequence[LocalSequence]) -> None:
        """Generate the answers of sequences of one `batch_key`."""

    def look_up(self, route: str, body: Mapping[str, object]) -> object:
        """Answer a request that needs no generation, with JSON values or numpy arrays.

        Raises:
            NotFoundError: If there is no such route.
        """


class LocalTransport:
    """Answers requests; `/generate` and `/generate_stream` are TGI's, the others the model's own.

    One object serves any number of threads and event loops. Up to `size` prompts form a batch, and
    closing the transport calls `forget`.
    """

    def __init__(
        self, model: LocalModel, size: int = 1, forget: Callable[[], None] = lambda: None
    ) -> None:
        self._model = model
        self._batcher = Batcher(model.run, size)
        self._forget = forget

    def send(self, request: Request, policy: RetryPolicy = RetryPolicy()) -> Response:  # noqa: B008
        """Answer a request with the complete response."""
        if _route(request) != "/generate":
            return self._look_up(request)
        inbox: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        local = _LocalRequest(request, policy.timeout, inbox.put)
        self._batcher.submit(local.sequences)
        flow = local.read()
        try:
            wait = next(flow)
            while True:
                wait = flow.send(_get(inbox, wait))
        except StopIteration as end:
            return _response(request, cast("bytes", end.value))
        finally:
            local.cancel()

    async def asend(self, request: Request, policy: RetryPolicy = RetryPolicy()) -> Response:  # noqa: B008
        """Answer a request with the complete response, without blocking the event loop."""
        if _route(request) != "/generate":
            return await asyncio.to_thread(self._look_up, request)
        inbox, put = _async_inbox()
        local = _LocalRequest(request, policy.timeout, put)
        self._batcher.submit(local.sequences)
        flow = local.read()
        try:
            wait = next(flow)
            while True:
                wait = flow.send(await _aget(inbox, wait))
        except StopIteration as end:
            return _response(request, cast("bytes", end.value))
        finally:
            local.cancel()

    def open(self, request: Request, policy: RetryPolicy = RetryPolicy()) -> LocalStream:  # noqa: B008
        """Answer a request with an event for each token."""
        inbox: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        local = _LocalRequest(request, policy.timeout, inbox.put)
        self._batcher.submit(local.sequences)
        return LocalStream(local, inbox)

    async def aopen(
        self,
        request: Request,
        policy: RetryPolicy = RetryPolicy(),  # noqa: B008
    ) -> LocalAsyncStream:
        """Answer a request with an event for each token."""
        inbox, put = _async_inbox()
        local = _LocalRequest(request, policy.timeout, put)
        self._batcher.submit(local.sequences)
        return LocalAsyncStream(local, inbox)

    def close(self) -> None:
        """Release the model, which the next object loads again; running calls go on."""
        self._forget()

    async def aclose(self) -> None:
        """Release the model, which the next object loads again; running calls go on."""
        self._forget()

    def _look_up(self, request: Request) -> Response:
        body = cast("Mapping[str, object]", orjson.loads(request.body or b"{}"))
        try:
            answer = self._model.look_up(_route(request), body)
        except Exception as error:
            raise to_easyllm_error(error) from error
        return _response(request, orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY))


class _LocalRequest:
    """A request that is being answered: its sequences, and the writers of their answers."""

    def __init__(
        self, request: Request, timeout: float | None, put: Callable[[_Event], None]
    ) -> None:
        body = cast("Mapping[str, object]", orjson.loads(request.body or b"{}"))
        parameters = cast("Mapping[str, object]", body.get("parameters") or {})
        job = to_job(parameters)
        self.url = request.url
        self.sequences = [
            LocalSequence(job, cast("str", body["inputs"]), _indexed(put, index))
            for index in range(job.count)
        ]
        self.writers = [TGIResponseWriter(job.logprobs) for _ in self.sequences]
        self._timeout = timeout

    @property
    def done(self) -> bool:
        """True when every answer is complete."""
        return all(writer.done for writer in self.writers)

    def write(self, event: _Event) -> bytes | None:
        """Pass an event on to its sequence's writer."""
        index, emitted = event
        return self.writers[index].write(emitted)

    def cancel(self) -> None:
        """End the generation."""
        for sequence in self.sequences:
            sequence.cancelled = True

    def timeout(self) -> float | None:
        """Return the seconds to wait for the next event; None before the generation started."""
        return self._timeout if any(writer.started for writer in self.writers) else None

    def read(self) -> Generator[float | None, _Event | None, bytes]:
        """Yield the seconds to wait, receive an event or None, return the response's body."""
        deadline: float | None = None
        while not self.done:
            event = yield None if deadline is None else max(deadline - monotonic(), 0.0)
            if event is None:
                raise self.timeout_error()
            self.write(event)
            if deadline is None and (timeout := self.timeout()) is not None:
                deadline = monotonic() + timeout
        return write_body(self.writers)

    def timeout_error(self) -> TimeoutError:
        """Return the error of an answer that takes too long."""
        return TimeoutError(
            f"The local model did not answer within {self._timeout} seconds: raise timeout, or "
            "lower max_tokens.",
            url=self.url,
        )


class _LocalStreamBase:
    """The part that the sync and the async stream share."""

    def __init__(self, request: _LocalRequest) -> None:
        self._request = request
        self.url = request.url

    def __del__(self) -> None:
        self._request.cancel()


class LocalStream(_LocalStreamBase, Closing):
    """A streamed answer. Iterating yields lists of events; closing it ends the generation."""

    def __init__(self, request: _LocalRequest, inbox: queue.SimpleQueue[_Event]) -> None:
        super().__init__(request)
        self._inbox = inbox

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[bytes]:
        while not self._request.done:
            event = _get(self._inbox, self._request.timeout())
            if event is None:
                raise self._request.timeout_error()
            if data := self._request.write(event):
                return [data]
        raise StopIteration

    def close(self) -> None:
        """End the generation after the current token."""
        self._request.cancel()


class LocalAsyncStream(_LocalStreamBase, AsyncClosing):
    """A streamed answer. `async for` yields lists of events; closing it ends the generation."""

    def __init__(self, request: _LocalRequest, inbox: asyncio.Queue[_Event]) -> None:
        super().__init__(request)
        self._inbox = inbox

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[bytes]:
        while not self._request.done:
            event = await _aget(self._inbox, self._request.timeout())
            if event is None:
                raise self._request.timeout_error()
            if data := self._request.write(event):
                return [data]
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the generation after the current token."""
        self._request.cancel()


def _indexed(put: Callable[[_Event], None], index: int) -> Callable[[SequenceEvent], None]:
    return lambda event: put((index, event))


def _async_inbox() -> tuple[asyncio.Queue[_Event], Callable[[_Event], None]]:
    """Return a queue of the running loop, and a function that fills it from another thread."""
    loop = asyncio.get_running_loop()
    inbox: asyncio.Queue[_Event] = asyncio.Queue()

    def put(event: _Event) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(inbox.put_nowait, event)

    return inbox, put


def _get(inbox: queue.SimpleQueue[_Event], wait: float | None) -> _Event | None:
    try:
        return inbox.get(timeout=wait)
    except queue.Empty:
        return None


async def _aget(inbox: asyncio.Queue[_Event], wait: float | None) -> _Event | None:
    if wait is None or not inbox.empty():
        return await inbox.get()
    try:
        return await asyncio.wait_for(inbox.get(), wait)
    except builtins.TimeoutError:
        return None


def _route(request: Request) -> str:
    return urlsplit(request.url).path


def _response(request: Request, body: bytes) -> Response:
    return Response(200, _HEADERS, body, request.url)
