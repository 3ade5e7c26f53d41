"""Tools and a constraint of the answer in one call, on servers that cannot have both at once.

TGI refuses them together, and elsewhere the constraint acts from the first token, so that nothing
is called any more. A model therefore gets the tools alone. Once it answers without a call, a second
request without tools puts that answer into the form that is wanted.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from langchain_core.messages import AIMessage, HumanMessage

from .._http.exchange import arun_flow, run_flow
from .._langchain.outputs import to_chat_result
from .._protocols.constraints import CONSTRAINT_FIELDS, read_constraint
from .._protocols.events import Delta, add_usage
from .._protocols.reader import Answer, Chunk
from .._protocols.tool_calls import merge_calls
from .._structured_output.json_text import JsonText
from .._structured_output.schema import OutputSchema, schema_name
from ..errors import StructuredOutputError
from .prepare import repair_request
from .request import GenerationRequest
from .response import note_first_of

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from .client import GenerationClient

    _Flow = Generator[GenerationRequest, list[Answer], list[Answer]]

METHOD = "response_format_method"
"""The key of `response_metadata` that says which request an answer came from."""

TOOLS_FIRST, SECOND_REQUEST, WITHOUT_TOOLS = "tools_first", "second_request", "without_tools"


def client_with_schema(
    client: GenerationClient, request: GenerationRequest
) -> GenerationClient | SchemaAfterTools:
    """Return what answers a request with tools and `response_format` or `grammar`."""
    given = [request.params[name] for name in CONSTRAINT_FIELDS & request.params.keys()]
    if request.output is not None or len(given) != 1:  # two are an error
        return client
    kind = read_constraint(given[0]).kind
    # A grammar beside a call that is required may describe the call.
    forced = request.tool_choice not in (None, "auto", "none")
    apart = kind == "json" or not (forced or kind == "text")
    return SchemaAfterTools(client) if apart else client


class SchemaAfterTools:
    """Answers like a `GenerationClient`, with as many requests as it takes."""

    def __init__(self, client: GenerationClient) -> None:
        self._client = client

    def answer(self, request: GenerationRequest) -> list[Answer]:
        return run_flow(_answer(_Requests(request)), self._client.answer)

    async def aanswer(self, request: GenerationRequest) -> list[Answer]:
        return await arun_flow(_answer(_Requests(request)), self._client.aanswer)

    def stream(self, request: GenerationRequest) -> Generator[list[Chunk], None, None]:
        answer = _StreamedSteps(_Requests(request))
        while answer.request is not None:
            with closing(self._client.stream(answer.request)) as stream:
                for chunks in stream:
                    if shown := answer.feed(chunks):
                        yield shown
            if shown := answer.close():
                yield shown

    async def astream(self, request: GenerationRequest) -> AsyncGenerator[list[Chunk], None]:
        answer = _StreamedSteps(_Requests(request))
        while answer.request is not None:
            async with aclosing(self._client.astream(answer.request)) as stream:
                async for chunks in stream:
                    if shown := answer.feed(chunks):
                        yield shown
            if shown := answer.close():
                yield shown


class _Requests:
    """The requests that one call may take."""

    def __init__(self, request: GenerationRequest) -> None:
        # One call has one time limit, however many requests it takes.
        self._request = replace(request, policy=request.policy.begin())
        self.schema = _schema_in(request.params)

    def with_tools(self) -> GenerationRequest | None:
        """Return the request with tools; None if none may be called."""
        if self._request.tool_choice == "none":
            return None
        rest = {k: v for k, v in self._request.params.items() if k not in CONSTRAINT_FIELDS}
        return replace(self._request, params=rest)

    def with_schema(self, text: str = "") -> GenerationRequest:
        """Return the request without tools; `text` is what the model has answered."""
        request = self._request
        params, source = request.params, cast("Sequence[BaseMessage]", request.source)
        if text.strip():
            wanted = "in the required form, and nothing else."
            if self.schema is not None:  # no server shows the model what it constrains it to
                wanted = f"as JSON. {self.schema.as_instructions()}"
            if request.prefill:
                text = f"{source[-1].text}{text}"
                source = source[:-1]
            source = [*source, AIMessage(text), HumanMessage(f"Write this answer {wanted}")]
        return replace(
            request,
            source=source,
            params=params,
            tools=(),
            tool_choice=None,
            parallel_tool_calls=None,
            prefill=False,  # no object begins in the middle of a text
            # Without a method of the caller's, the next one is tried where one is refused.
            output=self.schema,
        )

    def new_text(self) -> JsonText | None:
        return None if self.schema is None else JsonText(arrays=not self.schema.is_object)

    def reduced(self, text: str, arguments: str = "", reasoning: str = "") -> str:
        """Return the JSON of a whole answer; the same text where no JSON is wanted."""
        found = self.new_text()
        return text if found is None else found.feed(text) or found.close(arguments, reasoning)

    def fits(self, text: str) -> bool:
        """Whether a text is JSON, and nothing else, that fits the schema already."""
        if self.schema is None:
            return False
        try:
            json.loads(text)
            self.schema.parse(AIMessage(text))
        except (ValueError, RecursionError, StructuredOutputError):
            return False
        return True

    def arguments(self, end: Delta) -> str:
        """Return the arguments of the call that stands for the object, if it is one."""
        name = self.schema.name if self.schema else None
        return next((call.arguments for call in end.calls if call.name == name), "")


def _schema_in(params: Mapping[str, object]) -> OutputSchema | None:
    """Return the schema of a constraint; None if it is another one, or allows any object."""
    [name] = CONSTRAINT_FIELDS & params.keys()
    constraint = read_constraint(params[name])
    schema = constraint.value
    if constraint.kind != "json" or not isinstance(schema, Mapping) or schema == {"type": "object"}:
        return None
    named = constraint.given.get("json_schema")
    own = named if isinstance(named, Mapping) else {}
    strict = own.get("strict")
    return OutputSchema(
        schema,
        schema_name(own.get("name") or schema.get("title")),
        schema,
        strict=strict if isinstance(strict, bool) else None,
    )


def _answer(requests: _Requests) -> _Flow:
    first = requests.with_tools()
    if first is None:
        return [
            _as_json(requests, answer, WITHOUT_TOOLS) for answer in (yield requests.with_schema())
        ]
    answers = yield first
    usage = answers[0].end.usage  # the request's, on each of its answers
    for index, answer in enumerate(answers):
        if answer.end.calls or answer.refusal or requests.fits(answer.text):
            answers[index] = _as_json(requests, answer, TOOLS_FIRST)
            continue
        request = _of_one(requests.with_schema(answer.text))
        [found] = yield request
        usage = add_usage(usage, found.end.usage)
        found = _as_json(requests, found, SECOND_REQUEST)
        if more := repair_request(request, to_chat_result([found]).generations[0].message):
            [found] = yield more
            usage = add_usage(usage, found.end.usage)
            found = _as_json(requests, found, SECOND_REQUEST)
        answers[index] = _behind(answer, found)
    answers[0].end.usage = usage
    return answers


def _of_one(request: GenerationRequest) -> GenerationRequest:
    """Return the same request for one answer."""
    return replace(request, params={k: v for k, v in request.params.items() if k != "n"})


def _as_json(requests: _Requests, answer: Answer, method: str) -> Answer:
    """Note where an answer came from; one that is no call and no refusal is its JSON alone."""
    end = answer.end
    end.extra = {**(end.extra or {}), METHOD: method}
    called = method == TOOLS_FIRST and bool(end.calls)
    if not called and not answer.refusal:
        answer.text = requests.reduced(answer.text, requests.arguments(end), answer.reasoning)
        _without_calls(end)
    return answer


def _without_calls(end: Delta) -> None:
    """Let an object that came as a call be text."""
    end.calls = ()
    end.finish_reason = "stop" if end.finish_reason == "tool_calls" else end.finish_reason


def _behind(first: Answer, second: Answer) -> Answer:
    """Return the second answer, with the reasoning of both."""
    both = (first.reasoning, second.reasoning)
    second.reasoning = "\n\n".join(text for text in both if text)
    end, before = second.end, first.end
    end.reasoning_field = before.reasoning_field or end.reasoning_field
    end.reasoning_details = end.reasoning_details or before.reasoning_details
    return second


class _StreamedSteps:
    """What is shown of the requests' streams: the calls or the object, and all reasoning."""

    def __init__(self, requests: _Requests) -> None:
        self._requests = requests
        first = requests.with_tools()
        self.request: GenerationRequest | None = first or requests.with_schema()
        self._is_first = first is not None
        self._method = SECOND_REQUEST if first else WITHOUT_TOOLS
        self._before: Delta | None = None  # the end of the request with tools
        self._late: list[Chunk] = []  # a delta, which may be the end
        self._held: list[Chunk] = []  # text that may be dropped
        self._is_shown = False  # whether the answer with tools is the one
        self._text = requests.new_text()
        self._calls: list[Delta] = []
        self._reasoning = ""
        self._reasoned = False  # whether the request with tools gave reasoning

    def feed(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """Take some chunks, and return what of them is shown."""
        chunks = [*self._late, *chunks]
        self._late = [chunks.pop()] if isinstance(chunks[-1], Delta) else []
        take = self._take_first if self._is_first else self._take_second
        return [shown for chunk in chunks for shown in take(chunk)]

    def close(self) -> list[Chunk]:
        """Return what is shown at the end of a stream, and set the next request, if any."""
        end = cast("Delta", self._late.pop())
        return self._close_first(end) if self._is_first else self._close_second(end)

    def _take_first(self, chunk: Chunk) -> list[Chunk]:
        if isinstance(chunk, Delta):
            self._reasoned = self._reasoned or bool(chunk.reasoning)
            if chunk.calls or chunk.refusal:
                self._is_shown = True
            elif chunk.reasoning:
                return [chunk]
        self._held.append(chunk)
        if not self._is_shown:
            return []
        shown, self._held = self._held, []
        return shown

    def _close_first(self, end: Delta) -> list[Chunk]:
        text = "".join(chunk for chunk in self._held if isinstance(chunk, str))
        fits = not self._is_shown and self._requests.fits(text)
        if self._is_shown or fits:
            self.request = None
            end.extra = {**(end.extra or {}), METHOD: TOOLS_FIRST}
            if fits:
                deltas = [chunk for chunk in self._held if isinstance(chunk, Delta)]
                return [*deltas, self._requests.reduced(text), end]
            return [end]
        self.request, self._before, self._is_first = self._requests.with_schema(text), end, False
        return []

    def _take_second(self, chunk: Chunk) -> list[Chunk]:
        if isinstance(chunk, str):
            shown = chunk if self._text is None else self._text.feed(chunk)
            return [shown] if shown else []
        if chunk.reasoning:
            gap = "\n\n" if self._reasoned and not self._reasoning else ""
            self._reasoning += chunk.reasoning
            named = None if self._reasoned else chunk.reasoning_field
            return [replace(chunk, reasoning=gap + chunk.reasoning, reasoning_field=named)]
        if chunk.calls:
            self._calls.append(chunk)
            return [replace(chunk, calls=())] if chunk.logprobs else []
        return [chunk]

    def _close_second(self, end: Delta) -> list[Chunk]:
        self.request = None
        end.calls = merge_calls(call for delta in self._calls for call in delta.calls)
        arguments = self._requests.arguments(end)
        rest = self._text.close(arguments, self._reasoning) if self._text else ""
        _without_calls(end)
        end.extra = {**(end.extra or {}), METHOD: self._method}
        if before := self._before:
            end.usage = add_usage(before.usage, end.usage)
            end.reasoning_details = end.reasoning_details or before.reasoning_details
            if self._reasoned:
                note_first_of(before, end)
        return [rest, end] if rest else [end]
