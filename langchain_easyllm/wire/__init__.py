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
    from .events import CallPiece, Decoder, Delta, Failure, Usage
    from .protocols import new_call_reader, new_decoder, route_of, to_body
    from .reader import Answer, AnswerReader, Piece, read_answers
    from .stops import StopCutter, merge_stops
    from .text_calls import TextTools
    from .thinking import known_to_think, thinks_in_tags
    from .toolcalls import ToolCallReader, merge_calls, parse_arguments
    from .tools import has_native_form, tool_name
    from .urls import ROUTER, Address, is_dedicated_endpoint, looks_like_url, parse_address

__all__ = [
    "NEUTRAL_FIELDS",
    "ROUTER",
    "UNKNOWN",
    "Address",
    "Answer",
    "AnswerReader",
    "Call",
    "CallPiece",
    "Decoder",
    "Delta",
    "Dialect",
    "Failure",
    "Message",
    "Piece",
    "Server",
    "StopCutter",
    "TextTools",
    "Tool",
    "ToolCallReader",
    "ToolChoice",
    "Usage",
    "Wire",
    "fields_of",
    "has_native_form",
    "is_dedicated_endpoint",
    "known_to_think",
    "looks_like_url",
    "merge_calls",
    "merge_stops",
    "needs_server",
    "new_call_reader",
    "new_decoder",
    "parse_address",
    "parse_arguments",
    "probe",
    "read_answers",
    "route_of",
    "thinks_in_tags",
    "to_body",
    "tool_name",
    "wire_stops",
]

_HOMES = {
    "Address": ".urls",
    "Answer": ".reader",
    "AnswerReader": ".reader",
    "Call": ".call",
    "CallPiece": ".events",
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
    "TextTools": ".text_calls",
    "Tool": ".call",
    "ToolCallReader": ".toolcalls",
    "ToolChoice": ".call",
    "UNKNOWN": ".detection",
    "Usage": ".events",
    "Wire": ".dialects",
    "fields_of": ".dialects",
    "has_native_form": ".tools",
    "is_dedicated_endpoint": ".urls",
    "known_to_think": ".thinking",
    "looks_like_url": ".urls",
    "merge_calls": ".toolcalls",
    "merge_stops": ".stops",
    "needs_server": ".call",
    "new_call_reader": ".protocols",
    "new_decoder": ".protocols",
    "parse_address": ".urls",
    "parse_arguments": ".toolcalls",
    "probe": ".detection",
    "read_answers": ".reader",
    "route_of": ".protocols",
    "thinks_in_tags": ".thinking",
    "to_body": ".protocols",
    "tool_name": ".tools",
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
