"""The protocols side by side: body, route and decoder of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from .._servers.profile import GenerationApi, ServerInfo
from .._tool_formats.call_syntax import tool_name
from . import openai, tgi
from .events import Decoder
from .request import ProtocolRequest
from .tool_calls import ExpectedToolCalls

_ROUTES = {
    GenerationApi.GENERATE: "/generate",
    GenerationApi.COMPLETIONS: "/v1/completions",
    GenerationApi.CHAT: "/v1/chat/completions",
}


def to_body(request: ProtocolRequest, server: ServerInfo) -> dict[str, object]:
    if request.api is GenerationApi.GENERATE:
        return tgi.to_body(request, server)
    return openai.to_body(request, server)


def route_of(request: ProtocolRequest) -> str:
    streams_apart = request.stream and request.api is GenerationApi.GENERATE
    return "/generate_stream" if streams_apart else _ROUTES[request.api]


def new_decoder(request: ProtocolRequest) -> Decoder:
    if request.api is GenerationApi.GENERATE:
        wanted = request.params.get("logprobs") or request.params.get("top_logprobs")
        return tgi.GenerateDecoder(logprobs=bool(wanted))
    return (
        openai.ChatDecoder() if request.api is GenerationApi.CHAT else openai.CompletionsDecoder()
    )


def expected_tool_calls(request: ProtocolRequest) -> ExpectedToolCalls:
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
