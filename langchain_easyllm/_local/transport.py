"""Carries requests to a model in this process, as `transport.Transport` carries them to a server.

A call's time begins when the model begins with it: waiting for the model to load, and for other
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
from .requests import Item, Row, TGIResponseWriter, to_job, translated, whole_answer

__all__ = ["LocalAsyncStream", "LocalModel", "LocalStream", "LocalTransport"]


_Event = tuple[int, Item]
_HEADERS: Mapping[str, str] = {"content-type": "application/json"}


class LocalModel(Protocol):
    """What is asked of a model."""

    def run(self, rows: Sequence[Row]) -> None:
        """Generate the answers of rows whose jobs go together."""

    def look_up(self, route: str, body: Mapping[str, object]) -> object:
        """Answer what needs no generation, with what JSON or numpy has.

        Raises:
            NotFoundError: If there is no such route.
        """


class LocalTransport:
    """Answers requests; `/generate` and `/generate_stream` are TGI's, the others the model's own.

    One object serves any number of threads and event loops.

    Args:
        model: The model.
        size: Most prompts that go through it together.
        forget: Called when nobody uses the model any more.
    """

    def __init__(
        self, model: LocalModel, size: int = 1, forget: Callable[[], None] = lambda: None
    ) -> None:
        self._model = model
        self._batcher = Batcher(model.run, size)
        self._forget = forget

    def send(self, request: Request, policy: RetryPolicy = RetryPolicy()) -> Response:  # noqa: B008
        """Answer a request as a whole.

        Raises:
            EasyLLMError: If the model cannot be loaded, refuses the request or fails.
        """
        if _route(request) != "/generate":
            return self._look_up(request)
        inbox: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        asked = _Asked(request, policy.timeout, inbox.put)
        self._batcher.submit(asked.rows)
        flow = asked.whole()
        try:
            wait = next(flow)
            while True:
                wait = flow.send(_get(inbox, wait))
        except StopIteration as end:
            return _response(request, cast("bytes", end.value))
        finally:
            asked.cancel()

    async def asend(self, request: Request, policy: RetryPolicy = RetryPolicy()) -> Response:  # noqa: B008
        """Answer a request as a whole, while the running event loop goes on.

        Raises:
            EasyLLMError: If the model cannot be loaded, refuses the request or fails.
        """
        if _route(request) != "/generate":
            return await asyncio.to_thread(self._look_up, request)
        inbox, put = _async_inbox()
        asked = _Asked(request, policy.timeout, put)
        self._batcher.submit(asked.rows)
        flow = asked.whole()
        try:
            wait = next(flow)
            while True:
                wait = flow.send(await _aget(inbox, wait))
        except StopIteration as end:
            return _response(request, cast("bytes", end.value))
        finally:
            asked.cancel()

    def open(self, request: Request, policy: RetryPolicy = RetryPolicy()) -> LocalStream:  # noqa: B008
        """Answer a request with an event for each token."""
        inbox: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        asked = _Asked(request, policy.timeout, inbox.put)
        self._batcher.submit(asked.rows)
        return LocalStream(asked, inbox)

    async def aopen(
        self,
        request: Request,
        policy: RetryPolicy = RetryPolicy(),  # noqa: B008
    ) -> LocalAsyncStream:
        """Answer a request with an event for each token."""
        inbox, put = _async_inbox()
        asked = _Asked(request, policy.timeout, put)
        self._batcher.submit(asked.rows)
        return LocalAsyncStream(asked, inbox)

    def close(self) -> None:
        """Let the model go. Objects to come load it anew; what is generated goes on."""
        self._forget()

    async def aclose(self) -> None:
        """Let the model go. Objects to come load it anew; what is generated goes on."""
        self._forget()

    def _look_up(self, request: Request) -> Response:
        """Answer what needs no generation."""
        body = cast("Mapping[str, object]", orjson.loads(request.body or b"{}"))
        try:
            answer = self._model.look_up(_route(request), body)
        except Exception as error:
            raise translated(error) from error
        return _response(request, orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY))


class _Asked:
    """One request while it is answered: its rows, and what they have become so far."""

    def __init__(
        self, request: Request, timeout: float | None, put: Callable[[_Event], None]
    ) -> None:
        body = cast("Mapping[str, object]", orjson.loads(request.body or b"{}"))
        parameters = cast("Mapping[str, object]", body.get("parameters") or {})
        job = to_job(parameters)
        self.url = request.url
        self.rows = [
            Row(job, cast("str", body["inputs"]), _numbered(put, number))
            for number in range(job.count)
        ]
        self.writers = [TGIResponseWriter(job.logprobs) for _ in self.rows]
        self._timeout = timeout

    @property
    def done(self) -> bool:
        """Whether every answer is complete."""
        return all(writer.done for writer in self.writers)

    def take(self, event: _Event) -> bytes | None:
        """Take what happened to a row; return it as an event of a stream, if it is one."""
        number, item = event
        return self.writers[number].take(item)

    def cancel(self) -> None:
        """End what is still generated."""
        for row in self.rows:
            row.cancelled = True

    def patience(self) -> float | None:
        """Return the seconds to wait for what comes next; None before the generation began."""
        return self._timeout if any(writer.started for writer in self.writers) else None

    def whole(self) -> Generator[float | None, _Event | None, bytes]:
        """Yield the seconds to wait, receive what happened, return the body of the answer.

        Raises:
            EasyLLMError: If a row failed, or the time is over.
        """
        deadline: float | None = None
        while not self.done:
            event = yield None if deadline is None else max(deadline - monotonic(), 0.0)
            if event is None:
                raise self.late()
            self.take(event)
            if deadline is None and (patience := self.patience()) is not None:
                deadline = monotonic() + patience
        return whole_answer(self.writers)

    def late(self) -> TimeoutError:
        """Return the error of an answer that takes too long."""
        return TimeoutError(
            f"The local model did not answer within {self._timeout} seconds: raise timeout, or "
            "lower max_tokens.",
            url=self.url,
        )


class _Stream:
    """What both kinds of stream have in common."""

    def __init__(self, asked: _Asked) -> None:
        self._asked = asked
        self.url = asked.url

    def _drop(self) -> None:
        self._asked.cancel()

    def __del__(self) -> None:
        self._asked.cancel()


class LocalStream(_Stream, Closing):
    """A streamed answer. Iterating yields lists of events; closing it ends the generation."""

    def __init__(self, asked: _Asked, inbox: queue.SimpleQueue[_Event]) -> None:
        super().__init__(asked)
        self._inbox = inbox

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[bytes]:
        while not self._asked.done:
            event = _get(self._inbox, self._asked.patience())
            if event is None:
                raise self._asked.late()
            if data := self._asked.take(event):
                return [data]
        raise StopIteration

    def close(self) -> None:
        """End the generation with the token that it is at."""
        self._drop()


class LocalAsyncStream(_Stream, AsyncClosing):
    """A streamed answer. `async for` yields lists of events; closing it ends the generation."""

    def __init__(self, asked: _Asked, inbox: asyncio.Queue[_Event]) -> None:
        super().__init__(asked)
        self._inbox = inbox

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[bytes]:
        while not self._asked.done:
            event = await _aget(self._inbox, self._asked.patience())
            if event is None:
                raise self._asked.late()
            if data := self._asked.take(event):
                return [data]
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the generation with the token that it is at."""
        self._drop()


def _numbered(put: Callable[[_Event], None], number: int) -> Callable[[Item], None]:
    return lambda item: put((number, item))


def _async_inbox() -> tuple[asyncio.Queue[_Event], Callable[[_Event], None]]:
    """Return a queue of the running loop, and what puts into it from another thread."""
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
