"""Carries requests to a model in this process, as `HTTPTransport` does to a server.

A call's timeout starts when the model starts with it: waiting for the model to load, and for other
calls, is not counted.
"""

from __future__ import annotations

import asyncio
import atexit
import builtins
import queue
import threading
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Protocol, Self, cast
from urllib.parse import urlsplit

import orjson

from .._http.models import Request, Response, RetryPolicy
from .._http.stream import AsyncClosing, Closing
from ..errors import TimeoutError
from .forking import renew_in_children
from .requests import (
    LocalSequence,
    SequenceEvent,
    TGIResponseWriter,
    to_easyllm_error,
    to_job,
)

_Event = tuple[int, SequenceEvent]  # with the index of its sequence
_HEADERS: Mapping[str, str] = {"content-type": "application/json"}


class LocalModel(Protocol):
    def run(self, sequences: Sequence[LocalSequence]) -> None:
        """Generate the answers of sequences of one `batch_key`."""

    def look_up(self, route: str, body: Mapping[str, object]) -> object:
        """Answer a request that needs no generation, with JSON values or numpy arrays."""


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
        if _route(request) != "/generate":
            return self._look_up(request)
        inbox: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        local = self._start(request, policy, inbox.put)
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
        if _route(request) != "/generate":
            return await asyncio.to_thread(self._look_up, request)
        inbox, put = _async_inbox()
        local = self._start(request, policy, put)
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
        inbox: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        return LocalStream(self._start(request, policy, inbox.put), inbox)

    async def aopen(
        self,
        request: Request,
        policy: RetryPolicy = RetryPolicy(),  # noqa: B008
    ) -> LocalAsyncStream:
        inbox, put = _async_inbox()
        return LocalAsyncStream(self._start(request, policy, put), inbox)

    def close(self) -> None:
        """Release the model, which the next object loads again; running calls go on."""
        self._forget()

    async def aclose(self) -> None:
        self._forget()

    def _start(
        self, request: Request, policy: RetryPolicy, put: Callable[[_Event], None]
    ) -> _LocalRequest:
        local = _LocalRequest(request, policy.timeout, put)
        self._batcher.submit(local.sequences)
        return local

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
        return all(writer.done for writer in self.writers)

    def write(self, event: _Event | None) -> bytes | None:
        """Pass an event on to its sequence's writer; None is one that did not come in time."""
        if event is None:
            raise TimeoutError(
                f"The local model did not answer within {self._timeout} seconds: raise timeout, or "
                "lower max_tokens.",
                url=self.url,
            )
        index, emitted = event
        return self.writers[index].write(emitted)

    def cancel(self) -> None:
        for sequence in self.sequences:
            sequence.cancelled = True

    def timeout(self) -> float | None:
        """Seconds to wait for the next event; None before the generation started."""
        return self._timeout if any(writer.started for writer in self.writers) else None

    def read(self) -> Generator[float | None, _Event | None, bytes]:
        """Yield the seconds to wait, receive an event or None, return the response's body."""
        deadline: float | None = None
        while not self.done:
            self.write((yield None if deadline is None else max(deadline - monotonic(), 0.0)))
            if deadline is None and (timeout := self.timeout()) is not None:
                deadline = monotonic() + timeout
        answers = [writer.response() for writer in self.writers]
        return orjson.dumps(answers[0] if len(answers) == 1 else answers)


class _LocalStreamBase:
    def __init__(self, request: _LocalRequest) -> None:
        self._request = request
        self.url = request.url
        self.headers: Mapping[str, str] = {}

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
            if data := self._request.write(_get(self._inbox, self._request.timeout())):
                return [data]
        raise StopIteration

    def close(self) -> None:
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
            if data := self._request.write(await _aget(self._inbox, self._request.timeout())):
                return [data]
        raise StopAsyncIteration

    async def aclose(self) -> None:
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


GATHER = 0.005  # seconds for which a batch that is not full waits for one more sequence
LINGER = 1.0  # seconds for which an idle thread waits for work before it ends


class Batcher:
    """Runs sequences of one `batch_key` in batches of up to `size`, in a thread of its own.

    The thread starts with the first sequence and ends when it is idle. The sequences of a batch
    are emitted whatever `run` raises.
    """

    def __init__(self, run: Callable[[Sequence[LocalSequence]], None], size: int) -> None:
        self._run = run
        self._size = size
        renew_in_children(self)
        _batchers.add(self)

    def renew(self) -> None:
        """Begin anew: a child process has neither the sequences nor the thread of its parent."""
        self._changed = threading.Condition()
        self._waiting: list[LocalSequence] = []
        self._running: Sequence[LocalSequence] = ()
        self._thread: threading.Thread | None = None

    def submit(self, sequences: Sequence[LocalSequence]) -> None:
        with self._changed:
            self._waiting.extend(sequences)
            self._changed.notify()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._work, name="langchain-easyllm local model", daemon=True
                )
                self._thread.start()

    def stop(self, timeout: float) -> None:
        """Cancel all sequences and wait for the thread to end after the current token."""
        with self._changed:
            for sequence in (*self._waiting, *self._running):
                sequence.cancelled = True
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _work(self) -> None:
        while sequences := self._next():
            self._running = sequences
            try:
                self._run(sequences)
            except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
                for sequence in sequences:
                    sequence.emit(error)
            finally:
                self._running = ()

    def _next(self) -> list[LocalSequence]:
        """Wait for the next batch; an empty one ends the thread."""
        with self._changed:
            self._drop_cancelled()
            if not self._waiting:
                self._changed.wait(0 if _exiting.is_set() else LINGER)
                self._drop_cancelled()
            if not self._waiting:
                self._thread = None
                return []
            batch_key = self._waiting[0].job.batch_key
            count = 0
            while count < (found := len(self._fitting(batch_key))) < self._size:
                count = found
                self._changed.wait(GATHER)
            sequences = self._fitting(batch_key)[: self._size]
            self._waiting = [sequence for sequence in self._waiting if sequence not in sequences]
            return sequences

    def _drop_cancelled(self) -> None:
        self._waiting = [sequence for sequence in self._waiting if not sequence.cancelled]

    def _fitting(self, batch_key: object) -> list[LocalSequence]:
        return [sequence for sequence in self._waiting if sequence.job.batch_key == batch_key]


_batchers: weakref.WeakSet[Batcher] = weakref.WeakSet()
_exiting = threading.Event()


@atexit.register
def _stop_all() -> None:
    # A thread that computes while the interpreter goes away would take it down.
    _exiting.set()
    for batcher in list(_batchers):
        batcher.stop(5)
