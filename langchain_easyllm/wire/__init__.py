"""Protocols of generation, embeddings and reranking, without any I/O: requests, neutral events.

The parts load at first use: constructing a model needs few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .call import Call, Message, Server, Tool, ToolChoice, needs_server, wire_stops
    from .detection import UNKNOWN, probe
    from .dialects import NEUTRAL_FIELDS, Dialect, Wire, fields_of
    from .embed import EMBED_FIELDS, EmbedApi, EmbedCall, embed_fields, embed_route, hub_route
    from .events import CallPiece, Decoder, Delta, Failure, Usage
    from .protocols import new_call_reader, new_decoder, route_of, to_body
    from .reader import Answer, AnswerReader, Piece, read_answers
    from .rerank import RerankApi, RerankCall, read_scores, rerank_route
    from .stops import StopCutter, merge_stops
    from .text_calls import TextTools
    from .texts import beginning, check_several, check_text, check_texts, to_json
    from .thinking import known_to_think, thinks_in_tags
    from .toolcalls import ToolCallReader, cut_call, merge_calls, parse_arguments
    from .tools import can_offer, has_native_form, tool_name
    from .urls import ROUTER, Address, is_dedicated_endpoint, looks_like_url, parse_address
    from .vectors import Pooling, Vector, normalized, read_vectors, to_floats

__all__ = [
    "EMBED_FIELDS",
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
    "EmbedApi",
    "EmbedCall",
    "Failure",
    "Message",
    "Piece",
    "Pooling",
    "RerankApi",
    "RerankCall",
    "Server",
    "StopCutter",
    "TextTools",
    "Tool",
    "ToolCallReader",
    "ToolChoice",
    "Usage",
    "Vector",
    "Wire",
    "beginning",
    "can_offer",
    "check_several",
    "check_text",
    "check_texts",
    "cut_call",
    "embed_fields",
    "embed_route",
    "fields_of",
    "has_native_form",
    "hub_route",
    "is_dedicated_endpoint",
    "known_to_think",
    "looks_like_url",
    "merge_calls",
    "merge_stops",
    "needs_server",
    "new_call_reader",
    "new_decoder",
    "normalized",
    "parse_address",
    "parse_arguments",
    "probe",
    "read_answers",
    "read_scores",
    "read_vectors",
    "rerank_route",
    "route_of",
    "thinks_in_tags",
    "to_body",
    "to_floats",
    "to_json",
    "tool_name",
    "wire_stops",
]

_HOMES = {
    "EMBED_FIELDS": ".embed",
    "Address": ".urls",
    "Answer": ".reader",
    "AnswerReader": ".reader",
    "Call": ".call",
    "CallPiece": ".events",
    "Decoder": ".events",
    "Delta": ".events",
    "Dialect": ".dialects",
    "EmbedApi": ".embed",
    "EmbedCall": ".embed",
    "Failure": ".events",
    "Message": ".call",
    "NEUTRAL_FIELDS": ".dialects",
    "Piece": ".reader",
    "Pooling": ".vectors",
    "ROUTER": ".urls",
    "RerankApi": ".rerank",
    "RerankCall": ".rerank",
    "Server": ".call",
    "StopCutter": ".stops",
    "TextTools": ".text_calls",
    "Tool": ".call",
    "ToolCallReader": ".toolcalls",
    "ToolChoice": ".call",
    "UNKNOWN": ".detection",
    "Usage": ".events",
    "Vector": ".vectors",
    "Wire": ".dialects",
    "beginning": ".texts",
    "check_several": ".texts",
    "check_text": ".texts",
    "check_texts": ".texts",
    "cut_call": ".toolcalls",
    "embed_fields": ".embed",
    "can_offer": ".tools",
    "embed_route": ".embed",
    "fields_of": ".dialects",
    "has_native_form": ".tools",
    "hub_route": ".embed",
    "is_dedicated_endpoint": ".urls",
    "known_to_think": ".thinking",
    "looks_like_url": ".urls",
    "merge_calls": ".toolcalls",
    "merge_stops": ".stops",
    "needs_server": ".call",
    "new_call_reader": ".protocols",
    "new_decoder": ".protocols",
    "normalized": ".vectors",
    "parse_address": ".urls",
    "parse_arguments": ".toolcalls",
    "probe": ".detection",
    "read_answers": ".reader",
    "read_scores": ".rerank",
    "read_vectors": ".vectors",
    "rerank_route": ".rerank",
    "route_of": ".protocols",
    "thinks_in_tags": ".thinking",
    "to_body": ".protocols",
    "to_floats": ".vectors",
    "to_json": ".texts",
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
