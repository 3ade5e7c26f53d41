"""The parameters of EasyLLM's clients, with their defaults and checks."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ParamSpec, TypeVar

from pydantic import SecretStr

from .._fields.constructor_types import KeyFunction
from .._fields.generation import CallFields
from .._nearest import nearest
from .._protocols.request import Message
from ..errors import ConfigurationError

P = ParamSpec("P")
R = TypeVar("R")

# The names of these parameters in other packages and in this package's own classes.
_OTHER_NAMES: Mapping[str, str] = {
    "base_url": "api_base",
    "max_completion_tokens": "max_tokens",
    "max_new_tokens": "max_tokens",
    "model_id": "model",
    "repetition_penalty": "frequency_penalty",
    "return_full_text": "echo",
    "stop_sequences": "stop",
    "streaming": "stream",
    "token": "api_key",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Keyword arguments of every call."""

    debug: bool = False
    """Log the request and the answer (`langchain_easyllm.huggingface`, level DEBUG; to the standard
    error where no handler is set up)."""

    api_key: str | SecretStr | KeyFunction | None = None
    """Overrides the module's; it is sent to the `api_base` in force."""

    api_base: str | None = None
    """Overrides the module's."""

    timeout: float | None = 120.0
    """Timeout of the call in seconds, retries included; of a stream, until its first byte, and then
    the longest silence between bytes."""

    max_retries: int = 2
    """Maximum number of retries after a temporary failure."""

    wait_for_model: float = 0.0
    """Seconds to wait for a cold start."""

    http_client: object = None
    """An `httpx.Client`, or another client, to send the requests of `create` with."""

    http_async_client: object = None
    """An `httpx.AsyncClient`, or another client, to send the requests of `acreate` with."""


@dataclass(frozen=True, kw_only=True)
class GenerationOptions(Options):
    """Keyword arguments of every generation."""

    temperature: float | None = 0.9
    """Sampling temperature; 0 is greedy decoding. None, here and below: the server's default."""

    top_p: float | None = 0.6
    """Nucleus sampling. 0 and 1 turn it off."""

    top_k: int | None = 10
    """Sample from this many most probable tokens. The default is not sent where a server's protocol
    has no such field."""

    n: int = 1
    """Number of answers, requested in parallel; not with `stream`."""

    max_tokens: int | None = 1024
    """Maximum number of tokens to generate."""

    stop: str | Sequence[str] | None = None
    """Stop sequences in addition to the module's and the prompt's."""

    stream: bool = False
    """Return an iterator of chunks."""

    frequency_penalty: float | None = 1.0
    """Sent as the repetition penalty, as EasyLLM does: a factor above 0; 1 means no penalty."""

    prompt_builder: object = None
    """Overrides the module's."""

    seed: int | None = None
    """Overrides the module's."""


@dataclass(frozen=True)
class ChatRequest(GenerationOptions):
    """Parameters of a chat completion."""

    messages: Sequence[Message]
    """The conversation: `{"role": ..., "content": ...}`, or objects with these attributes."""

    model: str | None = None
    """Hub repo id, or the server's name of a model. Default None: the server's own."""


@dataclass(frozen=True)
class CompletionRequest(GenerationOptions):
    """Parameters of a text completion."""

    prompt: str
    """The text to complete; with a prompt builder, the only user message of its prompt."""

    model: str | None = None
    """Hub repo id, or the server's name of a model. Default None: the server's own."""

    _: KW_ONLY

    suffix: str | None = None
    """Appended to the prompt, as EasyLLM does: nothing is inserted before it."""

    logprobs: bool | None = None
    """Return the tokens' log probabilities."""

    echo: bool = False
    """Begin the answer with the prompt."""


@dataclass(frozen=True)
class EmbeddingsRequest(Options):
    """Parameters of an embedding."""

    input: str | Sequence[str] | None = None
    """The text or the texts to embed."""

    model: str | None = None
    """Hub repo id, or the server's name of a model. Default None: the server's own."""

    _: KW_ONLY

    text: str | Sequence[str] | None = None
    """Another name of `input` in EasyLLM's documentation."""

    @property
    def texts(self) -> list[str]:
        if self.input is not None and self.text is not None:
            raise ConfigurationError("input and text are one parameter: give one of them.")
        given = self.input if self.input is not None else self.text
        if given is None:
            raise ConfigurationError("input is missing: give a text or a list of texts.")
        if isinstance(given, str):
            return [given]
        if not isinstance(given, Sequence):
            raise ConfigurationError(
                f"input is a text or a list of texts, not {type(given).__name__}."
            )
        return list(given)


def read_request(
    kind: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> tuple[R, frozenset[str]]:
    """Return a request and which of its parameters the caller gave; refuse unknown ones."""
    signature = inspect.signature(kind)
    for name in kwargs:
        if name not in signature.parameters:
            raise ConfigurationError(_unknown(name, signature.parameters))
    given = signature.bind(*args, **kwargs).arguments
    return kind(*args, **kwargs), frozenset(given)


# Fields of a request's body, and the parameters that they come from.
SENT = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "repetition_penalty": "frequency_penalty",
    "seed": "seed",
    "logprobs": "logprobs",
    "return_full_text": "echo",
}
# Parameters of the call itself, as they are once they were validated.
KEPT = ("n", "stream", "timeout", "max_retries", "wait_for_model")


def checked(request: GenerationOptions, seed: int | None) -> dict[str, Any]:
    """Return a request's fields that are not None by this package's names, validated."""
    penalty = request.frequency_penalty
    if isinstance(penalty, int | float) and penalty <= 0:
        raise ConfigurationError(
            f"frequency_penalty={penalty} is no factor: EasyLLM sends it as the repetition "
            "penalty, so give a number above 0 (1.0 is none)."
        )
    fields: dict[str, object] = {name: getattr(request, name) for name in KEPT}
    fields |= {name: getattr(request, given, None) for name, given in SENT.items()}
    fields |= {"top_p": None if request.top_p in (0, 1) else request.top_p, "seed": seed}
    for flag in ("logprobs", "return_full_text"):
        fields[flag] = fields[flag] or None
    found = {k: v for k, v in CallFields.read(fields, ()).items() if v is not None}
    if found.get("stream") and found.get("n", 1) > 1:
        raise ConfigurationError("n > 1 cannot be streamed: leave stream out, or n at 1.")
    return found


def _unknown(name: str, known: Iterable[str]) -> str:
    names = list(known)
    own = _OTHER_NAMES.get(name)
    near = [own] if own in names else nearest(name, names, cutoff=0.8)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"There is no parameter {name!r}: {hint}The parameters are {', '.join(names)}."


_ROLES = ("assistant", "developer", "function", "system", "tool", "user")


class ChatMessage(dict[str, object]):
    """A message as a dict, and with the attributes that EasyLLM's builders read."""

    @property
    def role(self) -> object:
        return self["role"]

    @property
    def content(self) -> object:
        return self["content"]


def to_messages(messages: object) -> list[ChatMessage]:
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence):
        raise ConfigurationError(
            "messages is a list of {'role': ..., 'content': ...}, not "
            f"{type(messages).__name__}; Completion.create(prompt=...) takes plain text."
        )
    if not messages:
        raise ConfigurationError("There are no messages: send at least one.")
    converted = [_to_message(index, message) for index, message in enumerate(messages)]
    if not any(message.content for message in converted):
        raise ConfigurationError("Every message is empty: send some text.")
    return converted


def _to_message(index: int, message: object) -> ChatMessage:
    if isinstance(message, Mapping):
        found = ChatMessage({"role": None, "content": None, **message})
    else:
        role, content = getattr(message, "role", None), getattr(message, "content", None)
        found = ChatMessage(role=role, content=content)
    if found.role not in _ROLES:
        raise ConfigurationError(
            f"Message {index} has the unknown role {found.role!r}: use {', '.join(_ROLES)}."
        )
    if not isinstance(found.content, str | Sequence | None):
        raise ConfigurationError(
            f"Message {index} has content of type {type(found.content).__name__}: give a text."
        )
    return found


_logger = logging.getLogger("langchain_easyllm.huggingface")


def log(text: str, *values: object) -> None:
    """Log at level DEBUG, to the standard error where no handler is set up."""
    if not _logger.hasHandlers():
        _logger.addHandler(logging.StreamHandler())
    _logger.setLevel(logging.DEBUG)
    _logger.debug(text, *values)
