"""TGI's `/v1/chat/completions` and `/chat_tokenize`.

Format: the OpenAPI document of Text Generation Inference 3 (`ChatRequest`, `ChatCompletion`,
`ChatCompletionChunk`).

The template of the prompt is Zephyr's. Tools, calls, results and schemas are written as in the
model's training (`wordings`): the tools and the schema in the system message, a call as
`<tool_call>` text of the assistant, a result as a user message.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from .._tool_formats.base import OfferedTools, dump
from .._tool_formats.call_syntax import Tool, function_of
from .._tool_formats.hermes import HERMES
from .._tool_formats.rendering import render_tools
from ..prompts import PROMPT_MAPPING, PromptError
from .constraint import Constraint
from .engine import Engine
from .fields import ANY, BOOLEAN, COUNT, NUMBER, OBJECT, STRING, Json, Kind, list_of, read_fields
from .generate import finish
from .language_model import Token
from .openai import FIELDS, REASONS, head, to_parameters, usage, wants_usage
from .plan import Plan, make_plan, read_grammar
from .responses import DONE, HTTPError, event, invalid
from .tokenizing import TokenText
from .tools import CallReader, forced, read_calls, read_tools
from .wordings import SCHEMA

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

_MESSAGE = {
    "role": STRING,
    "content": ANY,
    "name": STRING,
    "tool_calls": list_of(OBJECT, "a list of objects"),
    "tool_call_id": STRING,
    # Fields of answers of OpenAI's and other servers that are sent back.
    **dict.fromkeys(("annotations", "audio", "function_call", "reasoning", "refusal"), ANY),
    "reasoning_content": ANY,
}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat request with its prompt rendered."""

    prompt: str
    parameters: dict[str, object]  # by the names of `/generate`
    constraint: Constraint | None
    tools: bool  # the answer may be a tool call
    logprobs: bool
    stream: bool
    usage: bool  # a stream ends with its usage

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
    """Check the body of a chat request, and render its prompt."""
    request = read_fields(body, _FIELDS, required=("messages",))
    tools = read_tools(cast("list[Json]", request.get("tools", [])))
    shown, constraint = forced(request.get("tool_choice") if tools else "none", tools)
    schema = None
    if "response_format" in request:
        if tools:
            raise HTTPError("Tool error: Grammar and tools are mutually exclusive", "tool_error")
        constraint, schema = read_grammar(cast("Json", request["response_format"]))
    if "max_completion_tokens" in request:
        request.setdefault("max_tokens", request["max_completion_tokens"])
    parameters = to_parameters(request)
    logprobs = bool(request.get("logprobs"))
    if logprobs:
        parameters["top_n_tokens"] = request.get("top_logprobs", 0)
    return ChatRequest(
        prompt=_render(cast("list[Json]", request["messages"]), shown, schema),
        parameters=parameters,
        constraint=constraint,
        tools=bool(shown),
        logprobs=logprobs,
        stream=bool(request.get("stream")),
        usage=wants_usage(request),
    )


async def chat(engine: Engine, request: ChatRequest) -> dict[str, object]:
    """Answer a request without streaming."""
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
            yield event(_chunk(delta or _text_delta(""), held, logprobs=request.logprobs))
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
    """Return a chunk's delta, or None while the answer may still be a call or plain text."""
    if reader.plain:
        return _text_delta(text)
    name, reader.name = reader.name, None
    if name is None and not text:
        return None
    if not reader.calling:
        return _text_delta(text)  # held back in vain
    call = {
        "index": 0,
        "id": "0",
        "type": "function",
        "function": {"name": name, "arguments": text},
    }
    return {"role": "assistant", "tool_calls": [call]}


def _text_delta(text: str) -> dict[str, object]:
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


def _render(messages: Sequence[Json], tools: Sequence[Tool] = (), schema: object = None) -> str:
    for index, message in enumerate(messages):
        where = f"messages[{index}]."
        fields = read_fields(message, _MESSAGE, required=("role",), where=where)
        if "content" not in fields and "tool_calls" not in fields:
            raise invalid(f"missing field `{where}content`")
    if schema is not None:
        messages = _with_system(messages, SCHEMA.format(schema=dump(schema)))
    prompt = PROMPT_MAPPING["zephyr"]
    offered = OfferedTools(tuple(map(_described, tools)))
    try:
        return render_tools(prompt, messages, offered, HERMES) if tools else prompt.render(messages)
    except PromptError as error:
        raise HTTPError(f"Template error: {error}", "template_error") from error


def _with_system(messages: Sequence[Json], text: str) -> list[Json]:
    if not messages or messages[0]["role"] not in ("system", "developer"):
        return [{"role": "system", "content": text}, *messages]
    first, *rest = messages
    own = first["content"]
    parts = own if isinstance(own, list) else [own]
    return [{**first, "content": [*parts, f"\n\n{text}"]}, *rest]


def _described(tool: Tool) -> Json:
    """Return a tool as in the model's training: keys in this order, without titles."""
    function = function_of(tool)
    return {
        "name": function["name"],
        "description": function.get("description") or "",
        "parameters": _in_order(function["parameters"]),
    }


def _in_order(parameters: object) -> object:
    if not isinstance(parameters, Mapping):
        return parameters
    first = ("type", "properties", "required")
    kept = {key: parameters[key] for key in first if key in parameters}
    rest = {key: value for key, value in parameters.items() if key not in (*first, "title")}
    properties = kept.get("properties")
    if isinstance(properties, Mapping):
        kept["properties"] = {name: _untitled(value) for name, value in properties.items()}
    return {**kept, **rest}


def _untitled(schema: object) -> object:
    if not isinstance(schema, Mapping):
        return schema
    return {key: value for key, value in schema.items() if key != "title"}
