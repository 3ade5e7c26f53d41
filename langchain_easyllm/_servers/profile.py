"""What a server can do, as named fields: code reads a profile, and never which server it is.

A field without a name in an api's table cannot be expressed there. The sources of each server's
facts stand in its own module.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, get_args

from ..errors import ConfigurationError


class GenerationApi(StrEnum):
    """Protocol of a text-generation request."""

    GENERATE = "generate"
    COMPLETIONS = "completions"
    CHAT = "chat"


class PromptRoute(StrEnum):
    """The route of a prompt on the completions protocol, which decides on its format."""

    OPENAI = "/v1/completions"
    OLLAMA = "/api/generate"
    """Ollama's own: its `/v1/completions` renders the prompt in the model's template once more."""


class ConstraintFormat(StrEnum):
    """The format in which a server wants the constraint of an answer."""

    OPENAI = "openai"
    """`{"type": "json_schema", "json_schema": {"name": ..., "schema": ...}}`."""

    OPENAI_AS_GIVEN = "openai as given"
    """OpenAI's; a value in a provider's own variant of it is left as it is."""

    GRAMMAR = "grammar"
    """TGI's `{"type": "json", "value": ...}`; an object's properties must be listed."""

    OPENAI_SCHEMA = "openai schema"
    """OpenAI's, but for `json_object`, which the server refuses: the schema of any object."""

    JSON = "json"
    """`{"type": "json", "schema": ...}`."""

    JSON_OBJECT = "json_object"
    """`{"type": "json_object", "schema": ...}`."""

    SCHEMA = "schema"
    """The JSON schema alone."""

    NONE = "none"
    """None: it takes no JSON schema, but other constraints."""


class ToolChoiceForm(StrEnum):
    """The model decides, it must not call, it must call, or it must call one tool by its name."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


NEUTRAL_FIELDS = (
    *("temperature", "top_p", "top_k", "max_tokens", "stop", "n", "seed"),
    *("repetition_penalty", "frequency_penalty", "presence_penalty", "typical_p", "truncate"),
    *("logprobs", "top_logprobs", "best_of", "do_sample", "watermark", "return_full_text"),
    *("response_format", "grammar", "thinking", "reasoning_effort"),
    *("min_p", "logit_bias", "min_tokens", "ignore_eos", "service_tier", "user"),
)
"""Generation fields as this package names them, whatever the server calls them."""

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
"""How much a model reasons before it answers."""

REASONING_EFFORTS: tuple[str, ...] = get_args(ReasoningEffort)

TEMPLATE_KWARGS = "chat_template_kwargs"
"""The key of what a server passes on to the model's chat template."""

EMBEDDING_FIELDS = ("normalize", "truncate", "truncation_direction", "dimensions", "prompt_name")
"""Embedding fields as this package names them, whatever the server calls them."""

GENERATION_CONFIG = "generation_config."
"""What the names begin with of fields that are sent within a `generation_config`."""

CLIENT_SIDE = "client side"
"""The name of a field that is applied in this process, to vectors or text, whatever was sent."""


def same(*names: str) -> dict[str, str]:
    """Return a table of fields that a server calls as this package does."""
    return {name: name for name in names}


def without(table: Mapping[str, str], *names: str) -> dict[str, str]:
    return {key: value for key, value in table.items() if key not in names}


OPENAI_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        **same("temperature", "top_p", "max_tokens", "stop", "n", "seed"),
        **same("frequency_penalty", "presence_penalty", "logit_bias", "user"),
    }
)
"""Fields that OpenAI's two protocols share."""

CHAT_FIELDS: Mapping[str, str] = MappingProxyType(
    {**OPENAI_FIELDS, **same("logprobs", "top_logprobs", "response_format")}
)
"""Fields of OpenAI's chat completions."""

COMPLETIONS_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        **OPENAI_FIELDS,
        **same("best_of", "response_format"),
        "logprobs": "logprobs",
        "top_logprobs": "logprobs",
        "return_full_text": "echo",
    }
)
"""Fields of OpenAI's completions."""

EXTENSIONS: Mapping[str, str] = MappingProxyType(
    same(
        *("top_k", "repetition_penalty", "typical_p", "truncate", "best_of", "watermark"),
        *("min_p", "min_tokens", "ignore_eos"),
    )
)
"""Fields that OpenAI lacks: sent as extra keys where nobody can know what the server has."""

DEFAULT_MAX_TOKENS = 1024
"""Sent where a server would stop after a few tokens otherwise: 16 in OpenAI's completions."""

_ANY_SERVER = {**EXTENSIONS, "grammar": "response_format"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ApiProfile:
    """One protocol as one server speaks it."""

    fields: Mapping[str, str]  # the server's name of each neutral field that it has
    # fields that it takes and, by its own account, does nothing with: they are about the request
    unread: Collection[str] = ()
    # fields of which it loses what is sent beside another of them
    alone: Collection[str] = ()
    # values that mean "off" and that the server refuses: the field is left out instead
    omitted: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    greedy: Mapping[str, object] = field(default_factory=lambda: {"temperature": 0})
    constraint: ConstraintFormat = ConstraintFormat.OPENAI
    # the keys of constraints that are no JSON schema, `...` for their value: "regex", "choice" (a
    # list of texts), "ebnf" (a grammar), or "gbnf" (a grammar in llama.cpp's format)
    expressions: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    constrains: bool = False  # whether constraints are known to act
    usage_option: bool = True  # whether `stream_options: {"include_usage": true}` is understood
    default_max_tokens: int | None = None  # sent where the caller sets no limit
    prompt_route: PromptRoute = PromptRoute.OPENAI  # of completions
    min_top_logprobs: int = 0  # the least with which there are log probabilities
    # whether it samples only if a `generation_config` (transformers', as JSON text) says so
    samples_by_config: bool = False


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
    constraint=ConstraintFormat.GRAMMAR,
    expressions={"regex": {"grammar": {"type": "regex", "value": ...}}},
    constrains=True,
    default_max_tokens=DEFAULT_MAX_TOKENS,  # old versions stop after 20 tokens otherwise
)
"""TGI's own protocol, which some servers share with it, and which `api="generate"` assumes."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingProfile:
    name: str
    # the name of each neutral field that it has, or `CLIENT_SIDE`, by api
    apis: Mapping[str, Mapping[str, str]] = field(
        default_factory=lambda: {
            "embeddings": {"normalize": CLIENT_SIDE, "dimensions": "dimensions"}
        }
    )
    normalizes: bool = False  # whether it returns vectors of length 1 where that is requested


@dataclass(frozen=True, slots=True)
class TokenizeRoute:
    path: str
    text_field: str  # the key of the text
    extra: Mapping[str, object] = field(default_factory=dict)  # further keys
    names_model: bool = False  # whether the body has a `model`
    # the key that switches special tokens, a BOS among them: off for a text, on for a whole prompt,
    # which the server begins as it does for an answer
    special_field: str | None = None
    ids_field: str = "tokens"  # the key of the answer's list of tokens
    # the key of each token's text, or name, in that list, or the key of another list; and what is
    # sent for them
    names_field: str | None = None
    names_extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VersionRoute:
    """Where a server says its version; the keys of what is nested are joined by dots."""

    path: str
    key: str = "version"
    concurrency_key: str | None = None  # the key of how many requests it works on at once


@dataclass(frozen=True, slots=True)
class BusyRoute:
    """Where a server says how many requests it works on."""

    path: str
    # the name of a number in Prometheus' format, or the key that marks the busy ones of a list
    name: str


@dataclass(frozen=True, slots=True)
class ChatTokenizeRoute:
    """A route that puts the messages of a chat request into the model's template."""

    path: str
    tokens: str | None = "tokens"  # the key of the tokens; None if the answer is a prompt
    keys: Collection[str] | None = None  # the keys of a chat request that it takes; None for all


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """How a chat server continues an answer at the end of the messages."""

    keys: Mapping[str, object] = field(default_factory=dict)  # what it is sent for that
    beside_tools: bool = True  # whether it does so beside tools
    beside_constraints: bool = True  # whether a constraint is then one of the continuation alone
    strips: bool = False  # whether it misses the answer in its prompt where that has space around
    repeats: bool = False  # whether an answer that is not streamed begins with the text continued
    sure: bool = True  # False where nobody knows


CONTINUE = Continuation(keys={"continue_final_message": True, "add_generation_prompt": False})
"""As transformers' `apply_chat_template` calls it."""


def template_switch(*names: str) -> dict[bool, object]:
    """Return what a template is passed to switch thinking on and off, under these names."""
    return {value: dict.fromkeys(names, value) for value in (True, False)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServerProfile:
    """Every fact about a server; the defaults are those of a plain OpenAI-style one."""

    name: str  # the server, for errors and documentation
    owned_by: Collection[str] = ()  # its `owned_by` in `/v1/models`
    # whether the first of several listed models answers a request that names none (the others being
    # adapters, say)
    first_model_answers: bool = False
    lists_served_models: bool = True  # whether `/v1/models` names what it serves, and nothing else
    chat: ApiProfile | None = ApiProfile(
        fields={
            **CHAT_FIELDS,
            **_ANY_SERVER,
            **same("reasoning_effort", "service_tier"),
            "thinking": TEMPLATE_KWARGS,
        },
        constraint=ConstraintFormat.OPENAI_AS_GIVEN,
    )
    completions: ApiProfile | None = ApiProfile(
        fields={**COMPLETIONS_FIELDS, **_ANY_SERVER},
        constraint=ConstraintFormat.OPENAI_AS_GIVEN,
        default_max_tokens=DEFAULT_MAX_TOKENS,
    )
    generate: ApiProfile | None = TGI_GENERATE  # None where another protocol has the route
    prompt_api: GenerationApi = GenerationApi.COMPLETIONS  # the protocol of a rendered prompt
    suggested_apis: Collection[GenerationApi] = (GenerationApi.COMPLETIONS, GenerationApi.CHAT)
    max_stops: int | None = 4  # TGI's `/info` overrides it
    # Chat templates differ in what they call the switch.
    thinking: Mapping[bool, object] = field(
        default_factory=lambda: template_switch("enable_thinking", "thinking")
    )
    efforts: Collection[str] = REASONING_EFFORTS  # the values of `reasoning_effort` that it has
    # whether `thinking` and `reasoning_effort` do what the model's own chat template makes of them,
    # and nothing where it does not read them
    renders_own_template: bool = False
    # whether it closes the reasoning that a template opens, where there is to be none
    closes_reasoning: bool = False
    tool_choices: Collection[ToolChoiceForm] = frozenset(ToolChoiceForm)
    names_auto: bool = False  # whether tools are ignored unless `tool_choice` says "auto"
    parallel_tool_calls: bool = True  # whether it reads the key; others ignore or refuse it
    # whether it drops tools in silence if the model's template, which it publishes, has none
    drops_tools: bool = False
    strict_tools: bool = True  # whether it holds arguments to a tool's schema
    # whether it holds a forced call to its schema only where the tool says `strict`
    strict_on_request: bool = False
    inlines_refs: bool = False  # whether tool schemas must not refer to definitions
    splits_text_and_calls: bool = False  # whether a message is text or calls, never both
    text_with_calls: bool = False  # whether a message with calls needs a text, which may be empty
    blocks_in_tool_messages: bool = False  # whether tool messages may hold more than text
    counts_streams: bool = True  # whether its streams have token counts
    tokenize: TokenizeRoute | None = None
    chat_tokenize: ChatTokenizeRoute | None = None
    continuation: Continuation | None = None  # None where the chat answers anew
    template_route: str | None = None  # where it publishes its chat template
    version_route: VersionRoute | None = None
    busy_route: BusyRoute | None = None
    embedding: EmbeddingProfile = EmbeddingProfile("openai")
    # the server's name of each neutral field of reranking that it has, on Jina's protocol
    rerank: Mapping[str, str] = field(default_factory=dict)
    scores_pairs: bool = False  # whether it has vLLM's `/score`
    generates_only: bool = False  # whether it has neither embeddings nor reranking
    fixed_model: bool = False  # whether a request cannot choose another model
    max_concurrency: int | None = None  # the maximum number of requests that it works on at once

    def __str__(self) -> str:
        return self.name

    @property
    def apis(self) -> Mapping[GenerationApi, ApiProfile]:
        found = {
            GenerationApi.GENERATE: self.generate,
            GenerationApi.COMPLETIONS: self.completions,
            GenerationApi.CHAT: self.chat,
        }
        return {api: profile for api, profile in found.items() if profile is not None}

    def api(self, api: GenerationApi) -> ApiProfile:
        profile: ApiProfile | None = getattr(self, api)  # the fields are named as the protocols
        if profile is None and not self.apis:
            raise ConfigurationError(
                f"This server ({self.name}) generates no text: use EasyLLMEmbeddings or "
                "EasyLLMRerank, or check base_url."
            )
        if profile is None:
            others = " or ".join(f"api={other.value!r}" for other in reversed([*self.apis]))
            raise ConfigurationError(
                f"This server ({self.name}) does not have the {api.value} api: use {others}, or "
                "leave api at 'auto'."
            )
        return profile


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What is known of the server that will answer."""

    profile: ServerProfile  # what it can do
    model: str | None = None  # its name in a request; None if unknown
    models: tuple[str, ...] = ()  # every model it serves
    max_stops: int | None = None
    max_total_tokens: int | None = None  # context length; None if unknown
    max_input_tokens: int | None = None  # where the server limits the input by itself
    # the context length of each model whose entry in `/v1/models` names it
    context_lengths: Mapping[str, int] = field(default_factory=dict)
    max_batch: int | None = None
    # the kind of model that Text Embeddings Inference serves there (`"embedding"`, `"reranker"`,
    # `"classifier"`); None where another server answers
    tei: str | None = None
    adds_v1: bool = True  # False where its routes turned out to have no `/v1` before them
    known: bool = True  # False where detection failed and a plain OpenAI-style server is assumed

    @property
    def stop_limit(self) -> int | None:
        """The maximum number of stop sequences in a request; None for no limit."""
        return self.profile.max_stops if self.max_stops is None else self.max_stops

    def input_limit(self, model: str | None) -> int | None:
        """Return the maximum number of tokens that a model takes; None if the server is silent."""
        if self.max_input_tokens or not self.context_lengths:
            return self.max_input_tokens or self.max_total_tokens
        # `self.model` is the one that answers whatever name a request has, and that of adapters.
        names = (model or "", self.model or "")
        return next(filter(None, map(self.context_lengths.get, names)), None)

    def model_for(self, wanted: str | None) -> str | None:
        """Return the model to name in a request: the one wanted, else the server's only one."""
        if wanted is None and self.model is None and len(self.models) > 1:
            names = ", ".join(self.models[:5])
            raise ConfigurationError(f"The server has several models: set model to one of {names}.")
        return wanted or self.model
