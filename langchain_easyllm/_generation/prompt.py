"""Prompt templates in use: found by name, loaded from the model's own files, rendered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack, cast

from langchain_core.messages import BaseMessage, HumanMessage

from .._http.models import Request, RetryPolicy
from .._http.user_functions import UserFunction, ask_token
from .._langchain.messages import with_failures
from .._protocols.reasoning import OPEN
from .._protocols.thinking import THINKING_FIELDS, expressed
from .._servers.capabilities import ModelThinking
from .._servers.profile import REASONING_EFFORTS
from .._servers.session import ServerSession
from .._tool_formats.registry import tool_format_for
from .._tool_formats.rendering import render_tools
from ..errors import ConfigurationError, EasyLLMError, PromptError
from ..prompts.base import ChatPrompt, Switches
from ..prompts.hub import load_prompt
from ..prompts.jinja import JinjaPrompt, turn_ends
from ..prompts.registry import get_prompt
from .prefill import cut_at_mark, marked
from .published_template import read_properties
from .request import GenerationRequest, RenderedPrompt
from .tokens import TokenSource

if TYPE_CHECKING:
    from .._tool_formats.base import OfferedTools

# What a server's tokenizer puts before a raw prompt; a builder's own would be the second.
_BOS = ("<s>", "<|begin_of_text|>", "<bos>", "<｜begin▁of▁sentence｜>", "<|startoftext|>")


def find_template(spec: object, *, given: bool = True) -> ChatPrompt:
    try:
        return get_prompt(spec)
    except PromptError as error:
        if given:
            raise
        raise PromptError(f"{error} It came from HUGGINGFACE_PROMPT.") from error


def render_prompt(
    request: GenerationRequest,
    template: ChatPrompt | None,
    offered: OfferedTools | None = None,
    *,
    keep_bos: bool = False,
) -> RenderedPrompt:
    """Render a request's input as it is sent to a text protocol, or as a chat server renders it."""
    if request.prefill and template is not None:
        ended = replace(marked(request), prefill=False)
        return cut_at_mark(render_prompt(ended, template, offered, keep_bos=keep_bos))
    source = request.source
    if template is None:
        if isinstance(source, str):
            return RenderedPrompt(source)
        raise ConfigurationError(
            f"There is no chat template for {request.model or 'this model'}, and a text api needs "
            "one: set prompt_builder to a name (such as 'llama2', 'zephyr', 'phi-3'), to 'auto' "
            "for the model's own, or use api='chat'."
        )
    if isinstance(source, str):
        source = [HumanMessage(source)]
    named = request.parse_tool_calls
    requested = THINKING_FIELDS & request.params.keys()
    if not requested:
        return render_template(template, source, offered, named, keep_bos=keep_bos)
    # No text protocol has a field for them: the template expresses them, or nothing does.
    if THINKING_FIELDS.isdisjoint(template.switches):
        rendered = render_template(template, source, offered, named, keep_bos=keep_bos)
        expressed(request.params, _thinking_of(template, opens=_opens_reasoning(rendered.text)))
    else:
        params = expressed(request.params, _thinking_of(template))
        switches = {name: params[name] for name in THINKING_FIELDS & params.keys()}
        rendered = render_template(
            template, source, offered, named, keep_bos=keep_bos, **cast("Switches", switches)
        )
    return rendered._replace(switched=tuple(requested))


def published_thinking(props: Mapping[str, object], *, closes: bool) -> ModelThinking | None:
    """Return what the template that a server publishes lets a request choose; None if unknown.

    Args:
        props: What the server publishes.
        closes: Whether it closes what prompts open, where there is to be no reasoning.
    """
    try:
        template = published_template(props)
        if template is None:
            return None
        opens = _opens_reasoning(template.render("Hi"))
        return _thinking_of(template, "the server's chat template", opens=opens, closes=closes)
    except EasyLLMError:
        return None  # it is the server's to render, whatever it needs for that


def _thinking_of(
    template: ChatPrompt, name: str = "", *, opens: bool = False, closes: bool = False
) -> ModelThinking:
    """Return what a template lets a request choose.

    Args:
        template: The template.
        name: What errors call it. By default by its name.
        opens: Whether its prompts open the reasoning.
        closes: Whether the server closes what they open, where there is to be no reasoning.
    """
    efforts = template.efforts
    efforts = REASONING_EFFORTS if efforts is None else efforts
    return ModelThinking(
        name or f"the prompt {template.name!r}",
        "thinking" in template.switches or (opens and closes),
        efforts,
        True if opens or (efforts and "none" not in efforts) else None,
    )


def _opens_reasoning(prompt: str) -> bool:
    return prompt.rstrip().endswith(OPEN)


def render_template(
    template: ChatPrompt,
    source: object,
    offered: OfferedTools | None = None,
    format_name: str | None = None,
    *,
    keep_bos: bool = False,
    **switches: Unpack[Switches],
) -> RenderedPrompt:
    """Render a prompt as it is sent: without the BOS that the server adds, unless it is kept."""
    tool_format = None if offered is None else tool_format_for(template, format_name)
    if offered is None or tool_format is None:
        text = template.render(source, **switches)
    else:
        messages = with_failures(cast("Sequence[BaseMessage]", source))
        text = render_tools(template, messages, offered, tool_format, **switches)
    text = text if keep_bos else _without_bos(text, template)
    if not text.strip():
        raise ConfigurationError(
            f"The template {template.name!r} renders nothing of these messages: add a user message."
        )
    stops = (*template.stop, *(tool_format.stop if tool_format else ()))
    return RenderedPrompt(text, stops, tool_format, tuple(switches))


def load_model_template(
    model: str | None,
    session: ServerSession,
    policy: RetryPolicy,
    token: str | UserFunction | None,
    headers: Mapping[str, str],
) -> ChatPrompt:
    """Return a model's own template: from a local folder, its Hub repository or the server.

    It is loaded once, by the first caller; others wait for it. Blocks: an event loop calls it in a
    thread.
    """
    name = model or ""
    if name not in session.templates and not session.url.router:
        name = model or session.detect(policy, headers=headers).model_for(None) or ""
    own: Future[ChatPrompt] = Future()
    loading = session.templates.setdefault(name, own)
    if loading is own:
        try:
            own.set_result(_load(name, session, policy, token, headers))
        except BaseException as error:
            session.templates.pop(name, None)  # the next caller tries again
            own.set_exception(error)
            raise
    return loading.result()


def _load(
    name: str,
    session: ServerSession,
    policy: RetryPolicy,
    token: str | UserFunction | None,
    headers: Mapping[str, str],
) -> ChatPrompt:
    prompt = _from_server(session, policy, headers)
    if prompt is None and not name:
        raise ConfigurationError(
            "prompt_builder='auto' needs to know the model, and the server does not say it: "
            "set model, or name the template (prompt_builder='llama2', ...)."
        )
    try:
        prompt = prompt or load_prompt(name, token=ask_token(token))
    except PromptError as error:
        raise ConfigurationError(
            f"{error} Name the template instead (prompt_builder='llama2', ...), or use api='chat', "
            "where the server renders its own."
        ) from error
    if prompt.bos is None or prompt.adds_bos is not None:
        return prompt
    # Only what tokenizes the prompt knows it then: a file may be missing, or converted.
    source = TokenSource(session, policy, name, headers=headers)
    return replace(prompt, adds_bos=source.adds_bos())


def _from_server(
    session: ServerSession, policy: RetryPolicy, headers: Mapping[str, str]
) -> ChatPrompt | None:
    """Read the template that the server publishes, if it does."""
    route = session.server.profile.template_route if session.server else None
    if route is None or session.url.versioned:
        return None
    try:
        request = Request("GET", session.url.url(route), headers=headers)
        response = session.transport.send(request, policy)
    except EasyLLMError:
        return None
    return published_template(read_properties(response.body))


def published_template(props: Mapping[str, object]) -> ChatPrompt | None:
    source = props.get("chat_template")
    if not isinstance(source, str) or not source:
        return None
    bos, eos = (
        token if isinstance(token, str) else None
        for token in (props.get("bos_token"), props.get("eos_token"))
    )
    ends = dict.fromkeys([*([eos] if eos else ()), *turn_ends(source)])
    return JinjaPrompt.of(source, name="server", stop=tuple(ends), bos_token=bos, eos_token=eos)


def _without_bos(text: str, template: ChatPrompt) -> str:
    """Drop the one BOS that the server adds itself."""
    if template.adds_bos is False:
        return text
    bos = template.bos or next((token for token in _BOS if text.startswith(token)), None)
    if bos is None or not text.startswith(bos):
        return text
    if template.adds_bos is None and bos not in _BOS and text.count(bos) > 1:
        return text  # it opens every turn: a tokenizer that has such a one seldom adds it
    text = text[len(bos) :]
    if text.startswith(bos):
        raise ConfigurationError(
            f"The prompt of {template.name!r} begins with {bos} more than once: "
            "leave it out of the builder, the server adds it."
        )
    return text
