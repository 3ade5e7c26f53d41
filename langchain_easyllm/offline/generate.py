"""TGI's own protocol: `/generate`, `/generate_stream` and both at the root route.

Format: the OpenAPI document of Text Generation Inference 3 (`GenerateRequest`, `GenerateResponse`,
`StreamResponse`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from .engine import Engine
from .fields import BOOLEAN, OBJECT, STRING, Json, read_fields
from .language_model import Token
from .plan import PARAMETERS, Plan, make_plan
from .responses import event

__all__ = ["Finished", "finish", "generate", "generate_stream", "read_request"]

_FIELDS = {"inputs": STRING, "parameters": OBJECT, "add_special_tokens": BOOLEAN}


@dataclass(frozen=True, slots=True)
class Finished:
    """A complete answer."""

    plan: Plan
    tokens: Sequence[Token]

    @property
    def text(self) -> str:
        """The text; a stop sequence that ended it is part of it, as with TGI."""
        return "".join(token.text for token in self.tokens if not token.special)

    @property
    def reason(self) -> str:
        """The finish reason, in TGI's spelling."""
        return self.tokens[-1].finish_reason or "length"

    @property
    def likelihood(self) -> float:
        """The mean log probability of the answer's tokens."""
        return sum(token.logprob for token in self.tokens) / len(self.tokens)


def read_request(body: Json, *, root: bool = False) -> tuple[str, dict[str, object]]:
    """Return the prompt, and the parameters with `add_special_tokens` among them.

    The root route has a field `stream` as well.
    """
    known = {**_FIELDS, "stream": BOOLEAN} if root else _FIELDS
    request = read_fields(body, known, required=("inputs",))
    given = cast("Json", request.get("parameters", {}))
    parameters = read_fields(given, PARAMETERS, where="parameters.")
    parameters["add_special_tokens"] = request.get("add_special_tokens", True)
    return cast("str", request["inputs"]), parameters


async def finish(engine: Engine, plan: Plan) -> Finished:
    """Wait for a complete answer."""
    return Finished(plan, [token async for token in engine.tokens(plan)])


async def generate(engine: Engine, inputs: str, parameters: Json) -> dict[str, object]:
    """Answer `/generate`."""
    plan = await _plan(engine, inputs, parameters, stream=False)
    answers = [await finish(engine, plan)]
    answers += [await finish(engine, plan.reseeded()) for _ in range(1, plan.best_of)]
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
    return result


async def generate_stream(engine: Engine, inputs: str, parameters: Json) -> AsyncIterator[bytes]:
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
            written["details"] = (
                _stream_details(plan, tokens) if parameters.get("details") else None
            )
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


def _stream_details(plan: Plan, tokens: Sequence[Token]) -> dict[str, object]:
    return {
        "finish_reason": tokens[-1].finish_reason,
        "generated_tokens": len(tokens),
        "input_length": len(plan.prompt),
        "seed": plan.seed,
    }


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
