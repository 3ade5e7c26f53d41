"""Which server is it? One look at `/info`, then at `/v1/models`, seldom a third."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import cast

import orjson

from .profile import Dialect, ServerInfo

__all__ = ["UNKNOWN", "detect_server"]


UNKNOWN = ServerInfo(dialect=Dialect.OPENAI, known=False)
"""What is assumed where no look succeeded: an OpenAI-style server."""

_OWNERS = {
    "vllm": Dialect.VLLM,
    "llamacpp": Dialect.LLAMA_CPP,
    "llama.cpp": Dialect.LLAMA_CPP,
    "me": Dialect.LLAMA_CPP_PYTHON,  # llama-cpp-python says nothing more of itself
}

Reply = tuple[int, bytes] | None
"""Status and body of an answer; None where the server could not be reached."""


def detect_server() -> Generator[str, Reply, ServerInfo]:
    """Yield routes to GET, receive their answers, return the server.

    A server that cannot be reached is not asked twice.
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
        return ServerInfo(dialect=Dialect.TRANSFORMERS)
    server = _from_models(_json(models))
    if server.dialect is Dialect.OPENAI and b'"detail"' in info[1]:
        # The list never names the model it was started with, but its own routes give it away.
        routes = yield "/openapi.json"
        if routes is not None and b'"/load_model"' in routes[1]:
            return ServerInfo(dialect=Dialect.TRANSFORMERS)
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
        dialect=Dialect.OPENAI,
        model=model if isinstance(model, str) else None,
        max_batch=_count(info.get("max_client_batch_size")),
        tei=next(iter(kinds), None) if isinstance(kinds, Mapping) else None,
    )
    if info.get("router") == "text-generation-router" or "max_total_tokens" in info:
        return replace(
            common,
            dialect=Dialect.TGI,
            max_stops=_count(info.get("max_stop_sequences")),
            max_total_tokens=_count(info.get("max_total_tokens")),
        )
    if kinds is not None:  # Text Embeddings Inference: OpenAI-style for what it has of text
        return replace(common, max_total_tokens=_count(info.get("max_input_length")))
    return None


def _from_models(models: object) -> ServerInfo:
    entries = models.get("data") if isinstance(models, Mapping) else None
    if not isinstance(entries, list) or not entries:
        return UNKNOWN if models is None else ServerInfo(dialect=Dialect.OPENAI)
    listed = [entry for entry in entries if isinstance(entry, Mapping)]
    names = tuple(str(entry["id"]) for entry in listed if entry.get("id"))
    owner = str(listed[0].get("owned_by", "")) if listed else ""
    return ServerInfo(
        dialect=_OWNERS.get(owner, Dialect.OPENAI),
        model=names[0] if len(names) == 1 or owner in _OWNERS else None,
        models=names,
        max_total_tokens=_count(listed[0].get("max_model_len")) if listed else None,
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
