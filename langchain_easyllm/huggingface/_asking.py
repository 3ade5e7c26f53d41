"""From a request of EasyLLM's clients to what the package's own client is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .._ask import Ask, Rendered
from ..errors import ConfigurationError
from ..wire import Message, Server
from ._logging import log
from ._messages import to_messages
from ._requests import ChatRequest, CompletionRequest, checked
from ._settings import Settings, read_settings

if TYPE_CHECKING:
    from .._client import Client

__all__ = ["Asking", "prepare"]

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

    client: Client
    asks: tuple[Ask, ...]
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
    prompt: Rendered | None
    plain: bool

    def to_text(self, _server: Server | None, _use: object) -> Rendered:
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
    ask = Ask(
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


def _source(request: ChatRequest | CompletionRequest, settings: Settings) -> _Source:
    if isinstance(request, ChatRequest):
        messages = to_messages(request.messages)
        return _Source(messages, _rendered(messages, settings), plain=False)
    if not isinstance(request.prompt, str) or not request.prompt:
        raise ConfigurationError("prompt is one text, and not an empty one: call once for each.")
    if not isinstance(request.suffix, str | None):
        raise ConfigurationError(f"suffix is a text, not {type(request.suffix).__name__}.")
    text = request.prompt + (request.suffix or "")
    asked = [{"role": "user", "content": text}]
    return _Source(asked, _rendered(text, settings) or Rendered(text, ()), plain=True)


def _rendered(source: object, settings: Settings) -> Rendered | None:
    prompt = settings.prompt
    if prompt is None:
        return None
    from .._templates import render  # noqa: PLC0415 - templates load when used

    return render(prompt, source)


def _each(ask: Ask, count: int) -> tuple[Ask, ...]:
    """Return a generation for each answer, its seed one above the one before: they must differ."""
    first = ask.params.get("seed")
    if not isinstance(first, int):
        return (ask,) * count
    params: Mapping[str, object] = ask.params
    return tuple(replace(ask, params={**params, "seed": first + more}) for more in range(count))
