"""What a server can do, as named fields: code asks a profile, and never which server it is.

A field without a name in an api's table cannot be expressed there. The sources of each server's
facts stand in its own module.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from ..errors import ConfigurationError

__all__ = [
    "CHAT_FIELDS",
    "CLIENT_SIDE",
    "COMPLETIONS_FIELDS",
    "EMBEDDING_FIELDS",
    "EXTENSIONS",
    "NEUTRAL_FIELDS",
    "TGI_GENERATE",
    "ApiProfile",
    "ConstraintShape",
    "EmbeddingProfile",
    "GenerationApi",
    "ServerInfo",
    "ServerProfile",
    "TokenizeRoute",
    "ToolChoiceForm",
    "same",
    "without",
]


class GenerationApi(StrEnum):
    """Protocol of a text-generation request."""

    GENERATE = "generate"
    COMPLETIONS = "completions"
    CHAT = "chat"


class ConstraintShape(StrEnum):
    """The shape in which a server wants the constraint of an answer."""

    OPENAI = "openai"
    """`{"type": "json_schema", "json_schema": {"name": ..., "schema": ...}}`."""

    OPENAI_AS_GIVEN = "openai as given"
    """OpenAI's; a value in a provider's own variant of it is left as it is."""

    GRAMMAR = "grammar"
    """TGI's `{"type": "json" or "regex", "value": ...}`; an object's properties must be listed."""

    JSON_OBJECT = "json_object"
    """`{"type": "json_object", "schema": ...}`."""

    SCHEMA = "schema"
    """The JSON schema alone."""


class ToolChoiceForm(StrEnum):
    """The model decides, it must not call, it must call, or it must call one tool by its name."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


NEUTRAL_FIELDS = (
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "stop",
    "n",
    "seed",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "typical_p",
    "truncate",
    "logprobs",
    "top_logprobs",
    "best_of",
    "do_sample",
    "watermark",
    "return_full_text",
    "response_format",
    "grammar",
    "thinking",
)
"""Generation fields as this package names them, whatever the server calls them."""

EMBEDDING_FIELDS = ("normalize", "truncate", "truncation_direction", "dimensions", "prompt_name")
"""Embedding fields as this package names them, whatever the server calls them."""

CLIENT_SIDE = "client side"
"""The name of a field that is applied to the vectors in this process, whatever the server did."""


def same(*names: str) -> dict[str, str]:
    """Return a table of fields that a server calls as this package does."""
    return {name: name for name in names}


def without(table: Mapping[str, str], *names: str) -> dict[str, str]:
    """Return a table of fields without some of them."""
    return {key: value for key, value in table.items() if key not in names}


_OPENAI_FIELDS = same(
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "n",
    "seed",
    "frequency_penalty",
    "presence_penalty",
)
CHAT_FIELDS: Mapping[str, str] = MappingProxyType(
    {**_OPENAI_FIELDS, **same("logprobs", "top_logprobs", "response_format")}
)
"""Fields of OpenAI's chat completions."""

COMPLETIONS_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        **_OPENAI_FIELDS,
        **same("best_of", "response_format"),
        "logprobs": "logprobs",
        "top_logprobs": "logprobs",
        "return_full_text": "echo",
    }
)
"""Fields of OpenAI's completions."""

EXTENSIONS: Mapping[str, str] = MappingProxyType(
    same("top_k", "repetition_penalty", "typical_p", "truncate", "best_of", "watermark")
)
"""Fields that OpenAI lacks: sent as extra keys where nobody can know what the server has."""

_ANY_SERVER = {**EXTENSIONS, "grammar": "response_format"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ApiProfile:
    """One protocol as one server speaks it.

    Attributes:
        fields: The server's name of each neutral field that it has.
        omitted: Values that mean "off" and that the server refuses: the field is left out instead.
        greedy: What greedy decoding is called.
        constraint: The shape of `response_format` and `grammar`.
        regex_field: The key of a regular expression, where it has one of its own.
        constrains: Whether constraints are known to act; others may ignore or refuse them.
        usage_option: Whether `stream_options: {"include_usage": true}` is understood.
        default_max_tokens: Sent where the caller sets no limit, whatever the server's default.
        min_top_logprobs: The least `top_logprobs` with which an answer has any log probabilities.
    """

    fields: Mapping[str, str]
    omitted: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    greedy: Mapping[str, object] = field(default_factory=lambda: {"temperature": 0})
    constraint: ConstraintShape = ConstraintShape.OPENAI
    regex_field: str | None = None
    constrains: bool = False
    usage_option: bool = True
    default_max_tokens: int | None = None
    min_top_logprobs: int = 0


TGI_GENERATE = ApiProfile(
    fields={
        **same("temperature", "top_p", "top_k", "stop", "seed", "repetition_penalty"),
        **same("frequency_penalty", "typical_p", "truncate", "best_of", "do_sample", "watermark"),
        **same("return_full_text", "grammar"),
        "max_tokens": "max_new_tokens",
        "top_logprobs": "top_n_tokens",
        "response_format": "grammar",
        "logprobs": "details",
    },
    omitted={"top_p": (0, 1), "typical_p": (0, 1), "top_k": (0, -1)},
    greedy={"do_sample": False},
    constraint=ConstraintShape.GRAMMAR,
    constrains=True,
    default_max_tokens=1024,  # old versions stop after 20 tokens otherwise
)
"""TGI's own protocol, which some servers share with it, and which `api="generate"` assumes."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingProfile:
    """Embeddings as one server serves them.

    Attributes:
        name: The server, for errors.
        apis: The name of each neutral field that it has, or `CLIENT_SIDE`, by api.
        normalizes: Whether it can be trusted to return vectors of length 1 where that is requested.
    """

    name: str
    apis: Mapping[str, Mapping[str, str]] = field(
        default_factory=lambda: {
            "embeddings": {"normalize": CLIENT_SIDE, "dimensions": "dimensions"}
        }
    )
    normalizes: bool = False


@dataclass(frozen=True, slots=True)
class TokenizeRoute:
    """Where a server tokenizes a text, and what it calls it.

    Attributes:
        path: The route.
        text_field: The key of the text.
        extra: More keys: what keeps the route from counting a prompt's BOS, say.
        names_model: Whether the body has a `model`.
    """

    path: str
    text_field: str
    extra: Mapping[str, object] = field(default_factory=dict)
    names_model: bool = False


def _template_switch(value: bool) -> dict[str, bool]:
    # Chat templates differ in what they call the switch.
    return {"enable_thinking": value, "thinking": value}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServerProfile:
    """Every fact about a server; the defaults are those of a plain OpenAI-style one.

    Attributes:
        name: The server, for errors and documentation.
        owned_by: Its `owned_by` in `/v1/models`.
        first_model_answers: Whether the first of several listed models answers a request that
            names none (the others being adapters, say).
        chat: Its chat completions.
        completions: Its completions.
        generate: TGI's `/generate`, or None where that route is known to be another one's.
        prompt_api: The protocol of a rendered prompt.
        suggested_apis: The protocols that an error may point to.
        max_stops: The maximum number of stop sequences in a request; TGI's `/info` overrides it.
        thinking: The value of the thinking switch for True and False.
        tool_choices: Forms of `tool_choice` that it has.
        parallel_tool_calls: Whether it reads the key; others ignore or refuse it.
        strict_tools: Whether it holds arguments to a tool's schema.
        inlines_refs: Whether tool schemas must not refer to definitions.
        splits_text_and_calls: Whether a message is read as text or as calls, never as both.
        text_with_calls: Whether a message with calls needs a text, which may be empty.
        blocks_in_tool_messages: Whether tool messages may hold content blocks besides text.
        tokenize: Its tokenize route.
        template_route: Where it publishes its model's chat template and special tokens.
        embedding: Its embeddings.
        generates_only: Whether it has neither embeddings nor reranking.
        fixed_model: Whether a request cannot choose another model.
        max_concurrency: The maximum number of requests that it works on at once.
    """

    name: str
    owned_by: Collection[str] = ()
    first_model_answers: bool = False
    chat: ApiProfile | None = ApiProfile(
        fields={**CHAT_FIELDS, **_ANY_SERVER, "thinking": "chat_template_kwargs"},
        constraint=ConstraintShape.OPENAI_AS_GIVEN,
    )
    completions: ApiProfile | None = ApiProfile(
        fields={**COMPLETIONS_FIELDS, **_ANY_SERVER}, constraint=ConstraintShape.OPENAI_AS_GIVEN
    )
    generate: ApiProfile | None = TGI_GENERATE
    prompt_api: GenerationApi = GenerationApi.COMPLETIONS
    suggested_apis: Collection[GenerationApi] = (GenerationApi.COMPLETIONS, GenerationApi.CHAT)
    max_stops: int | None = 4
    thinking: Mapping[bool, object] = field(
        default_factory=lambda: {value: _template_switch(value) for value in (True, False)}
    )
    tool_choices: Collection[ToolChoiceForm] = frozenset(ToolChoiceForm)
    parallel_tool_calls: bool = True
    strict_tools: bool = True
    inlines_refs: bool = False
    splits_text_and_calls: bool = False
    text_with_calls: bool = False
    blocks_in_tool_messages: bool = False
    tokenize: TokenizeRoute | None = None
    template_route: str | None = None
    embedding: EmbeddingProfile = EmbeddingProfile("openai")
    generates_only: bool = False
    fixed_model: bool = False
    max_concurrency: int | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def apis(self) -> Mapping[GenerationApi, ApiProfile]:
        """Its protocols of generation."""
        found = {
            GenerationApi.GENERATE: self.generate,
            GenerationApi.COMPLETIONS: self.completions,
            GenerationApi.CHAT: self.chat,
        }
        return {api: profile for api, profile in found.items() if profile is not None}

    def api(self, api: GenerationApi) -> ApiProfile:
        """Return one of its protocols.

        Raises:
            ConfigurationError: If it does not have it.
        """
        profile: ApiProfile | None = getattr(self, api)  # the fields are named as the protocols
        if profile is None:
            others = " or ".join(f"api={other.value!r}" for other in reversed([*self.apis]))
            raise ConfigurationError(
                f"This server ({self.name}) does not have the {api.value} api: use {others}, or "
                "leave api at 'auto'."
            )
        return profile


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What is known of the server that will answer.

    Attributes:
        profile: What it can do.
        model: Name of the model it serves, as a request must say it; None if unknown.
        models: Every model it serves.
        max_stops: The maximum number of stop sequences in a request; None for the profile's.
        max_total_tokens: Context length in tokens (prompt and answer); None if unknown.
        max_batch: The maximum number of texts in an embedding request; None if unknown.
        tei: The kind of model that Text Embeddings Inference serves there (`"embedding"`,
            `"reranker"`, `"classifier"`); None where another server answers.
        known: False where detection failed and a plain OpenAI-style server is assumed.
    """

    profile: ServerProfile
    model: str | None = None
    models: tuple[str, ...] = ()
    max_stops: int | None = None
    max_total_tokens: int | None = None
    max_batch: int | None = None
    tei: str | None = None
    known: bool = True

    def model_for(self, wanted: str | None) -> str | None:
        """Return the model to name in a request: the one wanted, else the server's only one.

        Raises:
            ConfigurationError: If it has several and none is wanted.
        """
        if wanted is None and self.model is None and len(self.models) > 1:
            names = ", ".join(self.models[:5])
            raise ConfigurationError(f"The server has several models: set model to one of {names}.")
        return wanted or self.model
