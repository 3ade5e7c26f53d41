"""From a request of EasyLLM's clients to what the package's own client is asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .._fields.client_owner import ClientOwner
from .._fields.generation import environment_prompt
from .._generation.request import GenerationRequest, RenderedPrompt
from .._http.models import RetryPolicy
from .._protocols.request import Message
from .._protocols.stop_sequences import merge_stops
from ..errors import ConfigurationError
from ._requests import (
    KEPT,
    SENT,
    ChatRequest,
    CompletionRequest,
    EmbeddingsRequest,
    checked,
    log,
    to_messages,
)

if TYPE_CHECKING:
    from .._generation.client import GenerationClient
    from ..prompts import ChatPrompt


class Target(ClientOwner):
    def client(self) -> GenerationClient:
        """Return a client for it; calls to one server share its sockets."""
        return self._connect()


def renders_slowly(request: ChatRequest | CompletionRequest) -> bool:
    """Whether the prompt is rendered by a template that no event loop may wait for."""
    builder = request.prompt_builder or module_settings()["prompt_builder"] or environment_prompt()
    if not builder:
        return False
    from ..prompts.registry import PROMPT_MAPPING  # noqa: PLC0415 - templates load when used

    # A text that is no name is a Jinja template, which has yet to be compiled, too.
    prompt = PROMPT_MAPPING.get(builder) if isinstance(builder, str) else builder
    return prompt is None or getattr(prompt, "may_block", False)


def module_settings() -> dict[str, Any]:
    """Return the module's attributes, all at once: threads may set them meanwhile."""
    return dict(vars(import_module(__package__)))


def read_target(
    request: ChatRequest | CompletionRequest | EmbeddingsRequest, module: Mapping[str, Any]
) -> dict[str, Any]:
    """Return where a call goes, as fields: its own address and token, or the module's."""
    key = request.api_key or module["api_key"] or None
    base_url = request.api_base or module["api_base"]
    clients = {
        "http_client": request.http_client,
        "http_async_client": request.http_async_client,
    }
    return {"model": request.model, "base_url": base_url, "api_key": key, **clients}


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


# What the errors of the package's own classes say, and what helps the caller of these clients.
_REWORDINGS = (
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
    """Raise an error of the package's own classes with the names that EasyLLM's clients use."""
    try:
        yield
    except ConfigurationError as error:
        message = str(error)
        for theirs, ours in _REWORDINGS:
            message = theirs.sub(ours, message)
        if message == str(error):
            raise
        raise ConfigurationError(message) from None


@dataclass(frozen=True, slots=True)
class PreparedCall:
    client: GenerationClient
    requests: tuple[GenerationRequest, ...]  # one for each answer that is wanted
    stream: bool
    max_concurrency: int
    model: str | None  # as the caller named it
    debug: bool

    def served_model(self) -> str | None:
        """The model's name as far as it is known by now."""
        server = self.client.session.server
        return self.model or (server.model if server else None)

    def log(self, text: str, *values: object) -> None:
        if self.debug:
            log(text, *values)


def prepare(request: ChatRequest | CompletionRequest, given: Collection[str]) -> PreparedCall:
    """Make a request ready, of which the caller gave these parameters; nothing is sent yet.

    In force is what the call sets, then the module's settings, then the environment's.
    """
    module = module_settings()
    target = Target(**read_target(request, module))
    template = _find_prompt(request.prompt_builder or module["prompt_builder"])
    stops = merge_stops(module["stop_sequences"], request.stop)
    fields = checked(request, module["seed"] if request.seed is None else request.seed)
    request = replace(request, **{name: fields[name] for name in KEPT if name in fields})
    source, prompt = _input(request, template)
    params = {name: fields[name] for name in SENT if name in fields}
    chosen = {name for name in params if SENT[name] in given} | {"max_tokens", "seed"}
    generation = GenerationRequest(
        source,
        RetryPolicy(request.timeout, request.max_retries, request.wait_for_model),
        prefers_text=isinstance(request, CompletionRequest),
        template=template,
        model=target.model,
        provider=target.provider,
        params={name: value for name, value in params.items() if name in chosen},
        defaults={name: value for name, value in params.items() if name not in chosen},
        stops=stops,
        prompt=prompt,
    )
    call = PreparedCall(
        client=target.client(),
        requests=_each(generation, request.n or 1),
        stream=request.stream,
        max_concurrency=target.max_concurrency,
        model=target.model,
        debug=request.debug,
    )
    call.log("Prompt: %s", prompt.text if prompt else source)
    call.log("Parameters: %s, stop sequences: %s", params, stops)
    return call


def _input(
    request: ChatRequest | CompletionRequest, template: ChatPrompt | None
) -> tuple[Sequence[Message], RenderedPrompt | None]:
    """Return the chat messages, and the prompt of a text protocol where it can be rendered."""
    from .._generation.prompt import render_template  # noqa: PLC0415 - as above

    if isinstance(request, ChatRequest):
        messages = to_messages(request.messages)
        return messages, None if template is None else render_template(template, messages)
    if not isinstance(request.prompt, str) or not request.prompt:
        raise ConfigurationError("prompt is one text, and not an empty one: call once for each.")
    if not isinstance(request.suffix, str | None):
        raise ConfigurationError(f"suffix is a text, not {type(request.suffix).__name__}.")
    text = request.prompt + (request.suffix or "")
    prompt = RenderedPrompt(text) if template is None else render_template(template, text)
    return [{"role": "user", "content": text}], prompt


def _each(request: GenerationRequest, count: int) -> tuple[GenerationRequest, ...]:
    """Return a generation for each answer, its seed one above the one before: they must differ."""
    first = request.params.get("seed")
    if not isinstance(first, int):
        return (request,) * count
    params: Mapping[str, object] = request.params
    return tuple(replace(request, params={**params, "seed": first + more}) for more in range(count))
