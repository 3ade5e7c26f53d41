"""What the model of a request can do, by its server's word.

Reading what is known is pure, and tells whether all of it is: else `GenerationClient.learn_model`
asks the server.
"""

from __future__ import annotations

import time
from importlib.util import find_spec

from .._http.models import Request, Response
from .._protocols.reasoning import is_reasoning_model
from .._servers.capabilities import ServerCapabilities
from .._servers.in_process import IN_PROCESS
from .._servers.model_facts import Facts, properties_facts, read_router_models, router_facts
from .._servers.profile import GenerationApi, ServerInfo
from .._servers.session import DETECT_AGAIN, ServerSession
from .._servers.urls import ROUTER, ServerURL
from .prepare import choose_api
from .published_template import model_name
from .request import GenerationRequest


def model_facts(request: GenerationRequest, session: ServerSession) -> tuple[Facts, bool]:
    """Return what the server has said of the request's model, and whether that is all it says."""
    if session.url.router:
        return _router_facts(request, session)
    server, capabilities = session.server, session.capabilities
    if server is None or not server.known:
        return {}, False
    api = choose_api(request, session.url, server, capabilities)
    name = model_name(request, server)
    facts: dict[str, object] = {**properties_facts(capabilities.published.get(name, {}))}
    if length := server.input_limit(name):
        facts.setdefault("max_input_tokens", length)
    constrained = _constrains(server, api)
    if constrained is not None:
        facts["structured_output"] = constrained
    if name in capabilities.without_tools and api is GenerationApi.CHAT:
        facts["tool_calling"] = False
    if name in capabilities.reasoning_models or is_reasoning_model(name):
        facts["reasoning_output"] = True
    return facts, not asks_properties(request, server, session)


def _router_facts(request: GenerationRequest, session: ServerSession) -> tuple[Facts, bool]:
    models = session.capabilities.router_models
    if session.url.root != ROUTER:  # a provider's own root below it, which lists other names
        return {}, True
    if models is None:
        return {}, False
    name, _, provider = (request.model or "").partition(":")
    entry = models.get(name.lower())
    return ({} if entry is None else router_facts(entry, request.provider or provider)), True


def _constrains(server: ServerInfo, api: GenerationApi) -> bool | None:
    """Whether the server holds an answer to a schema; None if nobody knows."""
    profile = server.profile.apis.get(api)
    if profile is None or "response_format" not in profile.fields:
        return False
    if server.profile is IN_PROCESS:
        return find_spec("llguidance") is not None
    return True if profile.constrains else None


def asks_properties(request: GenerationRequest, server: ServerInfo, session: ServerSession) -> bool:
    """Whether the server publishes more of the model, and has not been asked for it."""
    api = choose_api(request, session.url, server, session.capabilities)
    has_route = server.profile.template_route is not None and not session.url.versioned
    chats = api is GenerationApi.CHAT
    return has_route and chats and model_name(request, server) not in session.capabilities.published


def listing_request(url: ServerURL) -> Request:
    return Request("GET", url.url("/v1/models"))


def note_listing(capabilities: ServerCapabilities, response: Response) -> None:
    capabilities.router_models = read_router_models(response.body)


def asked_in_vain(request: GenerationRequest, session: ServerSession) -> bool:
    """Whether the server was asked a short time ago, and did not answer."""
    asked = session.capabilities.asked_in_vain.get(request.model or "")
    return asked is not None and time.monotonic() - asked < DETECT_AGAIN


def note_asked(request: GenerationRequest, session: ServerSession) -> None:
    session.capabilities.asked_in_vain[request.model or ""] = time.monotonic()


def note_in_vain(request: GenerationRequest, session: ServerSession) -> None:
    """Note a question without an answer, which says nothing to calls that follow."""
    note_asked(request, session)
    if session.server is not None and not session.server.known:
        session.recheck()
