"""Constructor fields that say how an answer is generated."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ._names import canonical, one_sentence
from .errors import ConfigurationError
from .wire import NEUTRAL_FIELDS, merge_stops

__all__ = ["CallFields", "GenerationFields", "params_of"]


class GenerationFields(BaseModel):
    """How an answer is generated. None means the server's own default; 0 and False are values."""

    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True)

    temperature: float | None = Field(default=None, allow_inf_nan=False, ge=0)
    """Randomness. 0 is greedy decoding, also on servers that refuse 0."""

    top_p: float | None = Field(default=None, allow_inf_nan=False, ge=0, le=1)
    """Nucleus sampling: the smallest set of tokens with this total probability."""

    top_k: int | None = Field(default=None, ge=-1)
    """Sample from this many most probable tokens; 0 or -1 turns it off."""

    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of an answer (aliases: `max_new_tokens`). On the generate api 1024 is sent if
    unset."""

    stop: list[str] | None = None
    """Stop sequences (alias: `stop_sequences`): the answer ends before the first of them."""

    n: int | None = Field(default=None, ge=1)
    """How many answers to one prompt; not with streaming."""

    seed: int | None = None
    """Seed of the sampling."""

    repetition_penalty: float | None = Field(default=None, allow_inf_nan=False, gt=0)
    """Factor by which tokens that occurred become less likely; 1 is none."""

    frequency_penalty: float | None = Field(default=None, allow_inf_nan=False, ge=-2, le=2)
    """Penalty that grows with how often a token occurred in the answer; 0 is none."""

    presence_penalty: float | None = Field(default=None, allow_inf_nan=False, ge=-2, le=2)
    """Penalty for a token that occurred in the answer at all; 0 is none."""

    typical_p: float | None = Field(default=None, allow_inf_nan=False, ge=0, le=1)
    """Locally typical sampling: total probability of the tokens kept."""

    truncate: int | None = Field(default=None, ge=1)
    """Cut the prompt to its last this many tokens."""

    logprobs: bool | None = None
    """Whether to report the log probabilities of the answer's tokens."""

    top_logprobs: int | None = Field(default=None, ge=0)
    """How many likely alternatives to report for each token."""

    best_of: int | None = Field(default=None, ge=1)
    """Generate this many answers and keep the best."""

    do_sample: bool | None = None
    """False is greedy decoding, on every server."""

    watermark: bool | None = None
    """Whether TGI watermarks the answer."""

    return_full_text: bool | None = None
    """Whether the answer begins with the prompt (alias: `echo`); text apis only."""

    response_format: dict[str, Any] | None = None
    """Shape of the answer: a JSON schema, or the server's own `response_format`."""

    grammar: dict[str, Any] | None = None
    """Constraint on decoding, `{"type": "json" | "regex", "value": ...}`."""

    stream_usage: bool = True
    """Whether a stream ends with token counts, where the server has them."""

    thinking: bool | None = None
    """Switches a reasoning model's thinking, where the server has a switch."""

    @field_validator("stop", mode="before")
    @classmethod
    def _list_of_stops(cls, value: object) -> object:
        if value is None:
            return None
        return list(merge_stops(value))


class CallFields(GenerationFields):
    """What a single call may set, beside the constructor."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str | None = None
    provider: str | None = None
    streaming: bool | None = None  # read where it is decided whether to stream, passed on here
    stream: bool | None = None  # langchain-core's own name for it
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    timeout: float | None = Field(default=None, allow_inf_nan=False, gt=0)
    max_retries: int = Field(default=2, ge=0)
    wait_for_model: float = Field(default=0.0, ge=0)
    tools: list[Any] | None = None  # what `EasyLLMChat.bind_tools` takes
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    structured_output: Any = None  # what `EasyLLMChat.with_structured_output` binds

    @classmethod
    def read(cls, kwargs: Mapping[str, object], objects: Collection[str]) -> dict[str, Any]:
        """Return a call's keyword arguments, validated, under this package's names.

        Args:
            kwargs: The arguments.
            objects: The object's fields, to tell a misplaced name from a misspelt one.

        Raises:
            ConfigurationError: For an unknown name, with the nearest right one, and for a value of
                the wrong type or range.
        """
        if not kwargs:
            return {}
        own = canonical(kwargs, cls.model_fields, objects)
        unset = {name for name in _OBJECTS_OWN if own.get(name) is None}
        try:
            checked = cls.model_validate({k: v for k, v in own.items() if k not in unset})
        except ValidationError as error:
            raise ConfigurationError(one_sentence(error)) from None
        return {name: getattr(checked, name) for name in checked.model_fields_set}


# A call's None unsets a generation field; of these it leaves the object's own.
_OBJECTS_OWN = (
    "max_retries",
    "wait_for_model",
    "stream_usage",
    "model_kwargs",
    "model",
    "provider",
)

_NAMES = frozenset(NEUTRAL_FIELDS) - {"stop"}


def params_of(model: BaseModel, overrides: Mapping[str, Any]) -> dict[str, object]:
    """Return the neutral generation fields that are set, a call's own before the object's.

    Args:
        model: The object; a field that was never set has no value of its own.
        overrides: A call's own; None there unsets the object's.
    """
    chosen = _NAMES & model.model_fields_set.union(overrides)
    if not chosen:
        return {}
    fields = {**model.__dict__, **overrides}
    return {name: value for name in sorted(chosen) if (value := fields[name]) is not None}
