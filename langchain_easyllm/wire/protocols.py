"""The protocols side by side: body, route and decoder of each."""

from __future__ import annotations

from . import generate, openai
from .call import Call, Server
from .dialects import Wire
from .events import Decoder

__all__ = ["new_decoder", "route_of", "to_body"]

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
