"""Protocols of text generation, without any I/O: request to body, bytes to neutral events.

The parts load at first use: constructing a model needs few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .call import Call, Message, Server, Tool, ToolChoice, needs_server, wire_stops
    from .detection import UNKNOWN, probe
    from .dialects import NEUTRAL_FIELDS, Dialect, Wire, fields_of
    from .events import Decoder, Delta, Failure, Usage
    from .protocols import new_decoder, route_of, to_body
    from .reader import Answer, AnswerReader, Piece, read_answers
    from .stops import StopCutter, merge_stops
    from .thinking import known_to_think, thinks_in_tags
    from .urls import ROUTER, Address, is_dedicated_endpoint, looks_like_url, parse_address

__all__ = [
    "NEUTRAL_FIELDS",
    "ROUTER",
    "UNKNOWN",
    "Address",
    "Answer",
    "AnswerReader",
    "Call",
    "Decoder",
    "Delta",
    "Dialect",
    "Failure",
    "Message",
    "Piece",
    "Server",
    "StopCutter",
    "Tool",
    "ToolChoice",
    "Usage",
    "Wire",
    "fields_of",
    "is_dedicated_endpoint",
    "known_to_think",
    "looks_like_url",
    "merge_stops",
    "needs_server",
    "new_decoder",
    "parse_address",
    "probe",
    "read_answers",
    "route_of",
    "thinks_in_tags",
    "to_body",
    "wire_stops",
]

_HOMES = {
    "Address": ".urls",
    "Answer": ".reader",
    "AnswerReader": ".reader",
    "Call": ".call",
    "Decoder": ".events",
    "Delta": ".events",
    "Dialect": ".dialects",
    "Failure": ".events",
    "Message": ".call",
    "NEUTRAL_FIELDS": ".dialects",
    "Piece": ".reader",
    "ROUTER": ".urls",
    "Server": ".call",
    "StopCutter": ".stops",
    "Tool": ".call",
    "ToolChoice": ".call",
    "UNKNOWN": ".detection",
    "Usage": ".events",
    "Wire": ".dialects",
    "fields_of": ".dialects",
    "is_dedicated_endpoint": ".urls",
    "known_to_think": ".thinking",
    "looks_like_url": ".urls",
    "merge_stops": ".stops",
    "needs_server": ".call",
    "new_decoder": ".protocols",
    "parse_address": ".urls",
    "probe": ".detection",
    "read_answers": ".reader",
    "route_of": ".protocols",
    "thinks_in_tags": ".thinking",
    "to_body": ".protocols",
    "wire_stops": ".call",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
