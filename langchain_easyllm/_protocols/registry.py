"""The protocols side by side: body, route and decoder of each."""

from __future__ import annotations

from .._servers.profile import GenerationApi, ServerInfo
from . import openai
from . import tgi as generate
from .events import Decoder
from .request import ProtocolRequest
from .tool_calls import ToolCallReader
from .tool_choice import tool_name

__all__ = ["new_call_reader", "new_decoder", "route_of", "to_body"]


_BODIES = {
    GenerationApi.GENERATE: generate.to_body,
    GenerationApi.COMPLETIONS: openai.to_body,
    GenerationApi.CHAT: openai.to_body,
}
_ROUTES = {
    # (wire, streamed)
    (GenerationApi.GENERATE, False): "/generate",
    (GenerationApi.GENERATE, True): "/generate_stream",
    (GenerationApi.COMPLETIONS, False): "/v1/completions",
    (GenerationApi.COMPLETIONS, True): "/v1/completions",
    (GenerationApi.CHAT, False): "/v1/chat/completions",
    (GenerationApi.CHAT, True): "/v1/chat/completions",
}


def to_body(call: ProtocolRequest, server: ServerInfo) -> dict[str, object]:
    """Return the JSON body of a call, in the names of the server that will answer.

    Raises:
        ConfigurationError: For a field that the server cannot express on this protocol.
    """
    return _BODIES[call.wire](call, server)


def route_of(call: ProtocolRequest) -> str:
    """Return the route below a server's root."""
    return _ROUTES[call.wire, call.stream]


def new_decoder(call: ProtocolRequest) -> Decoder:
    """Return a decoder for one answer to a call."""
    if call.wire is GenerationApi.GENERATE:
        wanted = call.params.get("logprobs") or call.params.get("top_logprobs")
        return generate.GenerateDecoder(logprobs=bool(wanted))
    return openai.ChatDecoder() if call.wire is GenerationApi.CHAT else openai.CompletionsDecoder()


def new_call_reader(call: ProtocolRequest, *, whole: bool = False) -> ToolCallReader:
    """Return a reader of the tool calls in one answer to a call.

    Args:
        call: The request.
        whole: Whether the answer comes in one piece.
    """
    if not call.tools or "tools" in call.extra:
        return ToolCallReader(whole=whole)
    offered = () if call.tool_choice == "none" else [tool_name(tool) for tool in call.tools]
    single = call.parallel_tool_calls is False
    return ToolCallReader(offered, _known_ids(call), single=single, whole=whole)


def _known_ids(call: ProtocolRequest) -> set[str]:
    calls = (one for message in call.messages or () for one in message.get("tool_calls") or ())  # type: ignore[attr-defined]
    return {one["id"] for one in calls}
