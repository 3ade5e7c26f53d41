"""Constructor fields of generation and of prompts, and the fields of a call."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    WrapValidator,
    field_validator,
    model_validator,
)

from .._protocols.answer_length import check_length
from .._protocols.constraints import CONSTRAINT_FIELDS
from .._protocols.stop_sequences import merge_stops
from .._protocols.thinking import check_agreement, check_effort
from .._servers.profile import NEUTRAL_FIELDS, ReasoningEffort
from ..errors import ConfigurationError, one_sentence
from .aliases import canonical
from .call_headers import hidden_headers
from .constraints import constraint_dict
from .constructor_types import UNSET, Convertible
from .timeouts import one_timeout
from .token_bias import token_biases

if TYPE_CHECKING:
    from ..prompts import ChatPrompt


class GenerationFields(BaseModel):
    """How to generate. None means the server's own default; 0 and False are values."""

    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True)

    temperature: float | None = Field(default=None, allow_inf_nan=False, ge=0)
    """The sampling temperature. 0 means greedy decoding, also on servers that reject 0."""

    top_p: float | None = Field(default=None, allow_inf_nan=False, ge=0, le=1)
    """Nucleus sampling: sample from the smallest set of tokens with this total probability."""

    top_k: int | None = Field(default=None, ge=-1)
    """The number of most probable tokens to sample from. 0 or -1 means all."""

    max_tokens: int | None = Field(default=None, ge=1)
    """The maximum number of tokens to generate (alias: `max_new_tokens`). If it is not set, 1024 is
    sent on TGI's `generate` protocol, and on completions of servers whose own default is much
    lower; see docs/fields.md."""

    stop: Convertible[list[str] | None, str] = UNSET
    """The stop sequences (alias: `stop_sequences`). The answer ends before the first of them."""

    n: int | None = Field(default=None, ge=1)
    """The number of answers to generate for one prompt. Not for streams."""

    seed: int | None = None
    """The random seed for sampling."""

    repetition_penalty: float | None = Field(default=None, allow_inf_nan=False, gt=0)
    """The factor by which tokens that occurred become less probable. 1 means no penalty."""

    frequency_penalty: float | None = Field(default=None, allow_inf_nan=False, ge=-2, le=2)
    """The penalty for each time that a token occurred in the answer. 0 means no penalty."""

    presence_penalty: float | None = Field(default=None, allow_inf_nan=False, ge=-2, le=2)
    """The penalty for a token that occurred in the answer at all. 0 means no penalty."""

    typical_p: float | None = Field(default=None, allow_inf_nan=False, ge=0, le=1)
    """Locally typical sampling: the total probability of the tokens to keep."""

    truncate: int | None = Field(default=None, ge=1)
    """The maximum number of prompt tokens. A longer prompt is cut at its beginning."""

    logprobs: bool | None = None
    """Whether to return the log probabilities of the generated tokens."""

    top_logprobs: int | None = Field(default=None, ge=0)
    """The number of most probable tokens to return for each position."""

    best_of: int | None = Field(default=None, ge=1)
    """The number of answers to generate, of which the best is returned."""

    do_sample: bool | None = None
    """Whether to sample. False means greedy decoding, on every server."""

    watermark: bool | None = None
    """Whether to watermark the answer (TGI)."""

    return_full_text: bool | None = None
    """Whether the answer begins with the prompt (alias: `echo`). Text protocols only."""

    response_format: Convertible[dict[str, Any] | None, type | Mapping[str, Any]] = UNSET
    """The format of the answer, on servers that constrain decoding: a JSON schema, a pydantic
    class, a dataclass or a TypedDict, `{"type": "regex", "value": "..."}`,
    `{"type": "choice", "value": [...]}`, `{"type": "ebnf", "value": "..."}`, or the same in the
    words of OpenAI or a server. A class is kept as its JSON schema."""

    grammar: Convertible[dict[str, Any] | None, type | Mapping[str, Any]] = UNSET
    """Another name of `response_format`: set one of them."""

    stream_usage: bool = True
    """Whether a stream ends with token counts, if the server reports them. Default True."""

    thinking: bool | None = None
    """Whether a reasoning model thinks before it answers, on servers that support the choice."""

    reasoning_effort: ReasoningEffort | None = None
    """How much a reasoning model thinks before it answers: `"none"`, `"minimal"`, `"low"`,
    `"medium"`, `"high"` or `"xhigh"`. A value that the server, or the model's template, does not
    have is an error."""

    min_p: float | None = Field(default=None, allow_inf_nan=False, ge=0, le=1)
    """The least probability of a token to sample, as a share of the most probable one's."""

    logit_bias: Convertible[
        dict[str, float] | None,
        Mapping[int, float] | Mapping[str, float] | Sequence[Sequence[float]],
    ] = UNSET
    """What is added to the logits of tokens, by their ids: `{15043: -100}`. From -100 (never) to
    100 (always); see `get_token_ids`. It is kept as `{"15043": -100.0}`."""

    min_tokens: int | None = Field(default=None, ge=0)
    """The number of tokens before which the model cannot end its answer (alias: `min_new_tokens`).
    A stop sequence ends it all the same."""

    ignore_eos: bool | None = None
    """Whether the model cannot end its answer at all: it goes on until `max_tokens` or a stop
    sequence."""

    service_tier: str | None = Field(default=None, min_length=1)
    """How the request is served, where a provider has several ways: `"auto"`, `"default"`,
    `"flex"`, `"priority"`, ..."""

    user: str | None = Field(default=None, min_length=1)
    """The person on whose behalf the request is sent, as providers want it to find abuse: a
    stable, anonymous id."""

    @field_validator("logit_bias", mode="before")
    @classmethod
    def _biases_by_id(cls, value: object) -> object:
        return token_biases(value)

    @field_validator("response_format", "grammar", mode="before")
    @classmethod
    def _constraint(cls, value: object) -> object:
        return constraint_dict(value)

    @field_validator("reasoning_effort", mode="before")
    @classmethod
    def _known_effort(cls, value: object) -> object:
        check_effort(value)
        return value

    @model_validator(mode="after")
    def _check_thinking(self) -> Self:
        check_agreement(self.thinking, self.reasoning_effort)
        return self

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        if self.min_tokens or self.ignore_eos:
            check_length(self.__dict__)
        return self

    @field_validator("stop", mode="before")
    @classmethod
    def _list_of_stops(cls, value: object) -> object:
        if value is None:
            return None
        return list(merge_stops(value))


def _same_list(value: object, check: Callable[[object], object]) -> object:
    """Keep a list, which pydantic would copy: `bind_tools` passes one of its own class."""
    return value if isinstance(value, list) else check(value)


class CallFields(GenerationFields):
    """The fields of a single call."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str | None = None
    provider: str | None = None
    streaming: bool | None = None  # see `streaming_of`; both are passed on here
    stream: bool | None = None
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    extra_headers: Any = None  # headers whose values are hidden
    timeout: float | None = Field(default=None, allow_inf_nan=False, gt=0)
    max_retries: int = Field(default=2, ge=0)
    wait_for_model: float = Field(default=0.0, ge=0)
    # What `EasyLLMChat.bind_tools` takes.
    tools: Annotated[list[Any] | None, WrapValidator(_same_list)] = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    structured_output: Any = None  # what `EasyLLMChat.with_structured_output` binds

    @field_validator("extra_headers", mode="before")
    @classmethod
    def _hidden(cls, value: object) -> object:
        return hidden_headers(value)

    @field_validator("timeout", mode="before")
    @classmethod
    def _one_timeout(cls, value: object) -> object:
        return one_timeout(value)

    @model_validator(mode="after")
    def _check_streaming(self) -> Self:
        if None not in (self.stream, self.streaming) and self.stream != self.streaming:
            raise ConfigurationError(
                f"streaming={self.streaming} and stream={self.stream} contradict each other: give "
                "one of them."
            )
        return self

    @classmethod
    def read(cls, kwargs: Mapping[str, object], objects: Collection[str]) -> dict[str, Any]:
        """Return a call's keyword arguments, validated, under this package's names.

        `objects` are the object's fields: those that a call cannot set have an error of their own.
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


# None in a call unsets a generation field, but not one of these.
_OBJECTS_OWN = frozenset(
    {
        "max_retries",
        "wait_for_model",
        "stream_usage",
        "model_kwargs",
        "model",
        "provider",
        "extra_headers",
    }
)


def streaming_of(call: Mapping[str, Any]) -> bool | None:
    """Return whether a call is streamed; None if it does not say so.

    `stream` is langchain-core's own name of the field.
    """
    own: bool | None = call.get("streaming")
    return call.get("stream") if own is None else own


_NAMES = frozenset(NEUTRAL_FIELDS) - {"stop"}


def params_of(model: BaseModel, overrides: Mapping[str, Any]) -> dict[str, object]:
    """Return the generation fields that are set, a call's own before the object's.

    None in a call unsets the object's.
    """
    chosen = _NAMES & model.model_fields_set.union(overrides)
    if not chosen:
        return {}
    fields = {**model.__dict__, **overrides}
    params = {name: value for name in sorted(chosen) if (value := fields[name]) is not None}
    if not chosen.isdisjoint(CONSTRAINT_FIELDS):
        for name in CONSTRAINT_FIELDS & params.keys():
            if isinstance(params[name], type):  # it was assigned, which pydantic does not check
                params[name] = constraint_dict(params[name])
    if "logit_bias" in params:  # as above; a copy's ids may be numbers
        biases = token_biases(params.pop("logit_bias"))
        params |= {"logit_bias": biases} if biases else {}
    return params


AUTO = "auto"
"""The `prompt_builder` that means the model's own template."""


def environment_prompt() -> str | None:
    """Return the `prompt_builder` of the environment (`HUGGINGFACE_PROMPT`), or None."""
    return os.environ.get("HUGGINGFACE_PROMPT", "").strip() or None


class PromptFields(BaseModel):
    """How messages become the prompt of a text protocol."""

    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True)

    prompt_builder: str | Callable[[Any], str] | None = Field(default_factory=environment_prompt)
    """The prompt template: a name of `langchain_easyllm.prompts.PROMPT_MAPPING`, a callable
    `(messages) -> str`, a `ChatPrompt`, a Jinja chat template, or `"auto"` for the model's own.
    Default: the environment variable `HUGGINGFACE_PROMPT`, else None: the server renders the
    messages."""

    _found: tuple[object, ChatPrompt] | None = PrivateAttr(default=None)

    def model_post_init(self, context: object, /) -> None:
        """Call the next hook, as `ConnectionFields` does."""
        super().model_post_init(context)

    @field_validator("prompt_builder", mode="before")
    @classmethod
    def _known_prompt(cls, value: object) -> object:
        if value is not None and not isinstance(value, str) and not callable(value):
            raise ConfigurationError(
                "prompt_builder must be a name, a callable, a ChatPrompt, a Jinja template or "
                f"'auto', not {type(value).__name__}."
            )
        if isinstance(value, str) and value != AUTO:
            from .._generation.prompt import find_template  # noqa: PLC0415 - templates load when used

            find_template(value)
        return value

    @model_validator(mode="after")
    def _check_prompt(self) -> Self:
        builder = self.prompt_builder
        if builder is None:
            return self
        if getattr(self, "api", None) == "chat":
            # An object made of another's fields passes the environment's by hand.
            if builder != environment_prompt():
                raise ConfigurationError(
                    "prompt_builder renders prompts for text protocols, and with api='chat' the "
                    "server renders them: leave one of them out."
                )
            self.prompt_builder = None
        elif builder != AUTO and "prompt_builder" not in self.model_fields_set:
            from .._generation.prompt import find_template  # noqa: PLC0415 - templates load when used

            find_template(builder, given=False)
        return self

    def _template(self) -> ChatPrompt | None:
        """Return the template that the field names; None for `"auto"` too."""
        spec = self.prompt_builder
        if spec is None or spec == AUTO:
            return None
        if self._found is None or self._found[0] is not spec:
            from .._generation.prompt import find_template  # noqa: PLC0415 - as above

            self._found = (spec, find_template(spec))
        return self._found[1]
