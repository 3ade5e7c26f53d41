"""From a request of EasyLLM's clients to what the package's own client is asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import SecretStr

from .._fields.connection import ConnectionFields
from .._fields.generation import environment_prompt
from .._generation.request import GenerationRequest, RenderedPrompt
from .._protocols.request import Message
from .._protocols.stop_sequences import merge_stops
from .._servers.profile import ServerInfo
from ..errors import ConfigurationError
from ._requests import ChatRequest, CompletionRequest, checked, log, to_messages

if TYPE_CHECKING:
    from .._generation.client import GenerationClient
    from ..prompts import ChatPrompt
    from ._requests import ChatRequest, CompletionRequest, EmbeddingRequest

__all__ = [
    "Asking",
    "ClientSettings",
    "ClientTarget",
    "Target",
    "prepare",
    "read_place",
    "read_settings",
    "translate_errors",
]


class ClientTarget(NamedTuple):
    """Which model of which server is asked, and with which token.

    Attributes:
        model: The model's name, or None for the server's own.
        base_url: The server, or None for the environment's.
        api_key: A token given by hand, or None for the environment's.
    """

    model: str | None
    base_url: str | None
    api_key: SecretStr | None


class Target(ConnectionFields):
    """Which model of which server is asked."""

    def client(self) -> GenerationClient:
        """Return a client for it; calls to one server share its sockets."""
        return self._connect()


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What was in force when a call was made.

    Attributes:
        target: The server and the model.
        prompt: The prompt template, or None for the server's own.
        stops: Stop sequences of the module and of the call.
        seed: Seed of the first answer; None leaves it to the server.
    """

    target: Target
    prompt: ChatPrompt | None
    stops: tuple[str, ...]
    seed: int | None


def read_place(request: ChatRequest | CompletionRequest | EmbeddingRequest) -> ClientTarget:
    """Return where a call goes: its own address and token, or the module's."""
    return _place(request, _attributes())


def read_settings(request: ChatRequest | CompletionRequest) -> ClientSettings:
    """Return what is in force now: the call's own, then the module's, then the environment's.

    Raises:
        ConfigurationError: If the address, the prompt builder or a stop sequence is none.
    """
    module = _attributes()
    place = _place(request, module)
    return ClientSettings(
        target=Target(model=place.model, base_url=place.base_url, api_key=place.api_key),
        prompt=_find_prompt(request.prompt_builder or module["prompt_builder"]),
        stops=merge_stops(module["stop_sequences"], request.stop),
        seed=module["seed"] if request.seed is None else request.seed,
    )


def _attributes() -> dict[str, Any]:
    """Return the module's attributes, all at once: threads may set them meanwhile."""
    from .. import huggingface  # noqa: PLC0415 - the module that imports this one

    return dict(vars(huggingface))


def _place(
    request: ChatRequest | CompletionRequest | EmbeddingRequest, module: dict[str, Any]
) -> ClientTarget:
    key = request.api_key or module["api_key"] or None
    if isinstance(key, str):
        key = SecretStr(key)
    if not isinstance(key, SecretStr | None):
        raise ConfigurationError(f"api_key is a text, not {type(key).__name__}.")
    return ClientTarget(
        model=request.model,
        base_url=request.api_base or module["api_base"],
        api_key=key,
    )


def _find_prompt(builder: object) -> ChatPrompt | None:
    """Return the prompt that a builder means; EasyLLM's own nine names mean its own builders."""
    given = bool(builder)
    builder = builder or environment_prompt()
    if not builder:
        return None
    from .._generation.prompt import find_template  # noqa: PLC0415 - templates load when used
    from ..prompts import registry as builders  # noqa: PLC0415 - as above
    from ..prompts.easyllm import EASYLLM  # noqa: PLC0415 - as above
    from ..prompts.registry import CallablePrompt  # noqa: PLC0415 - as above

    family = EASYLLM.get(builder) if isinstance(builder, str) else None
    if family is None:
        return find_template(builder, given=given)
    build = getattr(builders, f"build_{family.name}_prompt")
    return CallablePrompt(family.name, stop=family.stop, build=build)


# What the package's own classes are told, and what helps the caller of these clients.
_WORDS = (
    (re.compile(r"\brepetition_penalty\b"), "frequency_penalty"),
    (re.compile(r"\breturn_full_text\b"), "echo"),
    (re.compile(r"\bbase_url\b"), "api_base"),
    (re.compile(r"\buse api='.*, or drop it"), "set prompt_builder, or drop it"),
    (re.compile(r" model_kwargs sends any key as it is\."), ""),
)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Say what the package's own classes complain of in the words of EasyLLM's clients.

    Raises:
        ConfigurationError: In place of one whose words are others.
    """
    try:
        yield
    except ConfigurationError as error:
        said = str(error)
        for theirs, ours in _WORDS:
            said = theirs.sub(ours, said)
        if said == str(error):
            raise
        raise ConfigurationError(said) from None


# Fields on the wire, and the parameters that they come from.
_SENT = {
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
_KEPT = ("n", "stream", "timeout", "max_retries", "wait_for_model")


@dataclass(frozen=True, slots=True)
class Asking:
    """One call, ready to be made.

    Attributes:
        client: Who asks.
        asks: What is asked: one generation for each answer that is wanted.
        stream: Whether the answer is streamed.
        most: Most generations in flight at once.
        model: The model's name as the caller gave it, or None.
        debug: Whether the call is logged.
    """

    client: GenerationClient
    asks: tuple[GenerationRequest, ...]
    stream: bool
    most: int
    model: str | None
    debug: bool

    def served(self) -> str | None:
        """Return the model's name as far as it is known by now, answer or none."""
        server = self.client.connection.server
        return self.model or (server.model if server else None)

    def note(self, text: str, *values: object) -> None:
        """Log something of this call, if it asked for that."""
        if self.debug:
            log(text, *values)


@dataclass(frozen=True, slots=True)
class _Source:
    """What is to be answered, in the forms that the protocols take.

    Attributes:
        messages: Chat messages.
        prompt: The string for a text protocol with the stop sequences of its template; None where
            only the server has a template.
        plain: Whether it was text from the start.
    """

    messages: Sequence[Message]
    prompt: RenderedPrompt | None
    plain: bool

    def to_text(self, _server: ServerInfo | None, _use: object) -> RenderedPrompt:
        """Return the prompt, with its template's stop sequences.

        Raises:
            ConfigurationError: If there is none.
        """
        if self.prompt is None:
            raise ConfigurationError(
                "The server has no chat api for this model, so the prompt is rendered here: set "
                "huggingface.prompt_builder to the model's template ('llama2', 'zephyr', ...)."
            )
        return self.prompt


def prepare(request: ChatRequest | CompletionRequest, given: Collection[str]) -> Asking:
    """Make a request ready; nothing is sent yet.

    Args:
        request: The request.
        given: Which of its parameters the caller gave.

    Raises:
        ConfigurationError: If there is anything wrong with it, or with the module's settings.
    """
    settings = read_settings(request)
    fields = checked(request, settings.seed)
    request = replace(request, **{name: fields[name] for name in _KEPT if name in fields})
    source = _source(request, settings)
    params = {name: fields[name] for name in _SENT if name in fields}
    chosen = {name for name in params if _SENT[name] in given} | {"max_tokens", "seed"}
    ask = GenerationRequest(
        api=None,
        text=source.plain,
        template=settings.prompt is not None,
        model=settings.target.model,
        provider=settings.target.provider,
        params={name: value for name, value in params.items() if name in chosen},
        stops=settings.stops,
        tools=(),
        tool_choice=None,
        parallel_tool_calls=None,
        extra={},
        usage=True,
        to_text=source.to_text,
        to_messages=lambda: source.messages,
        timeout=request.timeout,
        max_retries=request.max_retries,
        wait_for_model=request.wait_for_model,
        defaults={name: value for name, value in params.items() if name not in chosen},
    )
    asking = Asking(
        client=settings.target.client(),
        asks=_each(ask, request.n or 1),
        stream=request.stream,
        most=settings.target.max_concurrency,
        model=settings.target.model,
        debug=request.debug,
    )
    asking.note("Prompt: %s", source.prompt[0] if source.prompt else source.messages)
    asking.note("Parameters: %s, stop sequences: %s", params, ask.stops)
    return asking


def _source(request: ChatRequest | CompletionRequest, settings: ClientSettings) -> _Source:
    if isinstance(request, ChatRequest):
        messages = to_messages(request.messages)
        return _Source(messages, _rendered(messages, settings), plain=False)
    if not isinstance(request.prompt, str) or not request.prompt:
        raise ConfigurationError("prompt is one text, and not an empty one: call once for each.")
    if not isinstance(request.suffix, str | None):
        raise ConfigurationError(f"suffix is a text, not {type(request.suffix).__name__}.")
    text = request.prompt + (request.suffix or "")
    asked = [{"role": "user", "content": text}]
    return _Source(asked, _rendered(text, settings) or RenderedPrompt(text, ()), plain=True)


def _rendered(source: object, settings: ClientSettings) -> RenderedPrompt | None:
    prompt = settings.prompt
    if prompt is None:
        return None
    from .._generation.prompt import render  # noqa: PLC0415 - templates load when used

    return render(prompt, source)


def _each(ask: GenerationRequest, count: int) -> tuple[GenerationRequest, ...]:
    """Return a generation for each answer, its seed one above the one before: they must differ."""
    first = ask.params.get("seed")
    if not isinstance(first, int):
        return (ask,) * count
    params: Mapping[str, object] = ask.params
    return tuple(replace(ask, params={**params, "seed": first + more}) for more in range(count))
