"""Generates answers: finds out what a request needs, sends it, reads the response.

A flow yields its steps (detect the server, load a template, send ...) and receives their results;
the two drivers make a step block or await. Sync and async share everything else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar, cast

from .._http.client import calling_loop
from .._http.exchange import arun_flow, run_flow
from .._http.headers import public_headers
from .._http.metrics import count_failure, count_pause
from .._http.models import Request, Response, RetryPolicy
from .._protocols.events import Delta
from .._protocols.reader import Answer, Chunk, gather_chunks
from .._protocols.thinking import THINKING_FIELDS
from .._servers.capabilities import ServerCapabilities, refuses_model
from .._servers.profile import GenerationApi, ServerInfo
from .._servers.session import ServerSession, quick_policy
from ..errors import ConnectionError, EasyLLMError, NotFoundError, TimeoutError
from .model_profile import (
    asks_properties,
    listing_request,
    model_facts,
    note_in_vain,
    note_listing,
)
from .prepare import (
    PreparedRequest,
    choose_api,
    depends_on_server,
    learn_fallback,
    prepare_request,
)
from .published_template import model_name, must_ask, note_template, template_request
from .refusals import RefusedKeys
from .request import GenerationRequest
from .response import count_answer, error_of, note_headers, note_model, note_timing

if TYPE_CHECKING:
    from .._http.client import AsyncResponseStream, ResponseStream
    from .._http.user_functions import UserFunction
    from ..prompts.base import ChatPrompt

T = TypeVar("T")


class GenerationClient:
    """Generates answers on one server."""

    def __init__(self, session: ServerSession, hub_token: str | UserFunction | None = None) -> None:
        self.session = session
        self.hub_token = hub_token
        session.join(self)

    def __copy__(self) -> GenerationClient:
        return self

    def __deepcopy__(self, memo: object) -> GenerationClient:
        return self  # copies of a model share its sockets

    def close(self) -> None:
        """Close the session, unless other objects use it too."""
        self.session.close(self)

    async def aclose(self) -> None:
        await self.session.aclose(self)

    def answer(self, request: GenerationRequest) -> list[Answer]:
        return run_flow(self._answer(request), self._run)

    async def aanswer(self, request: GenerationRequest) -> list[Answer]:
        return await arun_flow(self._answer(request), self._arun)

    def stream(
        self,
        request: GenerationRequest,
        policy: RetryPolicy | None = None,
        refused: RefusedKeys | None = None,
    ) -> Generator[list[Chunk], None, None]:
        """Yield chunks as they can be shown; the last is a delta with the answer's end."""
        policy = policy or request.policy.begin()
        refused = refused or RefusedKeys(request, self.session)
        while True:
            prepared, events = run_flow(self._open(policy, refused), self._run)
            answer = _StreamedAnswer(prepared, events, refused, policy)
            try:
                with cast("ResponseStream", events) as batches, answer:
                    for batch in batches:
                        chunks = answer.feed(batch)
                        if answer.reader.over:
                            batches.close()
                        if chunks:
                            yield chunks
                        if answer.reader.over:
                            break
                yield answer.close()
                return self._learn(prepared, [answer.reader.end], reasoned=answer.reader.reasoned)
            except EasyLLMError as error:
                pause = answer.pause_after(error, policy)
            time.sleep(pause)

    async def astream(
        self,
        request: GenerationRequest,
        policy: RetryPolicy | None = None,
        refused: RefusedKeys | None = None,
    ) -> AsyncGenerator[list[Chunk], None]:
        policy = policy or request.policy.begin()
        refused = refused or RefusedKeys(request, self.session)
        while True:
            prepared, events = await arun_flow(self._open(policy, refused), self._arun)
            answer = _StreamedAnswer(prepared, events, refused, policy)
            try:
                async with cast("AsyncResponseStream", events) as batches:
                    with answer:
                        async for batch in batches:
                            chunks = answer.feed(batch)
                            if answer.reader.over:
                                await batches.aclose()
                            if chunks:
                                yield chunks
                            if answer.reader.over:
                                break
                yield answer.close()
                self._learn(prepared, [answer.reader.end], reasoned=answer.reader.reasoned)
                return
            except EasyLLMError as error:
                pause = answer.pause_after(error, policy)
            await asyncio.sleep(pause)

    def model_template(self, request: GenerationRequest, policy: RetryPolicy) -> ChatPrompt:
        """Load a model's own template, once. Blocks."""
        from .prompt import load_model_template  # noqa: PLC0415 - templates load when used

        model, headers = request.model, request.headers
        return load_model_template(model, self.session, policy, self.hub_token, headers)

    def learn_model(self, request: GenerationRequest) -> None:
        """Ask the server what the request's model can do, which it need not answer."""
        run_flow(self._learn_model(request), self._run)

    async def alearn_model(self, request: GenerationRequest) -> None:
        await arun_flow(self._learn_model(request), self._arun)

    def prepare(self, request: GenerationRequest) -> PreparedRequest:
        """Return the request as it would be sent. Blocks."""
        flow = self._prepare(request, request.policy.begin(), stream=False)
        return run_flow(flow, self._run)[0]

    def _answer(self, request: GenerationRequest) -> Flow[list[Answer]]:
        policy = request.policy.begin()
        refused = RefusedKeys(request, self.session)
        while True:
            prepared, server = yield from self._prepare(refused.request, policy, stream=False)
            try:
                if prepared.must_stream:
                    chunks = yield _Collect(request, policy, refused)
                    return [gather_chunks(chunks, chunks[-1])]
                response: Response = yield _SendRequest(prepared.request, policy)
                answers = prepared.read(response)
            except EasyLLMError as error:
                if recovered := prepared.recover(error):
                    return _timed(recovered, policy)
                yield from self._fall_back(prepared, server, policy, error, refused=refused)
            else:
                # Reasoning before a ReAct answer has no field: its model need not use think tags.
                count_answer(response.url, answers[0].end.usage)  # the others' is the same
                reasoned = any(answer.end.reasoning_field for answer in answers)
                refused.remember(prepared)
                self._learn(prepared, [answer.end for answer in answers], reasoned=reasoned)
                return _timed(answers, policy)

    def _open(
        self, policy: RetryPolicy, refused: RefusedKeys
    ) -> Flow[tuple[PreparedRequest, Stream]]:
        while True:
            prepared, server = yield from self._prepare(refused.request, policy, stream=True)
            try:
                return prepared, (yield _OpenStream(prepared.request, policy))
            except EasyLLMError as error:
                yield from self._fall_back(prepared, server, policy, error, refused=refused)

    def _prepare(
        self, request: GenerationRequest, policy: RetryPolicy, *, stream: bool
    ) -> Flow[tuple[PreparedRequest, ServerInfo | None]]:
        """Find out what the request needs, then build it."""
        session = self.session
        server = session.server
        if depends_on_server(request, session.url):
            server = yield _DetectServer(policy, request.headers)
        if server and must_ask(request, server, session.capabilities):
            yield from self._ask_for_template(request, server, policy)
        step = _Prepare(request, policy, server, stream)
        prepared: PreparedRequest = (yield step) if step.may_block(self) else step.run(self)
        session.note_use(prepared.protocol_request.api.value, prepared.model)
        return prepared, server

    def _ask_for_template(
        self, request: GenerationRequest, server: ServerInfo, policy: RetryPolicy
    ) -> Flow[None]:
        """Find out what the model's template can do, which never fails or delays the call much."""
        session = self.session
        api = choose_api(request, session.url, server, session.capabilities)
        if api is not GenerationApi.CHAT or session.url.versioned:
            return
        question = template_request(request, server, session.url)
        response: Response | EasyLLMError
        try:
            response = yield _SendRequest(question, quick_policy(policy))
        except EasyLLMError as error:
            response = error
        policy.call_budget().resume()
        note_template(request, server, session.capabilities, response)

    def _learn_model(self, request: GenerationRequest) -> Flow[None]:
        session, policy = self.session, request.policy.begin()
        try:
            if session.url.router:
                response = yield _SendRequest(listing_request(session.url), policy)
                note_listing(session.capabilities, response)
            else:
                server = yield _DetectServer(policy, request.headers)
                if asks_properties(request, server, session):
                    yield from self._ask_for_template(request, server, policy)
        except EasyLLMError:
            pass
        if not model_facts(request, session)[1]:
            note_in_vain(request, session)

    def _fall_back(
        self,
        prepared: PreparedRequest,
        server: ServerInfo | None,
        policy: RetryPolicy,
        error: EasyLLMError,
        *,
        refused: RefusedKeys,
    ) -> Flow[None]:
        """Learn from a refusal how the request is to be prepared anew; raise it if it is final."""
        session, request = self.session, refused.request
        if refused.learn(prepared, error, policy):
            return
        if not learn_fallback(prepared, request, session.url, session.capabilities, error):
            stale = prepared.names_servers_model and refuses_model(error)
            missing = isinstance(error, NotFoundError) or stale
            if not missing or not depends_on_server(request, session.url):
                raise error
            try:  # another server may listen at the address by now
                since = policy.call_budget().started
                found = yield _DetectServer(policy, request.headers, since)
            except TimeoutError:
                raise error from None
            if found == server:
                raise error
        policy.call_budget().fall_back(error)

    def _learn(self, prepared: PreparedRequest, ends: Sequence[Delta], *, reasoned: bool) -> None:
        if prepared.names_servers_model:
            self.session.note_model(prepared.model, ends[0].model)
        if prepared.names_servers_model or not prepared.model:
            self.session.answered_model = ends[0].model or self.session.answered_model
        free = THINKING_FIELDS.isdisjoint(prepared.protocol_request.params)
        if reasoned and free and not prepared.prompt_decides:
            capabilities = self.session.capabilities
            capabilities.reasoning_models.add(prepared.model)
            if any(end.unopened for end in ends):
                capabilities.unopened_reasoning.add(prepared.model)

    def _run(self, step: Step) -> object:
        return step.run(self)

    async def _arun(self, step: Step) -> object:
        return await step.arun(self)


def _timed(answers: list[Answer], policy: RetryPolicy) -> list[Answer]:
    for answer in answers:
        note_timing(answer.end, policy.call_budget().started)
    return answers


@dataclass(slots=True)
class _DetectServer:
    """Find out which server it is, once; or anew, after a moment (`time.monotonic`)."""

    policy: RetryPolicy
    headers: Mapping[str, str] = field(repr=False)  # the call's own
    since: float = float("-inf")

    def run(self, client: GenerationClient) -> ServerInfo:
        return client.session.detect(self.policy, self.since, self.headers)

    async def arun(self, client: GenerationClient) -> ServerInfo:
        return await client.session.adetect(self.policy, self.since, self.headers)


@dataclass(slots=True)
class _Prepare:
    """Build the HTTP request, with the model's own prompt template where it is wanted."""

    request: GenerationRequest
    policy: RetryPolicy
    server: ServerInfo | None
    stream: bool

    def may_block(self, client: GenerationClient) -> bool:
        """Whether it loads a template, or renders one of another author: no event loop waits."""
        template = self.request.template
        return (
            self.request.uses_model_template
            or (template is not None and template.may_block)
            or self._reads_template(client)
        )

    def run(self, client: GenerationClient) -> PreparedRequest:
        request, server, session = self.request, self.server, client.session
        template, capabilities = request.template, session.capabilities
        if request.uses_model_template:
            api = choose_api(request, session.url, server, capabilities)
            if api is not GenerationApi.CHAT:
                named = request.model or (server.model if server else None)
                template = client.model_template(replace(request, model=named), self.policy)
        if self._reads_template(client):
            self._read_template(capabilities)
        return prepare_request(
            request, session.url, server, capabilities, template, stream=self.stream
        )

    def _reads_template(self, client: GenerationClient) -> bool:
        """Whether the template that the server published has to be read, and has not been."""
        if THINKING_FIELDS.isdisjoint(self.request.params):
            return False
        known, name = client.session.capabilities, model_name(self.request, self.server)
        return name in known.published and name not in known.thinking

    def _read_template(self, capabilities: ServerCapabilities) -> None:
        from .prompt import published_thinking  # noqa: PLC0415 - templates load when used

        name = model_name(self.request, self.server)
        closes = self.server is not None and self.server.profile.closes_reasoning
        found = published_thinking(capabilities.published[name], closes=closes)
        capabilities.thinking[name] = found

    async def arun(self, client: GenerationClient) -> PreparedRequest:
        token = calling_loop.set(asyncio.get_running_loop())
        try:
            return await asyncio.to_thread(self.run, client)
        finally:
            calling_loop.reset(token)


@dataclass(slots=True)
class _SendRequest:
    """Send a request and read the whole response."""

    request: Request
    policy: RetryPolicy

    def run(self, client: GenerationClient) -> Response:
        return client.session.transport.send(self.request, self.policy)

    async def arun(self, client: GenerationClient) -> Response:
        return await client.session.transport.asend(self.request, self.policy)


@dataclass(slots=True)
class _OpenStream:
    """Send a request and wait until its streamed response begins."""

    request: Request
    policy: RetryPolicy

    def run(self, client: GenerationClient) -> Stream:
        return client.session.transport.open(self.request, self.policy)

    async def arun(self, client: GenerationClient) -> Stream:
        return await client.session.transport.aopen(self.request, self.policy)


@dataclass(slots=True)
class _Collect:
    """Stream an answer to its end."""

    request: GenerationRequest
    policy: RetryPolicy
    refused: RefusedKeys

    def run(self, client: GenerationClient) -> list[Chunk]:
        stream = client.stream(self.request, self.policy, self.refused)
        return [chunk for chunks in stream for chunk in chunks]

    async def arun(self, client: GenerationClient) -> list[Chunk]:
        stream = client.astream(self.request, self.policy, self.refused)
        return [chunk async for chunks in stream for chunk in chunks]


if TYPE_CHECKING:
    from typing import Any

    Step = _DetectServer | _Prepare | _SendRequest | _OpenStream | _Collect
    Stream = ResponseStream | AsyncResponseStream
    # Each step has a result of its own type, which a generator's type cannot say.
    Flow = Generator[Step, Any, T]


class _StreamedAnswer:
    """One streamed answer while it is read: chunks, failures, what had arrived when it broke.

    As a context manager it surrounds the reading: an error gets the text so far, and a connection
    that breaks after the answer was complete is no error.
    """

    def __init__(
        self, prepared: PreparedRequest, events: Stream, refused: RefusedKeys, policy: RetryPolicy
    ) -> None:
        self._started = policy.call_budget().started
        self._first: float | None = None  # when the first piece was handed over
        self.reader = prepared.reader()
        self._refused = refused
        self._prepared = prepared
        self._api = prepared.protocol_request.api
        self._url = events.url
        self._headers = events.headers
        self._echo = prepared.echo
        self._handed_over = False

    def feed(self, events: list[bytes]) -> list[Chunk]:
        """Take a batch of events; return the chunks that can be shown."""
        chunks = self.reader.feed(events)
        if self._echo is not None and chunks:
            chunks.insert(0, self._echo)
            self._echo = None
        if chunks and not self._handed_over:
            self._handed_over = True
            self._first = time.monotonic()
            self._refused.remember(self._prepared)
        return chunks

    def close(self) -> list[Chunk]:
        """Return the last chunks; the very last is the answer's end."""
        failure = self.reader.failure
        if failure is not None:
            error = error_of(failure, self._url)
            error.partial, error.headers = self.reader.partial, public_headers(self._headers)
            count_failure(self._url, error)
            raise error
        chunks = self.reader.close()
        self._refused.remember(self._prepared)  # the answer may have had no text
        if self._echo is not None:
            chunks.insert(0, self._echo)
        end = self.reader.end
        note_headers(end, self._headers, self._api, every=self._prepared.include_headers)
        note_model(end, self._prepared.model, self._api)
        note_timing(end, self._started, self._first)
        first = None if self._first is None else self._first - self._started
        count_answer(self._url, end.usage, first)
        return [*chunks, end]

    def pause_after(self, error: EasyLLMError, policy: RetryPolicy) -> float:
        """Return the seconds until the stream is requested again; raise if it must not be."""
        if self._handed_over:
            raise error
        if self._refused.learn(self._prepared, error, policy):
            return 0.0
        budget = policy.call_budget()
        pause = budget.pause_after(error, error.retry_after)
        count_pause(self._url, pause, cold_start=budget.waits_for_model(error))
        return pause

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
        error.partial = self.reader.partial
        if isinstance(error, ConnectionError | TimeoutError) and self.reader.complete:
            return True
        count_failure(self._url, error)
        return False
