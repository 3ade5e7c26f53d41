"""TGI's routes: its own protocol, the OpenAI-style ones and those that tokenize.

Format: the OpenAPI document of Text Generation Inference 3 (`GenerateRequest`, `GenerateResponse`,
`StreamResponse`; `CompletionRequest`, `Chunk`, `CompletionFinal`; `ChatRequest`, `ChatCompletion`,
`ChatCompletionChunk`).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from .._tool_formats.call_syntax import Tool
from ..prompts.conversation import text_of
from .answers import Finished, finish
from .bodies import (
    ANY,
    BOOLEAN,
    COUNT,
    DONE,
    NUMBER,
    OBJECT,
    SEED,
    STRING,
    STRINGS,
    HTTPError,
    Json,
    Kind,
    event,
    invalid,
    list_of,
    read_fields,
)
from .constraint import Constraint
from .conversation import render_chat
from .engine import Engine
from .language_model import LanguageModel, Token
from .limits import FINGERPRINT, MAX_BATCH
from .plan import PARAMETERS, Plan, make_plan, read_grammar
from .server_api import Reply
from .tokenizing import TokenText
from .tools import CallReader, forced, read_calls, read_tools

_COMPUTE_TYPE = {"x-compute-type": "1-cpu"}
_GENERATE_FIELDS = {"inputs": STRING, "parameters": OBJECT, "add_special_tokens": BOOLEAN}


def _read_generate(body: Json, *, root: bool = False) -> tuple[str, dict[str, object]]:
    """Return the prompt, and the parameters with `add_special_tokens` among them.

    The root route has a field `stream` as well.
    """
    known = {**_GENERATE_FIELDS, "stream": BOOLEAN} if root else _GENERATE_FIELDS
    request = read_fields(body, known, required=("inputs",))
    given = cast("Json", request.get("parameters", {}))
    parameters = read_fields(given, PARAMETERS, where="parameters.")
    parameters["add_special_tokens"] = request.get("add_special_tokens", True)
    return cast("str", request["inputs"]), parameters


async def generate(engine: Engine, body: Json) -> object:
    return await _generate(engine, *_read_generate(body))


async def generate_stream(engine: Engine, body: Json) -> object:
    return _generate_stream(engine, *_read_generate(body))


async def generate_at_root(engine: Engine, body: Json) -> object:
    inputs, parameters = _read_generate(body, root=True)
    if body.get("stream"):
        return _generate_stream(engine, inputs, parameters)
    reply = await _generate(engine, inputs, parameters)
    return replace(reply, body=[reply.body])


async def _generate(engine: Engine, inputs: str, parameters: Json) -> Reply:
    start = time.perf_counter()
    plan = await _plan(engine, inputs, parameters, stream=False)
    planned = time.perf_counter() - start
    answers = [await finish(engine, plan)]
    answers += [await finish(engine, plan.turn(number)) for number in range(1, plan.best_of)]
    answers.sort(key=lambda answer: -answer.likelihood)
    echo = inputs if parameters.get("return_full_text") else ""
    best, others = answers[0], answers[1:]
    result: dict[str, object] = {"generated_text": echo + best.text}
    if parameters.get("details") or parameters.get("decoder_input_details"):
        prefill = await _prefill(engine, plan) if parameters.get("decoder_input_details") else []
        sequences = [
            {"generated_text": echo + each.text, **_details(each, prefill)} for each in others
        ]
        result["details"] = {**_details(best, prefill), "best_of_sequences": sequences or None}
    return Reply(result, _headers([best], planned))


def _headers(answers: Sequence[Finished], planned: float) -> dict[str, str]:
    """Return what TGI's headers tell of answers: token counts, and times in milliseconds.

    `planned` are the seconds that it took to check the request.
    """
    written = sum(len(answer.tokens) for answer in answers)
    inference = sum(answer.prompt_time + answer.answer_time for answer in answers)
    milliseconds = {
        "x-total-time": planned + inference,
        "x-validation-time": planned,
        "x-queue-time": 0.0,
        "x-inference-time": inference,
        "x-time-per-token": inference / written,
    }
    # Tokens that share a character have all of it as their text.
    characters = sum(max(token.stop for token in answer.plan.prompt) for answer in answers)
    return {
        **_COMPUTE_TYPE,
        "x-compute-time": f"{planned + inference:.6f}",
        "x-compute-characters": f"{characters}",
        **{name: f"{1000 * seconds:.0f}" for name, seconds in milliseconds.items()},
        "x-prompt-tokens": f"{sum(len(answer.plan.prompt) for answer in answers)}",
        "x-generated-tokens": f"{written}",
    }


async def _generate_stream(engine: Engine, inputs: str, parameters: Json) -> AsyncIterator[bytes]:
    """Answer `/generate_stream`: an event for each token, the last one with the whole text."""
    plan = await _plan(engine, inputs, parameters, stream=True)
    echo = inputs if parameters.get("return_full_text") else ""
    tokens: list[Token] = []
    async for token in engine.tokens(plan):
        tokens.append(token)
        written: dict[str, object] = {
            "index": len(tokens),
            "token": _token(token),
            "generated_text": None,
            "details": None,
        }
        if plan.top_n:
            written["top_tokens"] = _top(token)
        if token.finish_reason:
            written["generated_text"] = echo + Finished(plan, tokens).text
            if parameters.get("details"):
                written["details"] = {
                    "finish_reason": token.finish_reason,
                    "generated_tokens": len(tokens),
                    "input_length": len(plan.prompt),
                    "seed": plan.seed,
                }
        yield event(written)


async def _plan(engine: Engine, inputs: str, parameters: Json, *, stream: bool) -> Plan:
    special = bool(parameters["add_special_tokens"])
    model = engine.language
    return await engine.run(
        partial(make_plan, inputs, parameters, model, stream=stream, add_special_tokens=special)
    )


async def _prefill(engine: Engine, plan: Plan) -> list[dict[str, object]]:
    logprobs = await engine.run(lambda: engine.language.prompt_logprobs(plan.ids))
    return [
        {"id": token.id, "text": token.text, "logprob": logprob}
        for token, logprob in zip(plan.prompt, logprobs, strict=True)
    ]


def _details(answer: Finished, prefill: list[dict[str, object]]) -> dict[str, object]:
    details: dict[str, object] = {
        "finish_reason": answer.reason,
        "generated_tokens": len(answer.tokens),
        "seed": answer.plan.seed,
        "prefill": prefill,
        "tokens": [_token(token) for token in answer.tokens],
    }
    if answer.plan.top_n:
        details["top_tokens"] = [_top(token) for token in answer.tokens]
    return details


def _token(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "text": token.text,
        "logprob": token.logprob,
        "special": token.special,
    }


def _top(token: Token) -> list[dict[str, object]]:
    return [
        {"id": id, "text": text, "logprob": logprob, "special": False}
        for id, text, logprob in token.top
    ]


# Request fields of both OpenAI-style routes.
_OPENAI_FIELDS: dict[str, Kind] = {
    "frequency_penalty": NUMBER,
    "max_tokens": COUNT,
    "model": STRING,
    "seed": SEED,
    "stop": STRINGS,
    "stream": BOOLEAN,
    "stream_options": OBJECT,
    "temperature": NUMBER,
    "top_p": NUMBER,
    # Fields of OpenAI's that TGI ignores.
    "logit_bias": ANY,
    "metadata": ANY,
    "n": COUNT,
    "store": ANY,
    "user": ANY,
}
# TGI's finish reasons on these routes, of which it changes only one to OpenAI's.
_REASONS = {"length": "length", "eos_token": "stop", "stop_sequence": "stop_sequence"}
_SAME = ("frequency_penalty", "presence_penalty", "repetition_penalty", "seed", "stop", "top_p")


def _to_parameters(request: Json) -> dict[str, object]:
    """Return a request's parameters as `/generate` calls them.

    Decoding is greedy unless the request asks to sample, so that a test gets the same answer each
    time; TGI samples at temperature 1.0 here by default.
    """
    parameters = {name: request[name] for name in _SAME if name in request}
    if "max_tokens" in request:
        parameters["max_new_tokens"] = request["max_tokens"]
    if request.get("temperature"):  # 0 means greedy on these routes
        parameters["temperature"] = request["temperature"]
    elif "temperature" in request:
        parameters.pop("top_p", None)
    return parameters


def _head(kind: str, engine: Engine) -> dict[str, object]:
    return {
        "object": kind,
        "id": "",
        "created": int(time.time()),
        "model": engine.language.name,
        "system_fingerprint": FINGERPRINT,
    }


def _usage(plans: list[tuple[Plan, int]]) -> dict[str, int]:
    """Return the usage of runs, each with its number of new tokens."""
    prompt = sum(len(plan.prompt) for plan, _ in plans)
    written = sum(count for _, count in plans)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
    }


def _wants_usage(request: Json) -> bool:
    options = request.get("stream_options")
    if not isinstance(options, dict):
        return False
    known = {"include_usage": BOOLEAN, "include_obfuscation": ANY}
    return bool(read_fields(options, known, where="stream_options.").get("include_usage"))


_PROMPT = Kind(
    "a string or a list of strings",
    lambda value: all(isinstance(each, str) for each in _prompts(value)),
)
_COMPLETION_FIELDS = {
    **_OPENAI_FIELDS,
    "prompt": _PROMPT,
    "repetition_penalty": NUMBER,
    "suffix": STRING,
}


def _read_completions(body: Json) -> dict[str, object]:
    request = read_fields(body, _COMPLETION_FIELDS, required=("prompt",))
    if "suffix" in request:
        message = "Suffix is not supported and can be achieved by preprocessing the prompt."
        raise HTTPError(message, "suffix not supported")
    if not _prompts(request["prompt"]):
        raise invalid("`prompt` cannot be empty")
    if len(_prompts(request["prompt"])) > MAX_BATCH:
        message = f"Number of prompts exceeds the maximum allowed batch size of {MAX_BATCH}"
        raise HTTPError(message, "batch size exceeded")
    return request


async def completions(engine: Engine, body: Json) -> object:
    request = _read_completions(body)
    if request.get("stream"):
        return _stream_completions(engine, request)
    start = time.perf_counter()
    plans = await _plans(engine, request, stream=False)
    planned = time.perf_counter() - start
    answers = [await finish(engine, plan) for plan in plans]
    choices = [
        _choice(index, answer.text, _REASONS[answer.reason]) for index, answer in enumerate(answers)
    ]
    counted = _usage([(answer.plan, len(answer.tokens)) for answer in answers])
    result = {**_head("text_completion", engine), "choices": choices, "usage": counted}
    return Reply(result, _headers(answers, planned))


async def _stream_completions(engine: Engine, request: Json) -> AsyncIterator[bytes]:
    """Answer a request as a stream: a chunk for each token, one prompt after the other.

    The finish reasons are TGI's own: here it forgets to change them to OpenAI's.
    """
    for index, plan in enumerate(await _plans(engine, request, stream=True)):
        count = 0
        async for token in engine.tokens(plan):
            count += 1
            chunk = _completion_chunk(index, plan, token, count)
            yield event({**_head("text_completion", engine), **chunk})
    yield DONE


def _completion_chunk(index: int, plan: Plan, token: Token, count: int) -> dict[str, object]:
    reason = token.finish_reason or ""
    text = "" if token.special else token.text
    chunk: dict[str, object] = {"choices": [_choice(index, text, reason)]}
    if reason:
        chunk["usage"] = _usage([(plan, count)])
    return chunk


def _choice(index: int, text: str, reason: str) -> dict[str, object]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}


async def _plans(engine: Engine, request: Json, *, stream: bool) -> list[Plan]:
    parameters = _to_parameters(request)
    model = engine.language
    prompts = _prompts(request["prompt"])
    return await engine.run(
        lambda: [make_plan(prompt, parameters, model, stream=stream) for prompt in prompts]
    )


def _prompts(value: object) -> list[str]:
    return cast("list[str]", value) if isinstance(value, list) else [cast("str", value)]


_CHAT_FIELDS: dict[str, Kind] = {
    **_OPENAI_FIELDS,
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
class _ChatRequest:
    prompt: str
    parameters: dict[str, object]  # by the names of `/generate`
    constraint: Constraint | None
    tools: bool  # the answer may be a tool call
    logprobs: bool
    stream: bool
    usage: bool  # a stream ends with its usage

    async def plan(self, engine: Engine) -> Plan:
        plan = partial(make_plan, self.prompt, self.parameters, engine.language)
        return await engine.run(partial(plan, stream=self.stream, constraint=self.constraint))


def _read_chat(body: Json, model: LanguageModel) -> _ChatRequest:
    request = read_fields(body, _CHAT_FIELDS, required=("messages",))
    tools = read_tools(cast("list[Json]", request.get("tools", [])))
    shown, constraint = forced(request.get("tool_choice") if tools else "none", tools)
    schema = None
    if "response_format" in request:
        if tools:
            raise HTTPError("Tool error: Grammar and tools are mutually exclusive", "tool_error")
        constraint, schema = read_grammar(cast("Json", request["response_format"]))
    if "max_completion_tokens" in request:
        request.setdefault("max_tokens", request["max_completion_tokens"])
    parameters = _to_parameters(request)
    logprobs = bool(request.get("logprobs"))
    if logprobs:
        parameters["top_n_tokens"] = request.get("top_logprobs", 0)
    return _ChatRequest(
        prompt=_render(model, cast("list[Json]", request["messages"]), shown, schema),
        parameters=parameters,
        constraint=constraint,
        tools=bool(shown),
        logprobs=logprobs,
        stream=bool(request.get("stream")),
        usage=_wants_usage(request),
    )


async def chat(engine: Engine, body: Json) -> object:
    start = time.perf_counter()
    request = await engine.run(partial(_read_chat, body, engine.language))
    if request.stream:
        return _stream_chat(engine, request)
    plan = await request.plan(engine)
    planned = time.perf_counter() - start
    answer = await finish(engine, plan)
    calls = read_calls(answer.text) if request.tools else []
    message: dict[str, object] = {"role": "assistant", "content": None if calls else answer.text}
    if calls:
        message["tool_calls"] = calls
    choice = {
        "index": 0,
        "message": message,
        "logprobs": _logprobs(answer.tokens) if request.logprobs else None,
        "finish_reason": _REASONS[answer.reason],
    }
    counted = _usage([(plan, len(answer.tokens))])
    result = {**_head("chat.completion", engine), "choices": [choice], "usage": counted}
    return Reply(result, _headers([answer], planned))


async def _stream_chat(engine: Engine, request: _ChatRequest) -> AsyncIterator[bytes]:
    """Answer a request as a stream: a chunk for each token, the last with the finish reason."""
    plan, head = await request.plan(engine), _head("chat.completion.chunk", engine)
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
            chunk = _chat_chunk(delta or _text_delta(""), held, logprobs=request.logprobs)
            yield event({**head, **chunk})
            held.clear()
    if request.usage:
        counted = _usage([(plan, count)])
        yield event({**head, "choices": [], "usage": counted})
    yield DONE


async def chat_tokenize(engine: Engine, body: Json) -> object:
    def work() -> dict[str, object]:
        prompt = _read_chat(body, engine.language).prompt
        tokens = _simple_tokens(engine.language.encode(prompt))
        return {"templated_text": prompt, "tokenize_response": tokens}

    return await engine.run(work)


async def tokenize(engine: Engine, body: Json) -> object:
    inputs, parameters = _read_generate(body)
    special = bool(parameters["add_special_tokens"])
    encode = partial(engine.language.encode, inputs, add_special_tokens=special)
    return _simple_tokens(await engine.run(encode))


def _simple_tokens(tokens: list[TokenText]) -> list[dict[str, object]]:
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
    call = {"index": reader.index, "id": "0", "type": "function"}
    function = {"name": name, "arguments": text}
    return {"role": "assistant", "tool_calls": [{**call, "function": function}]}


def _text_delta(text: str) -> dict[str, object]:
    return {"role": "assistant", "content": text}


def _chat_chunk(
    delta: dict[str, object], tokens: Sequence[Token], *, logprobs: bool
) -> dict[str, object]:
    choice = {
        "index": 0,
        "delta": delta,
        "logprobs": _logprobs(tokens) if logprobs else None,
        "finish_reason": _REASONS.get(tokens[-1].finish_reason or ""),
    }
    return {"choices": [choice], "usage": None}


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


def _render(
    model: LanguageModel, messages: Sequence[Json], tools: Sequence[Tool], schema: object
) -> str:
    for index, message in enumerate(messages):
        where = f"messages[{index}]."
        fields = read_fields(message, _MESSAGE, required=("role",), where=where)
        if "content" not in fields and "tool_calls" not in fields:
            raise invalid(f"missing field `{where}content`")
    return _continued(render_chat(model.prompt, messages, tools, schema), messages)


def _continued(prompt: str, messages: Sequence[Json]) -> str:
    """End a prompt behind an assistant's text that ends the messages, and which is continued."""
    if not messages or messages[-1]["role"] != "assistant":
        return prompt
    said = text_of(messages[-1].get("content"), len(messages) - 1, "assistant")
    before, found, _ = prompt.rpartition(said) if said else ("", "", "")
    return f"{before}{found}".rstrip() if found else prompt
