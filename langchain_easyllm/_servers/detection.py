"""Find out which server it is: by `/info`, then by `/v1/models`, seldom by a third route.

A third route is tried where the first two answers look like those of a server that does not name
itself in them: its own words there are certain.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import NamedTuple, cast

import orjson

from ..errors import EasyLLMError
from .litellm import LITELLM
from .mlx_lm import MLX_LM
from .model_facts import count, listed_length
from .ollama import OLLAMA
from .openai_compatible import OPENAI_COMPATIBLE
from .profile import ServerInfo, ServerProfile
from .registry import SERVERS
from .tgi import TGI, TGI_2
from .transformers_serve import TRANSFORMERS_SERVE
from .urls import ServerURL

UNKNOWN = ServerInfo(OPENAI_COMPATIBLE, known=False)
"""Assumed where detection failed."""

_OWNERS: dict[object, ServerProfile] = {
    owner: profile for profile in SERVERS for owner in profile.owned_by
}

Reply = tuple[int, bytes] | None
"""Status and body of a response; None where the server could not be reached."""


_Entries = list[Mapping[str, object]]


class _OwnRoute(NamedTuple):
    """A route that only one server answers in these words."""

    profile: ServerProfile
    route: str
    words: bytes


_TRANSFORMERS = _OwnRoute(TRANSFORMERS_SERVE, "/openapi.json", b'"/load_model"')
_LITELLM = _OwnRoute(LITELLM, "/health/liveliness", b"I'm alive!")
_OLLAMA = _OwnRoute(OLLAMA, "/", b"Ollama is running")
_MLX_LM = _OwnRoute(MLX_LM, "/health", b'{"status": "ok"}')

_LITELLM_CREATED = 1677610602
"""When LiteLLM says that every model was created."""


def reply_of(failure: EasyLLMError) -> Reply:
    """Return what a failed request was answered: an answer that says no is an answer, too."""
    body = (failure.body or "").encode()
    return (failure.status_code, body) if failure.status_code else None


def detect_server(url: ServerURL) -> Generator[str, Reply, ServerInfo]:
    """Yield routes to GET, receive their responses, return the server.

    A server that cannot be reached is not tried twice.
    """
    if url.versioned:  # what is below it are OpenAI's routes
        models = yield "/v1/models"
        return UNKNOWN if models is None else _from_models(_json(models))[0]
    info = yield "/info"
    if info is None:
        return UNKNOWN
    found = _from_info(_json(info))
    if found:
        return found
    models = yield "/v1/models"
    if models is None:
        return UNKNOWN
    if models[0] == 500 and info[0] == 404 and b'"detail"' in info[1]:
        # `transformers serve` lists the models of the Hub's cache, and fails where there is none.
        return ServerInfo(TRANSFORMERS_SERVE)
    if models[0] == 404 and url.adds_v1:
        return _without_v1((yield "/models"))
    server, entries = _from_models(_json(models))
    own = None
    if server.profile is OPENAI_COMPATIBLE and server.known:
        own = _own_route(info[1], entries)
    elif server.known and server.profile is not OLLAMA and _is_go(info[1]):
        own = _OLLAMA  # whose users' names own their models, and may be names of other servers
    return (yield from _recognized(server, own))


def _recognized(server: ServerInfo, own: _OwnRoute | None) -> Generator[str, Reply, ServerInfo]:
    reply = (yield own.route) if own else None
    if own is None or reply is None or own.words not in reply[1]:
        return server
    if not own.profile.lists_served_models:
        return ServerInfo(own.profile)
    one = server.models[0] if len(server.models) == 1 else None
    return replace(server, profile=own.profile, model=one)


def _own_route(missing: bytes, entries: _Entries) -> _OwnRoute | None:
    """Return the route that makes sure which server answered so to `/info` and `/v1/models`."""
    if b'"detail"' in missing:  # FastAPI's words
        if entries and all(entry.get("created") == _LITELLM_CREATED for entry in entries):
            return _LITELLM
        return _TRANSFORMERS
    if _is_go(missing):
        return _OLLAMA
    if missing == b"Not Found" and all(e.keys() == {"id", "object", "created"} for e in entries):
        return _MLX_LM
    return None


def _is_go(missing: bytes) -> bool:
    return missing.strip() == b"404 page not found"  # Go's words; many a proxy is in Go, too


def _without_v1(models: Reply) -> ServerInfo:
    """Return the server that has no `/v1/models`, by what it answers at `/models`."""
    server, entries = _from_models(None if models is None else _json(models))
    return replace(server, adds_v1=False) if entries else UNKNOWN


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
        max_batch=count(info.get("max_client_batch_size")),
        tei=next(iter(kinds), None) if isinstance(kinds, Mapping) else None,
    )
    old = "model_id" in info and "max_total_tokens" in info  # it did not name its router
    if info.get("router") == "text-generation-router" or old:
        return replace(
            common,
            profile=TGI if _is_new(info.get("version")) else TGI_2,
            max_stops=count(info.get("max_stop_sequences")),
            max_total_tokens=count(info.get("max_total_tokens")),
            max_input_tokens=count(info.get("max_input_tokens") or info.get("max_input_length")),
        )
    if common.tei is not None:  # OpenAI-style for what it has of text
        return replace(common, max_total_tokens=count(info.get("max_input_length")))
    return None


def _is_new(version: object) -> bool:
    major = str(version).partition(".")[0]
    return major.isdecimal() and int(major) >= 3


def _from_models(models: object) -> tuple[ServerInfo, _Entries]:
    entries = models.get("data") if isinstance(models, Mapping) else None
    if not isinstance(entries, list) or not entries:
        # A failure says nothing; a list of nothing, or something else, is an answer.
        return (UNKNOWN if models is None else ServerInfo(OPENAI_COMPATIBLE)), []
    listed = [entry for entry in entries if isinstance(entry, Mapping)]
    names = tuple(str(e["id"]) for e in listed if e.get("id") and isinstance(e["id"], str | int))
    profile = _owner(listed)
    return ServerInfo(
        profile,
        model=names[0] if len(names) == 1 or (names and profile.first_model_answers) else None,
        models=names,
        max_total_tokens=count(listed[0].get("max_model_len")) if listed else None,
        context_lengths={
            name: length
            for entry in listed
            if isinstance(name := entry.get("id"), str) and (length := listed_length(entry))
        },
    ), listed


def _owner(entries: _Entries) -> ServerProfile:
    """Return the server that owns all models of a list; a gateway lists those of several."""
    owners = {owner if isinstance(owner, str) else "" for owner in map(_owned_by, entries)}
    profiles = {_OWNERS.get(owner, OPENAI_COMPATIBLE) for owner in owners}
    return profiles.pop() if len(profiles) == 1 else OPENAI_COMPATIBLE


def _owned_by(entry: Mapping[str, object]) -> object:
    return entry.get("owned_by")
