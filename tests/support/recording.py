"""Recorded conversations with real servers: cassettes of vcrpy (`tests/cassettes/*/*.yaml`).

They are recorded and replayed through `http_client` and `http_async_client`, with httpx::

    with cassettes().use_cassette(str(path), record_mode="all"):
        ...  # ask the server by httpx's clients
    with cassettes().use_cassette(str(path), record_mode="none"):
        ...  # the same requests get the same answers

What is kept is a list of what may be kept: no header that could hold a secret or an identity is on
it, so none can be forgotten. Texts are scrubbed of tokens, ids, times and what the caller hides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vcr import VCR
from vcr.request import Request
from vcr.serializers import yamlserializer

__all__ = [
    "HEADERS",
    "ORIGIN",
    "SECRETS",
    "cassette_options",
    "cassettes",
    "model_in",
    "secrets_in",
]

HEADERS = ("content-type", "retry-after", "accept")
"""The headers that a cassette keeps."""

ORIGIN = "http://recorded"
"""Where every server of a cassette stands."""

SECRETS = re.compile(r"\bhf_\w{4,}|\bBearer\s+\S", re.IGNORECASE)
"""What no text of a cassette may look like: a token."""

_TOKEN = re.compile(r"\bhf_\w{4,}")
# Ids of answers. A tool call's id goes back with the next request, and stays; so do models' names.
_ID = re.compile(
    r'("id"\s*:\s*")(?:(?:chatcmpl|cmpl|req|gen)[-_](?!tool)[^"]+|[0-9a-f-]{16,})(?=")'
)
# So that recording again changes nothing but what changed.
_CREATED = re.compile(r'("created"\s*:\s*)\d+')


def cassettes(hide: Mapping[str, str] | None = None) -> VCR:
    """Return a vcrpy whose cassettes hold no secret; see `cassette_options`."""
    return VCR(**cassette_options(hide))


def cassette_options(hide: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the arguments of a vcrpy whose cassettes hold no secret.

    Args:
        hide: Texts that no cassette shall hold, and what stands in their place.
    """
    hidden = dict(hide or {})

    def request(asked: Request) -> Request:
        if key := asked.headers.get("authorization"):
            hidden.update({key: "TOKEN", key.removeprefix("Bearer "): "TOKEN"})
        url = urlsplit(asked.uri)
        hidden.setdefault(url.netloc, urlsplit(ORIGIN).netloc)
        body = None if asked.body is None else _scrubbed(asked.body, hidden)
        return Request(asked.method, ORIGIN + url.path, body, _kept(asked.headers))

    def response(answered: dict[str, Any]) -> dict[str, Any]:
        return {
            "status": {"code": answered["status"]["code"], "message": ""},
            "headers": _kept(answered["headers"]),
            "body": {"string": _scrubbed(answered["body"]["string"], hidden)},
        }

    return {
        "before_record_request": request,
        "before_record_response": response,
        "match_on": ("method", "uri", "body"),
    }


def model_in(path: Path) -> str | None:
    """Return the model that the requests of a cassette name."""
    requests = yamlserializer.deserialize(path.read_text("utf-8"))["interactions"]
    bodies = [json.loads(one["request"]["body"]) for one in requests if one["request"]["body"]]
    return next((body["model"] for body in bodies if "model" in body), None)


def secrets_in(path: Path) -> list[str]:
    """Return what of a cassette nobody should see: tokens, and headers that might hold one."""
    text = path.read_text(encoding="utf-8")
    recorded = yamlserializer.deserialize(text)["interactions"]
    headers = {
        name for one in recorded for side in one.values() for name in side.get("headers") or {}
    }
    return [*SECRETS.findall(text), *sorted({name.lower() for name in headers} - {*HEADERS})]


def _kept(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in headers.items() if name.lower() in HEADERS}


def _scrubbed(content: bytes | str, hidden: Mapping[str, str]) -> bytes:
    """Return a body without tokens, ids and what is hidden."""
    text = content if isinstance(content, str) else content.decode("utf-8", "replace")
    if text.startswith('{"openapi":'):
        text = _routes(text)
    for secret, name in hidden.items():
        text = text.replace(secret, name)
    text = _TOKEN.sub("TOKEN", text)
    return _CREATED.sub(r"\g<1>0", _ID.sub(r"\1scrubbed", text)).encode()


def _routes(document: str) -> str:
    """Return the description of a server's routes with no more than their names.

    Whole ones have megabytes, and examples of tokens.
    """
    described = json.loads(document)
    names: dict[str, Any] = {path: {} for path in described.get("paths", {})}
    return json.dumps({"openapi": described["openapi"], "paths": names})
