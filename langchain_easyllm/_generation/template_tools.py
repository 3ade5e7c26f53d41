"""Whether a model's chat template has tools, where a server that lacks them says nothing.

llama-server drops tools without a word if the model's template has none. It publishes the template,
and is asked once, when tools are offered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast
from urllib.parse import quote

import orjson

from .._http.models import Request, Response
from .._servers.capabilities import ServerCapabilities
from .._servers.profile import GenerationApi, ServerInfo
from .._servers.urls import ServerURL
from ..errors import EasyLLMError
from .request import GenerationRequest

_READS_TOOLS = re.compile(r"\{[{%][^%}]*\btools\b")
# A server that is out of reach, or busy, or loads its model, has not answered the question.
_UNANSWERED = (None, 429, 503)


def must_ask_for_tools(
    request: GenerationRequest,
    api: GenerationApi,
    server: ServerInfo,
    capabilities: ServerCapabilities,
) -> bool:
    if api is not GenerationApi.CHAT or not _offers_tools(request, capabilities):
        return False
    return _model(request, server) not in capabilities.asked_for_tools


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
        address += f"{separator}model={quote(_model(request, server), safe='')}"
    return Request("GET", address, headers=request.headers)


def note_template(
    request: GenerationRequest,
    server: ServerInfo,
    capabilities: ServerCapabilities,
    response: Response | EasyLLMError,
) -> None:
    """Note what the server answered; where it does not say, its tools are used."""
    name = _model(request, server)
    if isinstance(response, EasyLLMError):
        if response.status_code in _UNANSWERED:
            return
    elif _has_tools(response.body) is False:
        capabilities.without_tools.add(name)
    capabilities.asked_for_tools.add(name)


def _model(request: GenerationRequest, server: ServerInfo) -> str:
    return request.model or server.model or ""


def _has_tools(body: bytes) -> bool | None:
    """Return whether the template writes tools; None if the server does not say.

    Newer versions say it, older ones have a second template for tools, or show the only one.
    """
    try:
        props = cast("object", orjson.loads(body))
    except orjson.JSONDecodeError:
        return None
    if not isinstance(props, Mapping):
        return None
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
