"""Protocols of text generation, without any I/O: request to body, bytes to neutral events."""

from __future__ import annotations

from .call import Call, Message, Server, needs_server, wire_stops
from .dialects import NEUTRAL_FIELDS, Dialect, Wire
from .events import Decoder, Delta, Failure, Usage
from .probe import UNKNOWN, probe
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
    "Usage",
    "Wire",
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
