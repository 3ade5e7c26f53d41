"""Whole text-generation servers, made of canned answers.

    serve(fake_server, "vllm", ["Hello", " world"])

Everything the builders offer can be imported from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import cast

from .fake_errors import ERRORS, error
from .fake_responses import (
    RESPONSE_SHAPES,
    Json,
    Options,
    ResponseShape,
    chat,
    chat_events,
    chat_stream,
    completions,
    completions_events,
    completions_stream,
    ollama,
    ollama_lines,
    ollama_stream,
    tgi_generate,
    tgi_generate_events,
    tgi_generate_stream,
)
from .fake_server import Answer, FakeServer, Received, Reply
from .text_servers import TEXT_SERVERS

__all__ = [
    "ERRORS",
    "RESPONSE_SHAPES",
    "Json",
    "Options",
    "ResponseShape",
    "chat",
    "chat_events",
    "chat_stream",
    "completions",
    "completions_events",
    "completions_stream",
    "detection_replies",
    "end_at_stop",
    "error",
    "info_tei",
    "info_tgi",
    "models",
    "ollama",
    "ollama_lines",
    "ollama_stream",
    "serve",
    "tgi_generate",
    "tgi_generate_events",
    "tgi_generate_stream",
]


def info_tgi(**changes: object) -> Reply:
    """Build TGI's `/info`; keywords replace or add keys."""
    info: dict[str, object] = {
        "model_id": "tiny",
        "model_sha": None,
        "model_pipeline_tag": "text-generation",
        "max_concurrent_requests": 128,
        "max_best_of": 2,
        "max_stop_sequences": 4,
        "max_input_tokens": 1024,
        "max_total_tokens": 2048,
        "validation_workers": 2,
        "max_client_batch_size": 4,
        "router": "text-generation-router",
        "version": "3.3.4",
        "sha": None,
        "docker_label": None,
    }
    return Reply(info | changes)


def info_tei(kind: str = "embedding", **changes: object) -> Reply:
    """Build TEI's `/info` for an "embedding", "reranker" or "classifier" model."""
    labels = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    info: dict[str, object] = {
        "model_id": "tiny",
        "model_sha": None,
        "model_dtype": "float32",
        "served_model_name": "tiny",
        "model_type": {kind: {"pooling": "mean"} if kind == "embedding" else labels},
        "max_concurrent_requests": 512,
        "max_input_length": 512,
        "max_batch_tokens": 16384,
        "max_batch_requests": None,
        "max_client_batch_size": 32,
        "auto_truncate": False,
        "tokenization_workers": 2,
        "version": "1.9.0",
        "sha": None,
        "docker_label": None,
    }
    return Reply(info | changes)


def models(
    *names: str, owned_by: object = "openai", max_model_len: object = None, **more: object
) -> Reply:
    """Build `/v1/models`; `max_model_len` and `more` are keys of every model."""
    known = {"object": "model", "created": 1_700_000_000, "owned_by": owned_by, **more}
    if owned_by is None:
        del known["owned_by"]
    if max_model_len is not None:
        known["max_model_len"] = max_model_len
    return Reply({"object": "list", "data": [{"id": name, **known} for name in names or ("tiny",)]})


def detection_replies(name: str, model: str = "tiny") -> tuple[Reply, Reply]:
    """What the server of that name answers at `/info` and at `/v1/models`."""
    row = TEXT_SERVERS[name]
    info = info_tgi(model_id=model) if name == "tgi" else error(row.not_found)
    listed = {"owned_by": model} if name == "tgi" else row.listed
    if listed is None:
        return info, error("fastapi-internal")
    return info, models(model, **{"owned_by": None, **listed})


def serve(
    server: FakeServer,
    server_name: str,
    tokens: Sequence[str] = ("Hello", " world"),
    *,
    finish_reason: str = "stop",
    model: str = "tiny",
) -> None:
    """Make `server` one that always generates these tokens, on every route its program has.

    Of a request it looks at `stream` and `stream_options`; at `stop`, which it obeys in the way of
    its program (some leave the stop sequence in the text); and at `model` and the names of the
    fields, which some programs refuse.

    Args:
        server: The server.
        server_name: A key of `RESPONSE_SHAPES`.
        tokens: What it generates.
        finish_reason: Why it ends when no stop sequence does, in OpenAI's words.
        model: The name of its model.
    """
    info, listing = detection_replies(server_name, model)
    server.on("GET", "/info", info)
    server.on("GET", "/v1/models", listing)
    if own := TEXT_SERVERS[server_name].own:
        server.on("GET", own[0], Reply(own[1]))
    routes: dict[str, tuple[Callable[..., Reply], Callable[..., Reply]]]
    routes = {"/v1/chat/completions": (chat, chat_stream)}
    if server_name == "ollama":
        server.on("POST", "/api/generate", _ollama_route(tokens, finish_reason, model))
    elif server_name != "router":
        routes["/v1/completions"] = (completions, completions_stream)
    for path, (whole, stream) in routes.items():
        server.on(
            "POST", path, _openai_route(server_name, tokens, finish_reason, model, whole, stream)
        )
    if server_name == "tgi":
        for path in ("/generate", "/generate_stream", "/"):
            server.on("POST", path, _generate_route(tokens, finish_reason))


def _openai_route(
    server_name: str,
    tokens: Sequence[str],
    finish_reason: str,
    model: str,
    whole: Callable[..., Reply],
    stream: Callable[..., Reply],
) -> Answer:
    row = RESPONSE_SHAPES[server_name]

    def answer(request: Received) -> Reply:
        body = cast("dict[str, object]", request.json)
        if refusal := _refusal(server_name, body, model):
            return error(refusal)
        said, stopped = end_at_stop(tokens, _stops(body.get("stop")), row.stop)
        reason = "stop" if stopped else finish_reason
        if body.get("stream"):
            options = cast("dict[str, object]", body.get("stream_options") or {})
            usage = bool(options.get("include_usage"))
            return stream(said, server_name, finish_reason=reason, usage=usage, model=model)
        return whole(
            "".join(said),
            server_name=server_name,
            finish_reason=reason,
            completion_tokens=len(said),
            model=model,
        )

    return answer


def _ollama_route(tokens: Sequence[str], finish_reason: str, model: str) -> Answer:
    """Answer on Ollama's own route of a prompt; what it renders in its template is not served."""

    def answer(request: Received) -> Reply:
        body = cast("dict[str, object]", request.json)
        assert body["raw"] is True
        options = cast("dict[str, object]", body.get("options") or {})
        said, stopped = end_at_stop(tokens, _stops(options.get("stop")), "cut")
        reason = "stop" if stopped else finish_reason
        if body.get("stream", True):
            return ollama_stream(said, finish_reason=reason, model=model)
        count = len(said)
        return ollama("".join(said), finish_reason=reason, completion_tokens=count, model=model)

    return answer


def _refusal(server_name: str, body: Mapping[str, object], model: str) -> str | None:
    """Name the error that the program answers to this request, if any."""
    row = RESPONSE_SHAPES[server_name]
    if row.max_stops is not None and len(_stops(body.get("stop"))) > row.max_stops:
        return "vllm-stops" if server_name == "vllm" else "tgi-validation"
    if row.refuses & body.keys():
        return "transformers-field"
    if row.accepts is not None and body.keys() - row.accepts:
        return "tensorrt-field"
    if server_name == "lm-studio" and isinstance(body.get("tool_choice"), Mapping):
        return "lm-studio-choice"
    wanted = cast("Mapping[str, object]", body.get("response_format") or {})
    if server_name == "lm-studio" and wanted.get("type") not in (None, "json_schema", "text"):
        return "lm-studio-format"
    if body.get("model") != model and server_name == "vllm":
        return "vllm-unknown-model"
    if body.get("model", model) != model and server_name == "transformers":
        return "transformers-model"
    return None


def _generate_route(tokens: Sequence[str], finish_reason: str) -> Answer:
    """Answer on TGI's own routes."""

    def answer(request: Received) -> Reply:
        body = cast("dict[str, object]", request.json)
        parameters = cast("dict[str, object]", body.get("parameters") or {})
        stops = _stops(parameters.get("stop"))
        if len(stops) > 4:
            return error("tgi-validation")
        said, stopped = end_at_stop(tokens, stops, "ended")
        ended = "length" if finish_reason == "length" else "eos_token"
        reason = "stop_sequence" if stopped else ended
        if request.path == "/generate_stream" or (request.path == "/" and body.get("stream")):
            return tgi_generate_stream(said, finish_reason=reason)
        details = bool(parameters.get("details"))
        return tgi_generate(
            "".join(said),
            finish_reason=reason,
            tokens=said,
            details=details,
            root=request.path == "/",
        )

    return answer


def end_at_stop(tokens: Sequence[str], stops: Sequence[str], rule: str) -> tuple[list[str], bool]:
    """End the tokens where a server does that watches for stop sequences.

    Args:
        tokens: What the model generates.
        stops: The stop sequences.
        rule: See `ResponseShape.stop`.

    Returns:
        The tokens that are sent, and whether a stop sequence ended them.
    """
    for count, text in enumerate(accumulate(tokens), start=1):
        found = [
            stop for stop in stops if (text.endswith(stop) if rule == "ended" else stop in text)
        ]
        if not found:
            continue
        before = min(text.find(stop) for stop in found) if rule == "cut" else len(text)
        starts = accumulate(map(len, tokens), initial=0)
        shown = [
            token[: max(before - at, 0)] for token, at in zip(tokens[:count], starts, strict=False)
        ]
        return [token for token in shown if token], True
    return list(tokens), False


def _stops(stop: object) -> list[str]:
    if stop is None:
        return []
    return [stop] if isinstance(stop, str) else [str(one) for one in cast("list[object]", stop)]
