"""TGI's `/v1/chat/completions` and `/chat_tokenize`.

Format: the OpenAPI document of Text Generation Inference 3 (`ChatRequest`, `ChatCompletion`,
`ChatCompletionChunk`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from .chat_prompt import render
from .constraint import Constraint
from .engine import Engine
from .fields import ANY, BOOLEAN, COUNT, NUMBER, OBJECT, STRING, Json, Kind, list_of, read_fields
from .generate import finish
from .language_model import Token
from .openai import FIELDS, REASONS, head, to_parameters, usage, wants_usage
from .plan import Plan, make_plan, read_grammar
from .refusals import Refusal
from .sse import DONE, event
from .tokenizing import TokenText
from .tools import CallReader, forced, read_calls, read_tools

__all__ = ["ChatRequest", "chat", "chat_stream", "chat_tokenize", "read_request", "simple_tokens"]

_FIELDS: dict[str, Kind] = {
    **FIELDS,
    "guideline": STRING,
    "logprobs": BOOLEAN,
    "max_completion_tokens": COUNT,
    "messages": list_of(OBJECT, "a list of objects"),
    "parallel_tool_calls": ANY,
    "presence_penalty": NUMBER,
    "response_format": OBJECT,
    "tool_choice": ANY,
    "tool_prompt": STRING,
    "tools": list_of(OBJECT, "a list of objects"),
    "top_logprobs": COUNT,
}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat request, read.

    Attributes:
        prompt: The rendered prompt.
        parameters: The parameters, as `/generate` calls them.
        constraint: What the answer must be.
        tools: Whether the answer may be a tool call.
        logprobs: Whether log probabilities are asked for.
        stream: Whether the answer is to be streamed.
        usage: Whether a stream is to end with its usage.
    """

    prompt: str
    parameters: dict[str, object]
    constraint: Constraint | None
    tools: bool
    logprobs: bool
    stream: bool
    usage: bool

    async def plan(self, engine: Engine) -> Plan:
        """Check the parameters and plan the run."""
        return await engine.run(
            partial(
                make_plan,
                self.prompt,
                self.parameters,
                engine.language,
                stream=self.stream,
                constraint=self.constraint,
            )
        )


def read_request(body: Json) -> ChatRequest:
    """Read the body of a chat request, and render its prompt.

    Raises:
        Refusal: For a field that is unknown, missing or mistyped, and where the messages, tools or
            the format of the response cannot be told to the model.
    """
    request = read_fields(body, _FIELDS, required=("messages",))
    tools = read_tools(cast("list[Json]", request.get("tools", [])))
    shown, constraint = forced(request.get("tool_choice") if tools else "none", tools)
    schema = None
    if "response_format" in request:
        if tools:
            raise Refusal("Tool error: Grammar and tools are mutually exclusive", "tool_error")
        constraint, schema = read_grammar(cast("Json", request["response_format"]))
    if "max_completion_tokens" in request:
        request.setdefault("max_tokens", request["max_completion_tokens"])
    parameters = to_parameters(request)
    logprobs = bool(request.get("logprobs"))
    if logprobs:
        parameters["top_n_tokens"] = request.get("top_logprobs", 0)
    return ChatRequest(
        prompt=render(cast("list[Json]", request["messages"]), shown, schema),
        parameters=parameters,
        constraint=constraint,
        tools=bool(shown),
        logprobs=logprobs,
        stream=bool(request.get("stream")),
        usage=wants_usage(request),
    )


async def chat(engine: Engine, request: ChatRequest) -> dict[str, object]:
    """Answer a request whole."""
    plan = await request.plan(engine)
    answer = await finish(engine, plan)
    calls = [call.to_json() for call in read_calls(answer.text)] if request.tools else []
    message: dict[str, object] = {"role": "assistant", "content": None if calls else answer.text}
    if calls:
        message["tool_calls"] = calls
    choice = {
        "index": 0,
        "message": message,
        "logprobs": _logprobs(answer.tokens) if request.logprobs else None,
        "finish_reason": REASONS[answer.reason],
    }
    counted = usage([(plan, len(answer.tokens))])
    return {**head("chat.completion"), "choices": [choice], "usage": counted}


async def chat_stream(engine: Engine, request: ChatRequest) -> AsyncIterator[bytes]:
    """Answer a request as a stream: a chunk for each token, the last with the finish reason."""
    plan = await request.plan(engine)
    reader = CallReader(plain=not request.tools)
    count, held = 0, list[Token]()
    async for token in engine.tokens(plan):
        count += 1
        held.append(token)
        text = reader.push("" if token.special else token.text)
        if token.finish_reason:
            text += reader.rest()
        delta = _delta(reader, text)
        if delta or token.finish_reason:
            yield event(_chunk(delta or _said(""), held, logprobs=request.logprobs))
            held.clear()
    if request.usage:
        counted = usage([(plan, count)])
        yield event({**head("chat.completion.chunk"), "choices": [], "usage": counted})
    yield DONE


def chat_tokenize(engine: Engine, request: ChatRequest) -> dict[str, object]:
    """Return the prompt of a request and its tokens."""
    return {
        "templated_text": request.prompt,
        "tokenize_response": simple_tokens(engine.language.encode(request.prompt)),
    }


def simple_tokens(tokens: list[TokenText]) -> list[dict[str, object]]:
    """Return tokens as TGI's tokenize routes list them."""
    return [
        {"id": token.id, "text": token.text, "start": token.start, "stop": token.stop}
        for token in tokens
    ]


def _delta(reader: CallReader, text: str) -> dict[str, object] | None:
    """Return what a chunk adds, or None while it is open what the answer will be."""
    if reader.plain:
        return _said(text)
    name, reader.name = reader.name, None
    if name is None and not text:
        return None
    if not reader.calling:
        return _said(text)  # held back in vain
    call = {
        "index": 0,
        "id": "0",
        "type": "function",
        "function": {"name": name, "arguments": text},
    }
    return {"role": "assistant", "tool_calls": [call]}


def _said(text: str) -> dict[str, object]:
    return {"role": "assistant", "content": text}


def _chunk(
    delta: dict[str, object], tokens: Sequence[Token], *, logprobs: bool
) -> dict[str, object]:
    choice = {
        "index": 0,
        "delta": delta,
        "logprobs": _logprobs(tokens) if logprobs else None,
        "finish_reason": REASONS.get(tokens[-1].finish_reason or ""),
    }
    return {**head("chat.completion.chunk"), "choices": [choice], "usage": None}


def _logprobs(tokens: Sequence[Token]) -> dict[str, object]:
    content = [
        {
            "token": token.text,
            "logprob": token.logprob,
            "top_logprobs": [{"token": text, "logprob": value} for _, text, value in token.top],
        }
        for token in tokens
    ]
    return {"content": content}
