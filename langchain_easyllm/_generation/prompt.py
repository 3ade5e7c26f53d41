"""Prompt templates at work: found by name, loaded from the model's own files, rendered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import orjson
from langchain_core.messages import BaseMessage

from .._http.models import Request, RetryPolicy
from .._langchain.messages import with_failures
from .._servers.profile import Dialect
from .._servers.session import ServerSession
from .._tool_formats.base import OfferedTools
from .._tool_formats.registry import tool_format_for
from .._tool_formats.rendering import render_tools
from ..errors import ConfigurationError, EasyLLMError
from ..prompts import ChatPrompt, PromptError, get_prompt, load_prompt
from ..prompts.jinja import JinjaPrompt, turn_ends
from .request import RenderedPrompt

__all__ = ["find_template", "known_template", "load_model_template", "render"]


# What a server's tokenizer puts before a raw prompt; a builder's own would be the second.
_BOS = ("<s>", "<|begin_of_text|>", "<bos>", "<｜begin▁of▁sentence｜>")

_TELL_TEMPLATE = (Dialect.LLAMA_CPP, Dialect.LOCAL)


def find_template(spec: object, *, given: bool = True) -> ChatPrompt:
    """Return the template of a `prompt_builder`, which was given or is the environment's.

    Raises:
        PromptError: If there is none, with the nearest names.
    """
    try:
        return get_prompt(spec)
    except PromptError as error:
        if given:
            raise
        raise PromptError(f"{error} It came from HUGGINGFACE_PROMPT.") from error


def render(
    prompt: ChatPrompt,
    source: object,
    use: OfferedTools | None = None,
    convention: str | None = None,
) -> RenderedPrompt:
    """Render a prompt as it is sent: without the BOS that the server adds.

    Args:
        prompt: The template.
        source: What `ChatPrompt.render` takes; LangChain messages where there are tools.
        use: Tools to tell of; None for none.
        convention: The convention to tell them in; None or `"auto"` for the template's own.

    Raises:
        ConfigurationError: If the template cannot express the messages.
    """
    form = None if use is None else tool_format_for(prompt, convention)
    if use is None or form is None:
        text = prompt.render(source)
    else:
        told = with_failures(cast("Sequence[BaseMessage]", source))
        text = render_tools(prompt, told, use, form)
    text = _without_bos(text, prompt)
    if not text.strip():
        raise ConfigurationError(
            f"The template {prompt.name!r} renders nothing of these messages: add a user message."
        )
    return RenderedPrompt(text, (*prompt.stop, *(form.stop if form else ())), form)


def known_template(connection: ServerSession, model: str | None) -> ChatPrompt | None:
    """Return a model's own template, if it was loaded already."""
    found = connection.prompts.get(model or "")
    return found if isinstance(found, ChatPrompt) else None


def load_model_template(
    model: str | None, connection: ServerSession, policy: RetryPolicy, token: str | None
) -> ChatPrompt:
    """Load a model's own template, once: from a local folder, its Hub repository or the server.

    Blocks; an event loop calls it in a thread.

    Raises:
        ConfigurationError: If no template is to be had.
    """
    server = None if connection.address.router else connection.ask_server(policy)
    name = model or (server.model if server else None) or ""
    known = known_template(connection, name)
    if known is not None:
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


def _from_server(connection: ServerSession, policy: RetryPolicy) -> ChatPrompt | None:
    """Read the template that llama.cpp's server, and a local model, tell of at `/props`."""
    if connection.server is None or connection.server.dialect not in _TELL_TEMPLATE:
        return None
    try:
        request = Request("GET", connection.address.url("/props"))
        props = orjson.loads(connection.transport.send(request, policy).body)
        source = props["chat_template"]
    except (EasyLLMError, orjson.JSONDecodeError, KeyError, TypeError):
        return None
    bos, eos = props.get("bos_token"), props.get("eos_token")
    ends = dict.fromkeys([*([eos] if eos else ()), *turn_ends(source)])
    return JinjaPrompt.of(source, name="server", stop=tuple(ends), bos_token=bos, eos_token=eos)


def _without_bos(text: str, prompt: ChatPrompt) -> str:
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
            f"The prompt of {prompt.name!r} begins with {bos} more than once: "
            "leave it out of the builder, the server adds it."
        )
    return text
