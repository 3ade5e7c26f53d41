"""The protocols side by side: body, route and decoder of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from .._servers.profile import GenerationApi, PromptRoute, ServerInfo
from .._tool_formats.call_syntax import tool_name
from . import ollama, openai, tgi
from .events import Decoder
from .request import ProtocolRequest
from .tool_calls import ExpectedToolCalls


def to_body(request: ProtocolRequest, server: ServerInfo) -> dict[str, object]:
    if request.api is GenerationApi.GENERATE:
        return tgi.to_body(request, server)
    if _is_ollamas(request):
        return ollama.to_body(request, server)
    return openai.to_body(request, server)


def _is_ollamas(request: ProtocolRequest) -> bool:
    completes = request.api is GenerationApi.COMPLETIONS
    return completes and request.prompt_route is PromptRoute.OLLAMA


def route_of(request: ProtocolRequest) -> str:
    if request.api is GenerationApi.GENERATE:
        return "/generate_stream" if request.stream else "/generate"
    if request.api is GenerationApi.COMPLETIONS:
        return request.prompt_route.value
    return "/v1/chat/completions"


def new_decoder(request: ProtocolRequest) -> Decoder:
    if request.api is GenerationApi.GENERATE:
        wanted = request.params.get("logprobs") or request.params.get("top_logprobs")
        return tgi.GenerateDecoder(logprobs=bool(wanted))
    if _is_ollamas(request):
        return ollama.OllamaDecoder()
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
