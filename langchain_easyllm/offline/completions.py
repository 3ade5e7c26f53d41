"""TGI's `/v1/completions`.

Format: the OpenAPI document of Text Generation Inference 3 (`CompletionRequest`, `Chunk`,
`CompletionFinal`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

from .engine import Engine
from .fields import NUMBER, STRING, Json, Kind, read_fields
from .generate import finish
from .language_model import Token
from .limits import MAX_BATCH
from .openai import FIELDS, REASONS, head, to_parameters, usage
from .plan import Plan, make_plan
from .refusals import Refusal
from .sse import DONE, event

__all__ = ["complete", "complete_stream", "read_request"]

_PROMPT = Kind(
    "a string or a list of strings",
    lambda value: all(isinstance(each, str) for each in _prompts(value)),
)
_FIELDS = {**FIELDS, "prompt": _PROMPT, "repetition_penalty": NUMBER, "suffix": STRING}


def read_request(body: Json) -> dict[str, object]:
    """Read the body of a completions request.

    Raises:
        Refusal: For a field that is unknown, missing, mistyped or not supported.
    """
    request = read_fields(body, _FIELDS, required=("prompt",))
    if "suffix" in request:
        message = "Suffix is not supported and can be achieved by preprocessing the prompt."
        raise Refusal(message, "suffix not supported")
    if len(_prompts(request["prompt"])) > MAX_BATCH:
        message = f"Number of prompts exceeds the maximum allowed batch size of {MAX_BATCH}"
        raise Refusal(message, "batch size exceeded")
    return request


async def complete(engine: Engine, request: Json) -> dict[str, object]:
    """Answer a request whole: a choice for each prompt."""
    answers = [await finish(engine, plan) for plan in await _plans(engine, request, stream=False)]
    choices = [
        {
            "index": index,
            "text": answer.text,
            "logprobs": None,
            "finish_reason": REASONS[answer.reason],
        }
        for index, answer in enumerate(answers)
    ]
    counted = usage([(answer.plan, len(answer.tokens)) for answer in answers])
    return {**head("text_completion"), "choices": choices, "usage": counted}


async def complete_stream(engine: Engine, request: Json) -> AsyncIterator[bytes]:
    """Answer a request as a stream: a chunk for each token, one prompt after the other.

    Finish reasons in TGI's own words: there it forgets to put them in OpenAI's.
    """
    for index, plan in enumerate(await _plans(engine, request, stream=True)):
        count = 0
        async for token in engine.tokens(plan):
            count += 1
            yield event(_chunk(index, plan, token, count))
    yield DONE


def _chunk(index: int, plan: Plan, token: Token, count: int) -> dict[str, object]:
    reason = token.finish_reason or ""
    text = "" if token.special else token.text
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": reason}
    chunk: dict[str, object] = {**head("text_completion"), "choices": [choice]}
    if reason:
        chunk["usage"] = usage([(plan, count)])
    return chunk


async def _plans(engine: Engine, request: Json, *, stream: bool) -> list[Plan]:
    parameters = to_parameters(request)
    model = engine.language
    prompts = _prompts(request["prompt"])
    return await engine.run(
        lambda: [make_plan(prompt, parameters, model, stream=stream) for prompt in prompts]
    )


def _prompts(value: object) -> list[str]:
    return cast("list[str]", value) if isinstance(value, list) else [cast("str", value)]
