"""Which generation field has which name on which wire and server: tables, no code.

A *wire* is a protocol (`generate`, `completions`, `chat`), a *dialect* the server that speaks it.
Each table row maps the neutral name of a field to the name on the wire; a field without a row
cannot be expressed there. Sources: the OpenAPI document of Text Generation Inference 3, the
request models of vLLM, llama.cpp's server, llama-cpp-python and `transformers serve`, and
OpenAI's API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from ..errors import ConfigurationError

__all__ = [
    "EXTENSIONS",
    "FIELDS",
    "GREEDY",
    "NEUTRAL_FIELDS",
    "OFF_VALUES",
    "STOP_LIMIT",
    "THINKING",
    "USAGE_OPTION",
    "Dialect",
    "GenerationApi",
    "ServerInfo",
    "fields_of",
]


class GenerationApi(StrEnum):
    """Protocol of a text-generation request."""

    GENERATE = "generate"
    COMPLETIONS = "completions"
    CHAT = "chat"


class Dialect(StrEnum):
    """Server behind a protocol."""

    TGI = "tgi"
    VLLM = "vllm"
    LLAMA_CPP = "llama.cpp"
    LLAMA_CPP_PYTHON = "llama-cpp-python"
    TRANSFORMERS = "transformers serve"
    ROUTER = "router"
    OPENAI = "openai"
    LOCAL = "local"
    """A model in this process, which is asked in TGI's protocol."""


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


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_GENERATE = {
    **_same("temperature", "top_p", "top_k", "stop", "seed", "repetition_penalty"),
    **_same("frequency_penalty", "typical_p", "truncate", "best_of", "do_sample", "watermark"),
    **_same("return_full_text", "grammar"),
    "max_tokens": "max_new_tokens",
    "top_logprobs": "top_n_tokens",
    "response_format": "grammar",
    "logprobs": "details",
}
_OPENAI_SHARED = _same(
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "n",
    "seed",
    "frequency_penalty",
    "presence_penalty",
)
_CHAT = {**_OPENAI_SHARED, **_same("logprobs", "top_logprobs", "response_format")}
_COMPLETIONS = {
    **_OPENAI_SHARED,
    **_same("best_of", "response_format"),
    "logprobs": "logprobs",
    "top_logprobs": "logprobs",
    "return_full_text": "echo",
}
EXTENSIONS: Mapping[str, str] = MappingProxyType(
    _same("top_k", "repetition_penalty", "typical_p", "truncate", "best_of", "watermark")
)
"""Fields that OpenAI has not: sent as extra keys where nobody can know what the server has."""

_GRAMMAR = {"grammar": "response_format"}
_THINK = {"thinking": "chat_template_kwargs"}
_VLLM = {**_same("top_k", "repetition_penalty"), "truncate": "truncate_prompt_tokens", **_GRAMMAR}
_LLAMA_CPP = {**_same("top_k", "typical_p"), "repetition_penalty": "repeat_penalty", **_GRAMMAR}
_LLAMA_CPP_PYTHON = {"top_k": "top_k", "repetition_penalty": "repeat_penalty", **_GRAMMAR}

# It ignores the rest, and reads `frequency_penalty` as a repetition penalty less one.
_TRANSFORMERS = _same("temperature", "top_p", "max_tokens", "stop", "seed")


def _without(table: Mapping[str, str], *names: str) -> dict[str, str]:
    return {key: value for key, value in table.items() if key not in names}


FIELDS: Mapping[tuple[GenerationApi, Dialect], Mapping[str, str]] = MappingProxyType(
    {
        **{(GenerationApi.GENERATE, dialect): _GENERATE for dialect in Dialect},
        (GenerationApi.GENERATE, Dialect.LOCAL): {
            **_without(_GENERATE, "best_of", "watermark"),
            **_same("n", "presence_penalty", "logprobs"),
        },
        # TGI reads `n` and ignores it: a field that does nothing is a field it does not have.
        (GenerationApi.CHAT, Dialect.TGI): {**_without(_CHAT, "n"), **_GRAMMAR},
        (GenerationApi.CHAT, Dialect.VLLM): {**_CHAT, **_VLLM, **_THINK},
        (GenerationApi.CHAT, Dialect.LLAMA_CPP): {**_CHAT, **_LLAMA_CPP, **_THINK},
        (GenerationApi.CHAT, Dialect.LLAMA_CPP_PYTHON): {
            **_without(_CHAT, "n"),
            **_LLAMA_CPP_PYTHON,
        },
        (GenerationApi.CHAT, Dialect.TRANSFORMERS): {**_TRANSFORMERS, **_THINK},
        (GenerationApi.CHAT, Dialect.ROUTER): {**_CHAT, **EXTENSIONS, **_GRAMMAR, **_THINK},
        (GenerationApi.CHAT, Dialect.OPENAI): {**_CHAT, **EXTENSIONS, **_GRAMMAR, **_THINK},
        (GenerationApi.COMPLETIONS, Dialect.TGI): {
            **_same("temperature", "top_p", "max_tokens", "stop", "seed"),
            **_same("frequency_penalty", "repetition_penalty"),
        },
        (GenerationApi.COMPLETIONS, Dialect.VLLM): {**_without(_COMPLETIONS, "best_of"), **_VLLM},
        # It ignores a `response_format` here, and takes a schema as `json_schema`.
        (GenerationApi.COMPLETIONS, Dialect.LLAMA_CPP): {
            **_without(_COMPLETIONS, "best_of", "return_full_text"),
            **_LLAMA_CPP,
            "response_format": "json_schema",
            "grammar": "json_schema",
        },
        (GenerationApi.COMPLETIONS, Dialect.LLAMA_CPP_PYTHON): {
            **_without(_COMPLETIONS, "n", "best_of", "response_format"),
            **_without(_LLAMA_CPP_PYTHON, "grammar"),
        },
        (GenerationApi.COMPLETIONS, Dialect.TRANSFORMERS): _TRANSFORMERS,
        (GenerationApi.COMPLETIONS, Dialect.ROUTER): {**_COMPLETIONS, **EXTENSIONS, **_GRAMMAR},
        (GenerationApi.COMPLETIONS, Dialect.OPENAI): {**_COMPLETIONS, **EXTENSIONS, **_GRAMMAR},
    }
)
"""The field table: `FIELDS[wire, dialect][neutral name] -> name on the wire`."""

STOP_LIMIT: Mapping[Dialect, int] = MappingProxyType(
    {Dialect.TGI: 4, Dialect.ROUTER: 4, Dialect.OPENAI: 4}
)
"""Most stop sequences per request where there is a limit (TGI's `/info` overrides it)."""

OFF_VALUES: Mapping[Dialect, Mapping[str, tuple[object, ...]]] = MappingProxyType(
    {
        Dialect.TGI: {"top_p": (0, 1), "typical_p": (0, 1), "top_k": (0, -1)},
        Dialect.VLLM: {"top_p": (0,)},
    }
)
"""Values that mean "off" and that a server refuses: the field is left out instead."""

GREEDY: Mapping[tuple[GenerationApi, Dialect], Mapping[str, object]] = MappingProxyType(
    {
        **{(GenerationApi.GENERATE, dialect): {"do_sample": False} for dialect in Dialect},
        # TGI refuses temperature 0 in some versions; a nucleus of one token is the same thing.
        (GenerationApi.CHAT, Dialect.TGI): {"top_p": 1e-6},
        (GenerationApi.COMPLETIONS, Dialect.TGI): {"top_p": 1e-6},
    }
)
"""What greedy decoding is called where it is not called `temperature: 0`."""

THINKING = ("enable_thinking", "thinking")
"""Names under which chat templates look for the switch of a model's thinking."""

USAGE_OPTION: frozenset[tuple[GenerationApi, Dialect]] = frozenset(
    {(GenerationApi.CHAT, dialect) for dialect in Dialect}
    | {(GenerationApi.COMPLETIONS, dialect) for dialect in Dialect if dialect is not Dialect.TGI}
)
"""Where `stream_options: {"include_usage": true}` asks for usage at the end of a stream."""


def fields_of(wire: GenerationApi, dialect: Dialect) -> Mapping[str, str]:
    """Return the row of the field table for one wire of one server."""
    return FIELDS[wire, dialect]


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What is known of the server that will answer.

    Attributes:
        dialect: Which program it is.
        model: Name of the model it serves, as a request must say it; None if unknown.
        models: Every model it serves.
        max_stops: Most stop sequences per request; None for no limit.
        max_total_tokens: Context length in tokens (prompt and answer); None if unknown.
        max_batch: Most texts in one embedding request; None if unknown.
        tei: What Text Embeddings Inference serves there (`"embedding"`, `"reranker"`,
            `"classifier"`); None where it is not the server.
        known: False where the probe failed and plain OpenAI is assumed.
    """

    dialect: Dialect
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
