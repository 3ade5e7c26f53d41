"""The errors that real servers answer, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .fake_server import Reply

__all__ = ["ERRORS", "error"]


class _Error(NamedTuple):
    status: int
    body: object
    headers: Mapping[str, str] = {}


def _openai(message: str, kind: str, code: object = None, param: str | None = None) -> object:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _typed(message: str, kind: str) -> object:
    return {"error": message, "error_type": kind}


ERRORS: Mapping[str, _Error] = {
    # TGI and TEI: a sentence and a type.
    "tgi-validation": _Error(
        422, _typed("Input validation error: `top_p` must be > 0.0 and < 1.0", "validation")
    ),
    "tgi-too-long": _Error(
        422,
        _typed(
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. "
            "Given: 2040 `inputs` tokens and 1024 `max_new_tokens`",
            "validation",
        ),
    ),
    "tgi-generation": _Error(424, _typed("Request failed during generation", "generation")),
    "tgi-overloaded": _Error(429, _typed("Model is overloaded", "overloaded")),
    "tgi-incomplete": _Error(500, _typed("Incomplete generation", "incomplete_generation")),
    "tei-too-long": _Error(
        422,
        _typed("Input validation error: `inputs` must have less than 512 tokens", "Validation"),
    ),
    "tei-batch": _Error(422, _typed("batch size 33 > maximum allowed batch size 32", "Validation")),
    "tei-empty": _Error(400, _typed("`inputs` cannot be empty", "Empty")),
    "tei-overloaded": _Error(429, _typed("Model is overloaded", "Overloaded")),
    "tei-backend": _Error(424, _typed("Inference failed", "Backend")),
    "tei-body": _Error(413, "length limit exceeded"),
    # vLLM: OpenAI's shape, the code is the status.
    "vllm-unknown-model": _Error(
        404, _openai("The model `nope` does not exist.", "NotFoundError", 404)
    ),
    "vllm-stops": _Error(
        400,
        _openai(
            "1 validation error:\n  {'type': 'too_long', 'loc': ('body', 'stop', 'list[str]'), "
            "'msg': 'List should have at most 4 items after validation, not 5'}",
            "Bad Request",
            400,
        ),
    ),
    "vllm-too-long": _Error(
        400,
        _openai(
            "This model's maximum context length is 2048 tokens. However, you requested 3064 "
            "tokens (2040 in the messages, 1024 in the completion).",
            "BadRequestError",
            400,
        ),
    ),
    # llama.cpp's own server, and llama-cpp-python's.
    "llamacpp-loading": _Error(
        503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
    ),
    "llamacpp-not-found": _Error(
        404, {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}
    ),
    "llamacpp-too-long": _Error(
        500, _openai("Context size has been exceeded.", "server_error", 500)
    ),
    "llama-cpp-python-too-long": _Error(
        400,
        _openai(
            "This model's maximum context length is 512 tokens. However, you requested 1819 "
            "tokens (1815 in the messages, 4 in the completion). Please reduce the length of the "
            "messages or completion.",
            "invalid_request_error",
            "context_length_exceeded",
            "messages",
        ),
    ),
    "llama-cpp-python-internal": _Error(500, _openai("", "internal_server_error")),
    # FastAPI's own words, and those of Go, which their servers leave as they are.
    "fastapi-not-found": _Error(404, {"detail": "Not Found"}),
    "go-not-found": _Error(404, b"404 page not found", {"content-type": "text/plain"}),
    "mlx-not-found": _Error(404, b"Not Found", {"content-type": "application/json"}),
    "lm-studio-not-found": _Error(200, {"error": "Unexpected endpoint or method. (GET /info)"}),
    "lm-studio-choice": _Error(
        400,
        {
            "error": "Invalid tool_choice type: 'object'. Supported string values: none, auto, "
            "required"
        },
    ),
    "lm-studio-format": _Error(
        400, {"error": "'response_format.type' must be 'json_schema' or 'text'"}
    ),
    "tensorrt-field": _Error(
        400, {"error": "[{'type': 'extra_forbidden', 'msg': 'Extra inputs are not permitted'}]"}
    ),
    "fastapi-internal": _Error(500, "Internal Server Error"),
    "transformers-field": _Error(422, {"detail": "Unexpected fields in the request: {'top_k'}"}),
    "transformers-model": _Error(400, {"detail": "Server is pinned to 'tiny'; requested 'nope'."}),
    # The router and the providers behind it.
    "router-unauthorized": _Error(401, {"error": "Invalid username or password."}),
    "router-forbidden": _Error(
        403,
        {
            "error": "This authentication method does not have sufficient permissions to call "
            "Inference Providers on behalf of user somebody"
        },
    ),
    "router-credits": _Error(
        402, {"error": "You have exceeded your monthly included credits for Inference Providers."}
    ),
    "router-rate-limit": _Error(
        429, _openai("Rate limit reached", "rate_limit_error"), {"retry-after": "1"}
    ),
    "router-task": _Error(
        400,
        {
            "error": "Model tiny is not supported for task text-generation and provider "
            "together. Supported task: conversational."
        },
    ),
    "hub-loading": _Error(
        503, {"error": "Model tiny is currently loading", "estimated_time": 20.0}
    ),
    # The proxy of a dedicated endpoint.
    "endpoint-starting": _Error(503, "503 Service Unavailable"),
    "endpoint-paused": _Error(
        400, {"error": "The endpoint is paused, ask a maintainer to restart it"}
    ),
    "proxy-html": _Error(
        502,
        b"<html><head><title>502 Bad Gateway</title></head></html>",
        {"content-type": "text/html"},
    ),
}


def error(name: str, **headers: str) -> Reply:
    """Build the error of that name; keywords are more headers (`retry_after="1"`)."""
    known = ERRORS[name]
    more = {key.replace("_", "-"): value for key, value in headers.items()}
    return Reply(known.body, status=known.status, headers={**known.headers, **more})
