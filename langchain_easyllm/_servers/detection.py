"""Find out which server it is: by `/info`, then by `/v1/models`, seldom by a third route."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import cast

import orjson

from .openai_compatible import OPENAI_COMPATIBLE
from .profile import ServerInfo, ServerProfile
from .registry import SERVERS
from .tgi import TGI
from .transformers_serve import TRANSFORMERS_SERVE

UNKNOWN = ServerInfo(OPENAI_COMPATIBLE, known=False)
"""Assumed where detection failed."""

_OWNERS: dict[object, ServerProfile] = {
    owner: profile for profile in SERVERS for owner in profile.owned_by
}

Reply = tuple[int, bytes] | None
"""Status and body of a response; None where the server could not be reached."""


def detect_server() -> Generator[str, Reply, ServerInfo]:
    """Yield routes to GET, receive their responses, return the server.

    A server that cannot be reached is not tried twice.
    """
    info = yield "/info"
    if info is None:
        return UNKNOWN
    found = _from_info(_json(info))
    if found:
        return found
    models = yield "/v1/models"
    if models is None:
        return UNKNOWN
    if models[0] == 500 and info[0] == 404:
        # `transformers serve` lists the models of the Hub's cache, and fails where there is none.
        return ServerInfo(TRANSFORMERS_SERVE)
    server = _from_models(_json(models))
    if server.profile is OPENAI_COMPATIBLE and b'"detail"' in info[1]:
        # The list never names the model it was started with, but its own routes give it away.
        routes = yield "/openapi.json"
        if routes is not None and b'"/load_model"' in routes[1]:
            return ServerInfo(TRANSFORMERS_SERVE)
    return server


def _json(reply: tuple[int, bytes]) -> object:
    status, body = reply
    if status != 200:
        return None
    try:
        return cast("object", orjson.loads(body))
    except orjson.JSONDecodeError:
        return None


def _from_info(info: object) -> ServerInfo | None:
    if not isinstance(info, Mapping):
        return None
    model = info.get("model_id")
    kinds = info.get("model_type")
    # A server may be both at once: its chat is TGI's then, and its embeddings TEI's.
    common = ServerInfo(
        OPENAI_COMPATIBLE,
        model=model if isinstance(model, str) else None,
        max_batch=_count(info.get("max_client_batch_size")),
        tei=next(iter(kinds), None) if isinstance(kinds, Mapping) else None,
    )
    if info.get("router") == "text-generation-router" or "max_total_tokens" in info:
        return replace(
            common,
            profile=TGI,
            max_stops=_count(info.get("max_stop_sequences")),
            max_total_tokens=_count(info.get("max_total_tokens")),
        )
    if kinds is not None:  # Text Embeddings Inference: OpenAI-style for what it has of text
        return replace(common, max_total_tokens=_count(info.get("max_input_length")))
    return None


def _from_models(models: object) -> ServerInfo:
    entries = models.get("data") if isinstance(models, Mapping) else None
    if not isinstance(entries, list) or not entries:
        return UNKNOWN if models is None else ServerInfo(OPENAI_COMPATIBLE)
    listed = [entry for entry in entries if isinstance(entry, Mapping)]
    names = tuple(str(e["id"]) for e in listed if e.get("id") and isinstance(e["id"], str | int))
    # Some servers list models of other owners as well.
    owners = (entry.get("owned_by") for entry in listed)
    known = (_OWNERS.get(owner) for owner in owners if isinstance(owner, str))
    profile = next(filter(None, known), OPENAI_COMPATIBLE)
    return ServerInfo(
        profile,
        model=names[0] if len(names) == 1 or (names and profile.first_model_answers) else None,
        models=names,
        max_total_tokens=_count(listed[0].get("max_model_len")) if listed else None,
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
