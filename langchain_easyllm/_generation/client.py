"""Asks for generations: plans a request, sends it, reads the answer. Sync and async alike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from .._http.error_mapping import error_from_event
from .._http.models import RetryPolicy
from .._protocols.events import Delta
from .._protocols.reader import Answer, Chunk, ResponseReader
from .._protocols.tool_calls import merge_calls
from .._servers.profile import ServerInfo
from .._servers.session import ServerSession
from ..errors import ConnectionError, EasyLLMError, NotFoundError, TimeoutError
from .prepare import PreparedRequest, asks_server, learn_fallback, prepare_request
from .request import GenerationRequest

if TYPE_CHECKING:
    from .._http.stream import AsyncEventStream, EventStream
    from .._local.transport import LocalAsyncStream, LocalStream

__all__ = ["GenerationClient"]


class GenerationClient:
    """Asks one connection for generations.

    Args:
        connection: The server to ask.
    """

    def __init__(self, connection: ServerSession) -> None:
        self.connection = connection
        connection.join(self)

    def __copy__(self) -> GenerationClient:
        return self

    def __deepcopy__(self, memo: object) -> GenerationClient:
        return self  # copies of a model share its sockets

    def close(self) -> None:
        """Close the connection, unless other objects use it too."""
        self.connection.close(self)

    async def aclose(self) -> None:
        """Close the connection, unless other objects use it too."""
        await self.connection.aclose(self)

    def answer(self, ask: GenerationRequest) -> list[Answer]:
        """Return the whole answers, one for each completion asked for."""
        policy = _begin(ask)
        while True:
            server = self._server(ask, policy)
            plan = prepare_request(ask, self.connection, server, stream=False)
            try:
                if plan.unsent and plan.answers == 1 and not plan.call.tools:
                    return [_gather(self.stream(ask, policy))]
                response = self.connection.transport.send(plan.request, policy)
            except EasyLLMError as error:
                if answers := plan.rescued(error):
                    return answers
                if not (
                    learn_fallback(plan, ask, self.connection, error)
                    or self._replaced(ask, error, policy, server)
                ):
                    raise
                policy.call_budget().fall_back(error)
            else:
                return self._noted(plan, plan.read(response))

    async def aanswer(self, ask: GenerationRequest) -> list[Answer]:
        """Return the whole answers, one for each completion asked for."""
        policy = _begin(ask)
        while True:
            server = await self._aserver(ask, policy)
            plan = prepare_request(ask, self.connection, server, stream=False)
            try:
                if plan.unsent and plan.answers == 1 and not plan.call.tools:
                    return [_gather([pieces async for pieces in self.astream(ask, policy)])]
                response = await self.connection.transport.asend(plan.request, policy)
            except EasyLLMError as error:
                if answers := plan.rescued(error):
                    return answers
                if not (
                    learn_fallback(plan, ask, self.connection, error)
                    or await self._areplaced(ask, error, policy, server)
                ):
                    raise
                policy.call_budget().fall_back(error)
            else:
                return self._noted(plan, plan.read(response))

    def stream(
        self, ask: GenerationRequest, policy: RetryPolicy | None = None
    ) -> Generator[list[Chunk], None, None]:
        """Yield pieces as they can be shown; the last is a delta with the answer's end."""
        policy = policy or _begin(ask)
        while True:
            plan, events = self._open(ask, policy)
            session = _Session(plan, events.url)
            try:
                with events, session:
                    for batch in events:
                        pieces = session.feed(batch)
                        if session.over:
                            events.close()
                        if pieces:
                            yield pieces
                        if session.over:
                            break
                yield session.close()
                return self._learn(plan, thought=session.thought)
            except EasyLLMError as error:
                if session.handed:
                    raise
                pause = policy.call_budget().pause_after(error, error.retry_after)
            time.sleep(pause)

    async def astream(
        self, ask: GenerationRequest, policy: RetryPolicy | None = None
    ) -> AsyncGenerator[list[Chunk], None]:
        """Yield pieces as they can be shown; the last is a delta with the answer's end."""
        policy = policy or _begin(ask)
        while True:
            plan, events = await self._aopen(ask, policy)
            session = _Session(plan, events.url)
            try:
                async with events:
                    with session:
                        async for batch in events:
                            pieces = session.feed(batch)
                            if session.over:
                                await events.aclose()
                            if pieces:
                                yield pieces
                            if session.over:
                                break
                yield session.close()
                self._learn(plan, thought=session.thought)
                return
            except EasyLLMError as error:
                if session.handed:
                    raise
                pause = policy.call_budget().pause_after(error, error.retry_after)
            await asyncio.sleep(pause)

    def _open(
        self, ask: GenerationRequest, policy: RetryPolicy
    ) -> tuple[PreparedRequest, EventStream | LocalStream]:
        while True:
            server = self._server(ask, policy)
            plan = prepare_request(ask, self.connection, server, stream=True)
            try:
                return plan, self.connection.transport.open(plan.request, policy)
            except EasyLLMError as error:
                if not (
                    learn_fallback(plan, ask, self.connection, error)
                    or self._replaced(ask, error, policy, server)
                ):
                    raise
                policy.call_budget().fall_back(error)

    async def _aopen(
        self, ask: GenerationRequest, policy: RetryPolicy
    ) -> tuple[PreparedRequest, AsyncEventStream | LocalAsyncStream]:
        while True:
            server = await self._aserver(ask, policy)
            plan = prepare_request(ask, self.connection, server, stream=True)
            try:
                return plan, await self.connection.transport.aopen(plan.request, policy)
            except EasyLLMError as error:
                if not (
                    learn_fallback(plan, ask, self.connection, error)
                    or await self._areplaced(ask, error, policy, server)
                ):
                    raise
                policy.call_budget().fall_back(error)

    def _server(self, ask: GenerationRequest, policy: RetryPolicy) -> ServerInfo | None:
        if asks_server(ask, self.connection):
            return self.connection.ask_server(policy)
        return self.connection.server

    async def _aserver(self, ask: GenerationRequest, policy: RetryPolicy) -> ServerInfo | None:
        if asks_server(ask, self.connection):
            return await self.connection.aask_server(policy)
        return self.connection.server

    def _replaced(
        self,
        ask: GenerationRequest,
        error: EasyLLMError,
        policy: RetryPolicy,
        used: ServerInfo | None,
    ) -> bool:
        """Whether a 404 means that another server listens at the address than was known."""
        if not self._may_be_replaced(ask, error):
            return False
        with suppress(TimeoutError):  # the 404 is what to speak of
            return self.connection.ask_server(policy, policy.call_budget().started) != used
        return False

    async def _areplaced(
        self,
        ask: GenerationRequest,
        error: EasyLLMError,
        policy: RetryPolicy,
        used: ServerInfo | None,
    ) -> bool:
        """Whether a 404 means that another server listens at the address than was known."""
        if not self._may_be_replaced(ask, error):
            return False
        with suppress(TimeoutError):  # the 404 is what to speak of
            return await self.connection.aask_server(policy, policy.call_budget().started) != used
        return False

    def _may_be_replaced(self, ask: GenerationRequest, error: EasyLLMError) -> bool:
        return isinstance(error, NotFoundError) and asks_server(ask, self.connection)

    def _noted(self, plan: PreparedRequest, answers: list[Answer]) -> list[Answer]:
        # The thought before a ReAct answer has no field: its model need not think in tags.
        self._learn(plan, thought=any(answer.end.reasoning_field for answer in answers))
        return answers

    def _learn(self, plan: PreparedRequest, *, thought: bool) -> None:
        if thought and plan.call.params.get("thinking") is None:
            self.connection.thinkers.add(plan.name)


def _begin(ask: GenerationRequest) -> RetryPolicy:
    return RetryPolicy(ask.timeout, ask.max_retries, ask.wait_for_model).begin()


class _Session:
    """One streamed answer while it is read: pieces, failures, what had arrived when it broke.

    As a context manager it surrounds the reading: an error gets the text so far, and a connection
    that breaks after the answer was complete is no error.
    """

    def __init__(self, plan: PreparedRequest, url: str) -> None:
        self._reader: ResponseReader = plan.reader()
        self._url = url
        self._echo = plan.echo
        self.handed = False
        """Whether a piece was handed to the caller."""

    @property
    def over(self) -> bool:
        """Whether nothing more is to be read."""
        return self._reader.over

    @property
    def thought(self) -> bool:
        """Whether the model was seen thinking."""
        return self._reader.thought

    def feed(self, events: list[bytes]) -> list[Chunk]:
        """Take a batch of events; return the pieces that can be shown."""
        pieces = self._reader.feed(events)
        if self._echo is not None and pieces:
            pieces.insert(0, self._echo)
            self._echo = None
        if pieces:
            self.handed = True
        return pieces

    def close(self) -> list[Chunk]:
        """Return the last pieces; the very last is the answer's end.

        Raises:
            EasyLLMError: If the server reported a failure, or never said that it is done.
        """
        failure = self._reader.failure
        if failure is not None:
            error = error_from_event(failure.payload, self._url)
            error.partial = self._reader.partial
            raise error
        pieces = self._reader.close()
        if self._echo is not None:
            pieces.insert(0, self._echo)
        return [*pieces, self._reader.end]

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, EasyLLMError):
            return False
        error.partial = self._reader.partial
        return isinstance(error, ConnectionError | TimeoutError) and self._reader.complete


def _gather(batches: Iterable[list[Chunk]]) -> Answer:
    """Put a streamed answer together."""
    pieces = [piece for batch in batches for piece in batch]
    deltas = [piece for piece in pieces if type(piece) is Delta]
    logprobs = [token for delta in deltas for token in _tokens(delta)]
    end = deltas[-1]
    end.calls = merge_calls(piece for delta in deltas for piece in delta.calls)
    end.reasoning_field = next((d.reasoning_field for d in deltas if d.reasoning_field), None)
    return Answer(
        text="".join(piece for piece in pieces if type(piece) is str),
        end=end,
        reasoning="".join(delta.reasoning for delta in deltas),
        logprobs={"content": logprobs} if logprobs else None,
    )


def _tokens(delta: Delta) -> list[object]:
    content = delta.logprobs.get("content") if delta.logprobs else None
    return content if isinstance(content, list) else []
