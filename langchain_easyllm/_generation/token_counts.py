"""How many tokens the prompt of a request has, which a server or a model's own files make of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from .._http.context_overflow import own_words
from .._http.models import Response
from .._http.retries import RETRIED_STATUSES
from .._langchain.messages import transcript
from .._protocols.registry import to_body
from .._servers.profile import GenerationApi, ServerInfo
from .._servers.session import quick_policy
from ..errors import (
    BadRequestError,
    ConfigurationError,
    EasyLLMError,
    NotFoundError,
    ProtocolError,
    ServerError,
)
from .local_rendering import LocalRendering, render_here
from .payload import offered_tools
from .prefill import counts_as_prefill
from .prompt import render_prompt
from .published_template import model_name, note_template, template_request
from .request import GenerationRequest
from .tokens import TokenSource, digest, find_tokenizer, token_ids_in

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from .client import GenerationClient
    from .prepare import PreparedRequest


def count_conversation(
    request: GenerationRequest, client: GenerationClient, source: TokenSource
) -> int:
    """Count the tokens of a request's prompt.

    What a template refuses by itself, as the parts of a conversation that `trim_messages` tries,
    is counted as plain text, and so is everything where no template is known.
    """
    server = source.server()  # before it is prepared: what is known of the server decides
    if request.prefill:
        request = replace(request, prefill=counts_as_prefill(request, server))
    try:
        prepared = client.prepare(request)
    except ConfigurationError:
        if request.prefill:  # it cannot be continued, and may be answered when more follows
            return count_conversation(replace(request, prefill=False), client, source)
        return source.count(plain_text(request))
    sent = prepared.protocol_request
    if sent.api is not GenerationApi.CHAT:
        return source.count(sent.prompt or "", prompt=True)
    count = _count_by_route(request, prepared, source)
    if count is None:
        count = _count_by_files(request, client, source)
    return source.count(plain_text(request)) if count is None else count


def plain_text(request: GenerationRequest) -> str:
    """Return a request's input as text without any template."""
    if isinstance(request.source, str):
        return request.source
    text = transcript(cast("Sequence[BaseMessage]", request.source))
    tools = [json.dumps(tool, ensure_ascii=False, default=str) for tool in request.tools]
    return "\n".join([*tools, text])


def _count_by_route(
    request: GenerationRequest, prepared: PreparedRequest, source: TokenSource
) -> int | None:
    """Count a chat request by the server's own route; None where it has none, or refuses."""
    server = source.server()
    route = server.profile.chat_tokenize if server else None
    capabilities = source.session.capabilities
    sent = prepared.protocol_request
    if server is None or route is None or source.session.url.versioned:
        return None
    if (route.path, sent.model) in capabilities.missing_routes:
        return None
    body = {
        key: value
        for key, value in to_body(sent, server).items()
        if route.keys is None or key in route.keys
    }
    key = digest(server.model, route.path, body)
    count = capabilities.token_counts.get(key)
    if count is not None:
        return count if count >= 0 else None
    rendering = _render_here(request, body, source, server) if route.tokens is None else None
    if rendering and (known := rendering.verified(capabilities)) is not None:
        return source.count(known, prompt=True)
    answer = _ask_route(source, route.path, body, server, key)
    if answer is None:
        return None
    if route.tokens is not None:
        count = len(token_ids_in(answer, route.tokens))
    else:
        prompt = answer.get("prompt") if isinstance(answer, Mapping) else None
        if not isinstance(prompt, str):
            raise ProtocolError(f"The server's route {route.path} answered no prompt.")
        if rendering:
            rendering.verify(prompt, capabilities)
        count = source.count(prompt, prompt=True)
    capabilities.token_counts.put(key, count)
    return count


def _ask_route(
    source: TokenSource, path: str, body: Mapping[str, object], server: ServerInfo, key: bytes
) -> object:
    """Return what a route makes of a chat; None where it is missing, or its template refuses."""
    capabilities = source.session.capabilities
    missing = path, cast("str | None", body.get("model"))
    try:
        return _ask_template(source, path, body, server)
    except NotFoundError:
        capabilities.missing_routes.add(missing)
    except BadRequestError as error:
        if _WANTS_PROMPT.search(own_words(error.body or error.message)):
            capabilities.missing_routes.add(missing)
        else:
            capabilities.token_counts.put(key, _REFUSED)
    except ServerError as error:
        if error.status_code in _PASSING:
            raise
    return None


def _render_here(
    request: GenerationRequest, body: Mapping[str, object], source: TokenSource, server: ServerInfo
) -> LocalRendering | None:
    """Render a chat by the template that the server publishes, from the second count on."""
    capabilities = source.session.capabilities
    name = model_name(request, server)
    if name not in capabilities.counted:
        capabilities.counted.add(name)
        return None
    if name not in capabilities.published:
        if server.profile.template_route is None:
            return None
        question = template_request(request, server, source.session.url)
        response: Response | EasyLLMError
        try:
            response = source.session.transport.send(question, quick_policy(source.policy))
        except EasyLLMError as error:
            response = error
        note_template(request, server, capabilities, response)
    return render_here(body, name, capabilities.published.get(name, {}))


_REFUSED = -1  # in place of a count
_PASSING = RETRIED_STATUSES - {500}
# What pydantic says where a route takes no messages; of a union of requests it names the member.
_WANTS_PROMPT = re.compile(r"""body['"], ?['"]prompt['"]""")


def _ask_template(
    source: TokenSource, path: str, body: Mapping[str, object], server: ServerInfo
) -> object:
    """Send a chat to the route that counts it, with the retries of one call.

    A template that refuses is a 500 on some servers, which is worth one more attempt, and no pause.
    """
    once = replace(source.policy, max_retries=0)
    policy = source.policy.begin()
    try:
        try:
            return source.ask(path, body, server, once)
        except ServerError as error:
            if error.status_code != 500:
                raise
        return source.ask(path, body, server, once)
    except EasyLLMError as error:
        if not error.is_retryable or error.status_code == 500:
            raise
        pause = policy.call_budget().pause_after(error, error.retry_after)
    time.sleep(pause)
    return source.ask(path, body, server, policy)


def _count_by_files(
    request: GenerationRequest, client: GenerationClient, source: TokenSource
) -> int | None:
    """Count by the model's own template and tokenizer; None where the server tokenizes."""
    server = source.server()
    if server is not None and server.profile.tokenize is not None:
        return None
    name = source.name(server)
    without = source.session.capabilities.without_template
    if not name or name in without:
        return None
    tokenizer = find_tokenizer(name, source.token)
    named = replace(request, model=name)
    try:
        template = client.model_template(named, request.policy)
    except ConfigurationError:
        without.add(name)
        return None
    offered = offered_tools(request.tools, request.tool_choice)
    try:
        text = render_prompt(named, template, offered, keep_bos=True).text
    except ConfigurationError:
        return None
    return len(tokenizer.encode(text, add_special_tokens=False).ids)
