"""What the chat template that a server publishes can do, where the server does not say.

llama-server drops tools without a word if the model's template has none, and a switch for thinking
that the template does not read. It publishes the template, and is asked once, when one of the two
is requested.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast
from urllib.parse import quote

import orjson

from .._http.models import Request, Response
from .._protocols.thinking import THINKING_FIELDS
from .._servers.capabilities import ServerCapabilities
from .._servers.profile import ServerInfo
from .._servers.urls import ServerURL
from ..errors import EasyLLMError
from .request import GenerationRequest

_READS_TOOLS = re.compile(r"\{[{%][^%}]*\btools\b")


def must_ask(
    request: GenerationRequest, server: ServerInfo, capabilities: ServerCapabilities
) -> bool:
    """Whether a chat request depends on a template that the server has not been asked for."""
    profile = server.profile
    if profile.template_route is None:
        return False
    thinks = not THINKING_FIELDS.isdisjoint(request.params)
    if not thinks and not (profile.drops_tools and _offers_tools(request, capabilities)):
        return False
    return model_name(request, server) not in capabilities.published


def model_name(request: GenerationRequest, server: ServerInfo | None) -> str:
    """Return the name that what is learned of a model is kept under."""
    return request.model or (server.model if server else None) or ""


def _offers_tools(request: GenerationRequest, capabilities: ServerCapabilities) -> bool:
    if request.tools and request.tool_choice != "none":
        return True
    output = request.output
    if output is None or output.method not in (None, "function_calling"):
        return False
    # Without a method, a tool is what takes the place of a refused one.
    return output.method is not None or bool(capabilities.refused_methods)


def template_request(request: GenerationRequest, server: ServerInfo, url: ServerURL) -> Request:
    address = url.url(server.profile.template_route or "")
    if len(server.models) > 1:
        separator = "&" if url.query else "?"
        address += f"{separator}model={quote(model_name(request, server), safe='')}"
    return Request("GET", address, headers=request.headers)


def note_template(
    request: GenerationRequest,
    server: ServerInfo,
    capabilities: ServerCapabilities,
    response: Response | EasyLLMError,
) -> None:
    """Note what the server answered; where it does not say, its tools are used."""
    name = model_name(request, server)
    if isinstance(response, EasyLLMError):
        # A server that is out of reach, or busy, or loads its model, has not answered.
        if not response.is_retryable:
            capabilities.published[name] = {}
        return
    props = read_properties(response.body)
    if server.profile.drops_tools and _has_tools(props) is False:
        capabilities.without_tools.add(name)
    capabilities.published[name] = props


def read_properties(body: bytes) -> Mapping[str, object]:
    """Read what the server answered; nothing if it is no JSON object."""
    try:
        props = cast("object", orjson.loads(body))
    except orjson.JSONDecodeError:
        return {}
    return props if isinstance(props, Mapping) else {}


def _has_tools(props: Mapping[str, object]) -> bool | None:
    """Return whether the template writes tools; None if the server does not say.

    Newer versions say it, older ones have a second template for tools, or show the only one.
    """
    capabilities = props.get("chat_template_caps")
    known = capabilities.get("supports_tools") if isinstance(capabilities, Mapping) else None
    if isinstance(known, bool):
        return known
    if props.get("chat_template_tool_use"):
        return True
    template = props.get("chat_template")
    if not isinstance(template, str) or not template:
        return None
    return bool(_READS_TOOLS.search(template))
