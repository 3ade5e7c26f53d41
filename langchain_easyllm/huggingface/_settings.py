"""What a call is asked with beside its own parameters: the module's attributes, read once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import SecretStr

from .._connection_fields import ConnectionFields
from .._prompting import environment_prompt
from ..errors import ConfigurationError
from ..wire import merge_stops

if TYPE_CHECKING:
    from .._client import Client
    from ..prompts import ChatPrompt
    from ._requests import ChatRequest, CompletionRequest, EmbeddingRequest

__all__ = ["Place", "Settings", "Target", "read_place", "read_settings"]


class Place(NamedTuple):
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

    def client(self) -> Client:
        """Return a client for it; calls to one server share its sockets."""
        return self._connect()


@dataclass(frozen=True, slots=True)
class Settings:
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


def read_place(request: ChatRequest | CompletionRequest | EmbeddingRequest) -> Place:
    """Return where a call goes: its own address and token, or the module's."""
    return _place(request, _attributes())


def read_settings(request: ChatRequest | CompletionRequest) -> Settings:
    """Return what is in force now: the call's own, then the module's, then the environment's.

    Raises:
        ConfigurationError: If the address, the prompt builder or a stop sequence is none.
    """
    module = _attributes()
    place = _place(request, module)
    return Settings(
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
) -> Place:
    key = request.api_key or module["api_key"] or None
    if isinstance(key, str):
        key = SecretStr(key)
    if not isinstance(key, SecretStr | None):
        raise ConfigurationError(f"api_key is a text, not {type(key).__name__}.")
    return Place(
        model=request.model,
        base_url=request.api_base or module["api_base"],
        api_key=key,
    )


def _find_prompt(builder: object) -> ChatPrompt | None:
    """Return the prompt that a builder means; EasyLLM's own nine names mean its own builders."""
    builder = builder or environment_prompt()
    if not builder:
        return None
    from .._templates import find_template  # noqa: PLC0415 - templates load when used
    from ..prompts import builders  # noqa: PLC0415 - as above
    from ..prompts.easyllm import EASYLLM  # noqa: PLC0415 - as above
    from ..prompts.registry import CallablePrompt  # noqa: PLC0415 - as above

    family = EASYLLM.get(builder) if isinstance(builder, str) else None
    if family is None:
        return find_template(builder)
    build = getattr(builders, f"build_{family.name}_prompt")
    return CallablePrompt(family.name, stop=family.stop, build=build)
