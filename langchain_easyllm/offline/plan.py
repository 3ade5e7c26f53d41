"""From a request's parameters to one run of the language model, by TGI's rules.

Each bound and each wording is that of TGI's router (`router/src/validation.rs`). All of TGI's
protocols come down to the parameters of `/generate`, as they do there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import orjson

from .._llguidance import close_schema
from .bodies import BOOLEAN, COUNT, INTEGER, NUMBER, OBJECT, SEED, STRINGS, Json, Kind, invalid
from .constraint import Constraint, ConstraintError
from .language_model import LanguageModel
from .limits import MAX_BEST_OF, MAX_STOPS, MAX_TOP_TOKENS, max_total_tokens
from .sampling import Sampling
from .tokenizing import TokenText

# The fields of `parameters` on `/generate`.
PARAMETERS: Mapping[str, Kind] = {
    "adapter_id": Kind("null: there are no adapters", lambda _: False),
    "best_of": COUNT,
    "decoder_input_details": BOOLEAN,
    "details": BOOLEAN,
    "do_sample": BOOLEAN,
    "frequency_penalty": NUMBER,
    "grammar": OBJECT,
    "max_new_tokens": COUNT,
    "repetition_penalty": NUMBER,
    "return_full_text": BOOLEAN,
    "seed": SEED,
    "stop": STRINGS,
    "temperature": NUMBER,
    "top_k": INTEGER,
    "top_n_tokens": COUNT,
    "top_p": NUMBER,
    "truncate": COUNT,
    "typical_p": NUMBER,
    "watermark": Kind("false: watermarking is not supported", lambda value: value is False),
}

# In TGI's order: the first that is broken is reported.
_BOUNDS: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    ("best_of", lambda n: 0 < n <= MAX_BEST_OF, f"> 0 and <= {MAX_BEST_OF}. Given: {{}}"),
    ("temperature", lambda x: x > 0, "strictly positive"),
    ("repetition_penalty", lambda x: x > 0, "strictly positive"),
    ("frequency_penalty", lambda x: -2 <= x <= 2, ">= -2.0 and <= 2.0"),
    ("presence_penalty", lambda x: -2 <= x <= 2, ">= -2.0 and <= 2.0"),
    ("top_p", lambda x: 0 < x < 1, "> 0.0 and < 1.0"),
    ("typical_p", lambda x: 0 < x < 1, "> 0.0 and < 1.0"),
    ("top_k", lambda n: n > 0, "strictly positive"),
    ("max_new_tokens", lambda n: n > 0, "strictly positive"),
    ("top_n_tokens", lambda n: n <= MAX_TOP_TOKENS, f">= 0 and <= {MAX_TOP_TOKENS}. Given: {{}}"),
)
_WARPERS = ("temperature", "top_k", "top_p", "typical_p")


@dataclass(frozen=True, slots=True)
class Plan:
    prompt: tuple[TokenText, ...]
    max_new_tokens: int
    sampling: Sampling
    stop: tuple[str, ...] = ()
    top_n: int = 0  # alternatives to report for each token
    constraint: Constraint | None = None
    best_of: int = 1

    @property
    def ids(self) -> list[int]:
        return [token.id for token in self.prompt]

    @property
    def seed(self) -> int | None:
        """None for greedy decoding."""
        return None if self.sampling.temperature is None else self.sampling.seed

    def turn(self, number: int) -> Plan:
        """Return the plan of another answer: each has a seed of its own, counted from the first."""
        if self.seed is None:
            return self
        return replace(self, sampling=replace(self.sampling, seed=self.seed + number))


def make_plan(
    inputs: str,
    parameters: Json,
    model: LanguageModel,
    *,
    stream: bool = False,
    add_special_tokens: bool = True,
    constraint: Constraint | None = None,
) -> Plan:
    """Check a request by TGI's rules and plan its run; the first broken rule is reported.

    The kinds of the parameters, those of `PARAMETERS` and `presence_penalty`, were checked already.
    A `constraint` stands in for the grammar among them.
    """
    _check_bounds(parameters)
    _check_best_of(parameters, stream=stream)
    if not inputs:
        raise invalid("`inputs` cannot be empty")
    prompt = _prompt(inputs, parameters, model, add_special_tokens=add_special_tokens)
    grammar = parameters.get("grammar")
    return Plan(
        prompt=tuple(prompt),
        max_new_tokens=_room(len(prompt), parameters, model.context),
        sampling=_sampling(parameters),
        stop=tuple(cast("list[str]", parameters.get("stop", []))),
        top_n=cast("int", parameters.get("top_n_tokens", 0)),
        constraint=constraint if grammar is None else read_grammar(cast("Json", grammar))[0],
        best_of=cast("int", parameters.get("best_of", 1)),
    )


def read_grammar(grammar: Json) -> tuple[Constraint, Json | None]:
    """Return the constraint of a grammar in TGI's format, and its JSON schema if it has one.

    The format is `{"type": "json", "value": schema}`, `{"type": "json_schema", "value": {"schema":
    schema}}` or `{"type": "regex", "value": expression}`.
    """
    kind, value = grammar.get("type"), grammar.get("value")
    if "value" not in grammar or not set(grammar) <= {"type", "value"}:
        raise invalid("a grammar has a `type` and a `value`, and nothing else")
    try:
        if kind == "regex" and isinstance(value, str):
            return Constraint.regex(value), None
        schema = _schema(kind, value)
        return Constraint.json(close_schema(schema)), schema
    except ConstraintError as error:
        reason = " ".join(str(error).split())
        raise invalid(f"grammar is not valid: {reason}") from error


def _schema(kind: object, value: object) -> Json:
    if kind == "json_schema":
        value = value.get("schema") if isinstance(value, Mapping) else None
    elif kind not in ("json", "json_object"):
        raise invalid("a grammar's `type` must be one of json, json_object, json_schema, regex")
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise invalid(f"grammar is not valid: {error}") from error
    if not isinstance(value, Mapping):
        raise invalid("grammar is not supported")
    if "properties" not in value:
        raise invalid("grammar is not valid: Grammar must have a 'properties' field")
    return {"type": "object", **value}


def _check_bounds(parameters: Json) -> None:
    for name, holds, bound in _BOUNDS:
        value = parameters.get(name)
        if value is not None and not holds(cast("float", value)):
            raise invalid(f"`{name}` must be {bound.format(value)}")
    stops = len(cast("list[str]", parameters.get("stop", [])))
    if stops > MAX_STOPS:
        raise invalid(f"`stop` supports up to {MAX_STOPS} stop sequences. Given: {stops}")


def _check_best_of(parameters: Json, *, stream: bool) -> None:
    if cast("int", parameters.get("best_of", 1)) > 1:
        if stream:
            raise invalid("`best_of` != 1 is not supported when streaming tokens")
        if not _samples(parameters):
            raise invalid("you must use sampling when `best_of` is > 1")
        if "seed" in parameters:
            raise invalid("`seed` must not be set when `best_of` > 1")
    if stream and parameters.get("decoder_input_details"):
        raise invalid("`decoder_input_details` == true is not supported when streaming tokens")


def _prompt(
    inputs: str, parameters: Json, model: LanguageModel, *, add_special_tokens: bool
) -> list[TokenText]:
    longest = model.context - 1  # the answer is one token at least
    truncate = cast("int | None", parameters.get("truncate"))
    if truncate is not None and not 0 < truncate <= longest:
        raise invalid(
            f"`truncate` must be strictly positive and less than {longest}. Given: {truncate}"
        )
    tokens = model.encode(inputs, add_special_tokens=add_special_tokens)
    return tokens if truncate is None else tokens[-truncate:]


def _room(length: int, parameters: Json, context: int) -> int:
    wanted = cast("int", parameters.get("max_new_tokens", 0))
    limit = max_total_tokens(context)
    if length > context - 1:  # first, as it names what the context really holds
        raise invalid(f"`inputs` must have less than {context - 1} tokens. Given: {length}")
    if length + wanted > limit:
        raise invalid(
            f"`inputs` tokens + `max_new_tokens` must be <= {limit}. "
            f"Given: {length} `inputs` tokens and {wanted} `max_new_tokens`"
        )
    return min(wanted or context, context - length)


def _samples(parameters: Json) -> bool:
    return bool(parameters.get("do_sample")) or any(name in parameters for name in _WARPERS)


def _sampling(parameters: Json) -> Sampling:
    given = {
        name: parameters[name]
        for name in ("repetition_penalty", "frequency_penalty", "presence_penalty")
        if name in parameters
    }
    if _samples(parameters):
        given |= {name: parameters[name] for name in _WARPERS if name in parameters}
        given.setdefault("temperature", 1.0)
        given["seed"] = parameters.get("seed", _random_seed())
    return Sampling(**given)  # type: ignore[arg-type]


def _random_seed() -> int:
    return secrets.randbits(63)
