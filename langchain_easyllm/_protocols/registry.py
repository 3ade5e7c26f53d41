"""The protocols side by side: body, route and decoder of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from .._servers.profile import GenerationApi, ServerInfo
from . import openai
from . import tgi as generate
from .events import Decoder
from .request import ProtocolRequest
from .tool_calls import ExpectedToolCalls
from .tool_choice import tool_name

__all__ = ["expected_tool_calls", "new_decoder", "route_of", "to_body"]


_BODIES = {
    GenerationApi.GENERATE: generate.to_body,
    GenerationApi.COMPLETIONS: openai.to_body,
    GenerationApi.CHAT: openai.to_body,
}
_ROUTES = {
    # (api, streamed)
    (GenerationApi.GENERATE, False): "/generate",
    (GenerationApi.GENERATE, True): "/generate_stream",
    (GenerationApi.COMPLETIONS, False): "/v1/completions",
    (GenerationApi.COMPLETIONS, True): "/v1/completions",
    (GenerationApi.CHAT, False): "/v1/chat/completions",
    (GenerationApi.CHAT, True): "/v1/chat/completions",
}


def to_body(request: ProtocolRequest, server: ServerInfo) -> dict[str, object]:
    """Return the JSON body of a request, in the names of the server that will answer.

    Raises:
        ConfigurationError: For a field that the server cannot express on this protocol.
    """
    return _BODIES[request.api](request, server)


def route_of(request: ProtocolRequest) -> str:
    """Return the route below a server's root."""
    return _ROUTES[request.api, request.stream]


def new_decoder(request: ProtocolRequest) -> Decoder:
    """Return a decoder for one response."""
    if request.api is GenerationApi.GENERATE:
        wanted = request.params.get("logprobs") or request.params.get("top_logprobs")
        return generate.GenerateDecoder(logprobs=bool(wanted))
    return (
        openai.ChatDecoder() if request.api is GenerationApi.CHAT else openai.CompletionsDecoder()
    )


def expected_tool_calls(request: ProtocolRequest) -> ExpectedToolCalls:
    """Return what is known of the tool calls that may come in an answer to a request."""
    if not request.tools or "tools" in request.extra:
        return ExpectedToolCalls()
    offered = () if request.tool_choice == "none" else map(tool_name, request.tools)
    calls = (
        call
        for message in request.messages or ()
        for call in cast("list[Mapping[str, str]]", message.get("tool_calls") or ())
    )
    return ExpectedToolCalls(
        tuple(offered),
        frozenset(call["id"] for call in calls),
        single=request.parallel_tool_calls is False,
    )
