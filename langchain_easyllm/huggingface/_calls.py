"""From a request of EasyLLM's clients to what the package's own client is asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import SecretStr

from .._fields.client_owner import ClientOwner
from .._fields.generation import environment_prompt
from .._generation.request import GenerationRequest, RenderedPrompt
from .._http.models import RetryPolicy
from .._protocols.request import Message
from .._protocols.stop_sequences import merge_stops
from ..errors import ConfigurationError
from ._requests import ChatRequest, CompletionRequest, checked, log, to_messages

if TYPE_CHECKING:
    from .._generation.client import GenerationClient
    from ..prompts import ChatPrompt
    from ._requests import ChatRequest, CompletionRequest, EmbeddingsRequest

__all__ = [
    "ClientSettings",
    "ClientTarget",
    "PreparedCall",
    "Target",
    "prepare",
    "read_place",
    "read_settings",
    "renders_slowly",
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


class Target(ClientOwner):
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


def read_place(request: ChatRequest | CompletionRequest | EmbeddingsRequest) -> ClientTarget:
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


def renders_slowly(request: ChatRequest | CompletionRequest) -> bool:
    """Whether the prompt is rendered by a template that no event loop may wait for."""
    builder = request.prompt_builder or _attributes()["prompt_builder"] or environment_prompt()
    if not builder:
        return False
    from ..prompts.registry import PROMPT_MAPPING  # noqa: PLC0415 - templates load when used

    # A text that is no name is a Jinja template, which has yet to be compiled, too.
    prompt = PROMPT_MAPPING.get(builder) if isinstance(builder, str) else builder
    return prompt is None or getattr(prompt, "may_block", False)


def _attributes() -> dict[str, Any]:
    """Return the module's attributes, all at once: threads may set them meanwhile."""
    return dict(vars(import_module(__package__)))


def _place(
    request: ChatRequest | CompletionRequest | EmbeddingsRequest, module: dict[str, Any]
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


# The names of the package's own classes, and what helps the caller of these clients.
_WORDS = (
    (re.compile(r"\brepetition_penalty\b"), "frequency_penalty"),
    (re.compile(r"\breturn_full_text\b"), "echo"),
    (re.compile(r"\bbase_url\b"), "api_base"),
    (re.compile(r"\buse api='.*, or drop it"), "set prompt_builder, or drop it"),
    (re.compile(r" model_kwargs sends any key as it is\."), ""),
    (
        re.compile(r"There is no chat template for .* or use api='chat'\."),
        "The server has no chat api for this model, so the prompt is rendered here: set "
        "huggingface.prompt_builder to the model's template ('llama2', 'zephyr', ...).",
    ),
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
class PreparedCall:
    """One call, ready to be made.

    Attributes:
        client: What makes it.
        requests: One generation for each answer that is wanted.
        stream: Whether the answer is streamed.
        max_concurrency: The maximum number of generations in flight.
        model: The model's name as the caller gave it, or None.
        debug: Whether the call is logged.
    """

    client: GenerationClient
    requests: tuple[GenerationRequest, ...]
    stream: bool
    max_concurrency: int
    model: str | None
    debug: bool

    def served_model(self) -> str | None:
        """Return the model's name as far as it is known by now, answer or none."""
        server = self.client.session.server
        return self.model or (server.model if server else None)

    def log(self, text: str, *values: object) -> None:
        """Log something of this call, if it asked for that."""
        if self.debug:
            log(text, *values)


def prepare(request: ChatRequest | CompletionRequest, given: Collection[str]) -> PreparedCall:
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
    source, prompt = _input(request, settings)
    params = {name: fields[name] for name in _SENT if name in fields}
    chosen = {name for name in params if _SENT[name] in given} | {"max_tokens", "seed"}
    generation = GenerationRequest(
        source,
        RetryPolicy(request.timeout, request.max_retries, request.wait_for_model),
        prefers_text=isinstance(request, CompletionRequest),
        template=settings.prompt,
        model=settings.target.model,
        provider=settings.target.provider,
        params={name: value for name, value in params.items() if name in chosen},
        defaults={name: value for name, value in params.items() if name not in chosen},
        stops=settings.stops,
        prompt=prompt,
    )
    call = PreparedCall(
        client=settings.target.client(),
        requests=_each(generation, request.n or 1),
        stream=request.stream,
        max_concurrency=settings.target.max_concurrency,
        model=settings.target.model,
        debug=request.debug,
    )
    call.log("Prompt: %s", prompt.text if prompt else source)
    call.log("Parameters: %s, stop sequences: %s", params, settings.stops)
    return call


def _input(
    request: ChatRequest | CompletionRequest, settings: ClientSettings
) -> tuple[Sequence[Message], RenderedPrompt | None]:
    """Return the chat messages, and the prompt of a text protocol where it can be rendered."""
    from .._generation.prompt import render_template  # noqa: PLC0415 - as above

    if isinstance(request, ChatRequest):
        messages = to_messages(request.messages)
        prompt = None if settings.prompt is None else render_template(settings.prompt, messages)
        return messages, prompt
    if not isinstance(request.prompt, str) or not request.prompt:
        raise ConfigurationError("prompt is one text, and not an empty one: call once for each.")
    if not isinstance(request.suffix, str | None):
        raise ConfigurationError(f"suffix is a text, not {type(request.suffix).__name__}.")
    text = request.prompt + (request.suffix or "")
    turn: Message = {"role": "user", "content": text}
    if settings.prompt is None:
        return [turn], RenderedPrompt(text)
    return [turn], render_template(settings.prompt, text)


def _each(request: GenerationRequest, count: int) -> tuple[GenerationRequest, ...]:
    """Return a generation for each answer, its seed one above the one before: they must differ."""
    first = request.params.get("seed")
    if not isinstance(first, int):
        return (request,) * count
    params: Mapping[str, object] = request.params
    return tuple(replace(request, params={**params, "seed": first + more}) for more in range(count))
