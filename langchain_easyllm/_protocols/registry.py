"""The protocols side by side: body, route and decoder of each."""

from __future__ import annotations

from .._servers.profile import Server, Wire
from . import openai
from . import tgi as generate
from .events import Decoder
from .request import Call
from .tool_calls import ToolCallReader
from .tool_choice import tool_name

__all__ = ["new_call_reader", "new_decoder", "route_of", "to_body"]


_BODIES = {
    Wire.GENERATE: generate.to_body,
    Wire.COMPLETIONS: openai.to_body,
    Wire.CHAT: openai.to_body,
}
_ROUTES = {
    # (wire, streamed)
    (Wire.GENERATE, False): "/generate",
    (Wire.GENERATE, True): "/generate_stream",
    (Wire.COMPLETIONS, False): "/v1/completions",
    (Wire.COMPLETIONS, True): "/v1/completions",
    (Wire.CHAT, False): "/v1/chat/completions",
    (Wire.CHAT, True): "/v1/chat/completions",
}


def to_body(call: Call, server: Server) -> dict[str, object]:
    """Return the JSON body of a call, in the names of the server that will answer.

    Raises:
        ConfigurationError: For a field that the server cannot express on this protocol.
    """
    return _BODIES[call.wire](call, server)


def route_of(call: Call) -> str:
    """Return the route below a server's root."""
    return _ROUTES[call.wire, call.stream]


def new_decoder(call: Call) -> Decoder:
    """Return a decoder for one answer to a call."""
    if call.wire is Wire.GENERATE:
        wanted = call.params.get("logprobs") or call.params.get("top_logprobs")
        return generate.GenerateDecoder(logprobs=bool(wanted))
    return openai.ChatDecoder() if call.wire is Wire.CHAT else openai.CompletionsDecoder()


def new_call_reader(call: Call, *, whole: bool = False) -> ToolCallReader:
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


def _known_ids(call: Call) -> set[str]:
    calls = (one for message in call.messages or () for one in message.get("tool_calls") or ())  # type: ignore[attr-defined]
    return {one["id"] for one in calls}
