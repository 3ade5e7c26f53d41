"""The prompt template of a model object: found, loaded, and its BOS kept single."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

from ._connection import Connection
from .errors import ConfigurationError, EasyLLMError
from .prompts import ChatPrompt, PromptError, get_prompt, load_prompt
from .prompts.template import JinjaPrompt
from .transport import Policy, Request
from .wire import Dialect

__all__ = ["AUTO", "PromptFields", "load_own_template", "without_bos"]

AUTO = "auto"

# What a server's tokenizer puts before a raw prompt; a builder's own would be the second.
_BOS = ("<s>", "<|begin_of_text|>", "<bos>", "<｜begin▁of▁sentence｜>")


def _environment_prompt() -> str | None:
    return os.environ.get("HUGGINGFACE_PROMPT", "").strip() or None


class PromptFields(BaseModel):
    """How messages become the one string of a text api."""

    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True)

    prompt_builder: str | ChatPrompt | Callable[[Any], str] | None = Field(
        default_factory=_environment_prompt
    )
    """A name of `langchain_easyllm.prompts.PROMPT_MAPPING`, a callable `(messages) -> str`, a
    `ChatPrompt`, a Jinja chat template, or `"auto"` for the model's own template. Default:
    `HUGGINGFACE_PROMPT`, else None: the server renders."""

    _prompt: tuple[object, ChatPrompt] | None = PrivateAttr(default=None)

    @field_validator("prompt_builder", mode="after")
    @classmethod
    def _known_prompt(cls, value: object) -> object:
        if isinstance(value, str) and value != AUTO:
            get_prompt(value)
        return value

    def _template(self) -> ChatPrompt | None:
        """Return the template that the field names, or None for none and for `"auto"`."""
        spec = self.prompt_builder
        if spec is None or spec == AUTO:
            return None
        if self._prompt is None or self._prompt[0] is not spec:
            self._prompt = (spec, get_prompt(spec))
        return self._prompt[1]


def load_own_template(
    model: str | None, connection: Connection, policy: Policy, token: str | None
) -> ChatPrompt:
    """Load a model's own template, once: from a local folder, its Hub repository or the server.

    Blocks; an event loop calls it in a thread.

    Raises:
        ConfigurationError: If no template is to be had.
    """
    server = None if connection.address.router else connection.ask_server(policy)
    name = model or (server.model if server else None) or ""
    known = connection.prompts.get(name)
    if isinstance(known, ChatPrompt):
        return known
    prompt = _from_server(connection, policy) if server else None
    if prompt is None and not name:
        raise ConfigurationError(
            "prompt_builder='auto' needs to know the model, and the server does not say it: "
            "set model, or name the template (prompt_builder='llama2', ...)."
        )
    try:
        prompt = prompt or load_prompt(name, token=token)
    except PromptError as error:
        raise ConfigurationError(
            f"{error} Name the template instead (prompt_builder='llama2', ...), or use api='chat', "
            "where the server renders its own."
        ) from error
    connection.prompts[name] = prompt
    return prompt


def _from_server(connection: Connection, policy: Policy) -> ChatPrompt | None:
    """Read the template that llama.cpp's server tells of at `/props`."""
    if connection.server is None or connection.server.dialect is not Dialect.LLAMA_CPP:
        return None
    try:
        request = Request("GET", connection.address.url("/props"))
        props = orjson.loads(connection.transport.send(request, policy).body)
        source = props["chat_template"]
    except (EasyLLMError, orjson.JSONDecodeError, KeyError, TypeError):
        return None
    bos, eos = props.get("bos_token"), props.get("eos_token")
    stop = (eos,) if eos else ()
    return JinjaPrompt.of(source, name="server", stop=stop, bos_token=bos, eos_token=eos)


def without_bos(text: str, prompt: ChatPrompt) -> str:
    """Drop the one BOS that the server adds itself.

    Raises:
        ConfigurationError: If the prompt begins with more than one.
    """
    bos = prompt.bos or next((token for token in _BOS if text.startswith(token)), None)
    if bos is None or not text.startswith(bos):
        return text
    text = text[len(bos) :]
    if text.startswith(bos):
        raise ConfigurationError(
            f"The prompt of {prompt.name} begins with {bos} more than once: "
            "leave it out of the builder, the server adds it."
        )
    return text
