"""Recorded conversations with real servers, in vcrpy's format (`tests/cassettes/*/*.yaml`).

vcrpy itself patches HTTP libraries, and the package uses none: its sockets never pass there. So a
`Recorder` stands between the package and a real server, and a `Player` in the server's place::

    with Recorder("https://router.huggingface.co") as recorder:
        ...  # ask recorder.url
        recorder.save(path)
    with Player(path) as player:
        ...  # ask player.url: the same requests get the same answers

What is kept is a list of what may be kept: no header that could hold a secret or an identity is on
it, so none can be forgotten. Texts are scrubbed of tokens, ids, times and what the caller hides.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from vcr.persisters.filesystem import FilesystemPersister
from vcr.request import Request
from vcr.serializers import yamlserializer

from .fake_server import FakeServer, Received, Reply

__all__ = ["HEADERS", "SECRETS", "Player", "Recorder"]

HEADERS = ("content-type", "retry-after", "accept")
"""The headers that a cassette keeps."""

SECRETS = re.compile(r"\bhf_\w{4,}|\bBearer\s+\S", re.IGNORECASE)
"""What no text of a cassette may look like: a token."""

_TOKEN = re.compile(r"\bhf_\w{4,}")
# Ids of answers. A tool call's id goes back with the next request, and stays; so do models' names.
_ID = re.compile(
    r'("id"\s*:\s*")(?:(?:chatcmpl|cmpl|req|gen)[-_](?!tool)[^"]+|[0-9a-f-]{16,})(?=")'
)
# So that recording again changes nothing but what changed.
_CREATED = re.compile(r'("created"\s*:\s*)\d+')


class _Handler(BaseHTTPRequestHandler):
    """Passes a request on to the real server, and its answer back as a whole."""

    protocol_version = "HTTP/1.1"

    def _relay(self) -> None:
        recorder: Recorder = self.server.recorder  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        own = ("host", "connection", "accept-encoding", "content-length")
        pairs = ((name.lower(), value) for name, value in self.headers.items())
        headers = {name: value for name, value in pairs if name not in own}
        status, answered, content = recorder.ask(self.command, self.path, headers, body)
        self.send_response(status)
        for name, value in answered.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _relay  # noqa: N815 - what http.server calls them

    def log_message(self, *_: object) -> None:
        pass


class Recorder:
    """A server that asks another one, and remembers what was said.

    Args:
        upstream: The root of the real server.
        hide: Texts that no cassette shall hold, and what stands in their place.

    Attributes:
        url: Its root.
    """

    def __init__(self, upstream: str, hide: Mapping[str, str] | None = None) -> None:
        self._upstream = upstream.rstrip("/")
        self._hide = {urlsplit(upstream).netloc: "recorded", **(hide or {})}
        self._requests: list[Request] = []
        self._responses: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.recorder = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask the real server, note what was said, and return its answer."""
        if key := headers.get("authorization"):
            # A new dict: another request's thread may be reading the old one.
            self._hide = {**self._hide, key: "TOKEN", key.removeprefix("Bearer "): "TOKEN"}
        asked = urllib.request.Request(
            self._upstream + path, body or None, dict(headers), method=method
        )
        try:
            with urllib.request.urlopen(asked, timeout=300) as response:
                status, answered, content = response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            status, answered, content = error.code, error.headers, error.read()
        kept = _kept(answered)
        request = Request(method, f"http://recorded{path}", self.scrub(body), _kept(headers))
        response_ = {
            "status": {"code": status, "message": ""},
            "headers": {name: [value] for name, value in kept.items()},
            "body": {"string": self.scrub(content)},
        }
        with self._lock:
            self._requests.append(request)
            self._responses.append(response_)
        return status, kept, content

    def scrub(self, content: bytes) -> bytes:
        """Return a body without tokens, ids and what is hidden."""
        text = content.decode("utf-8", "replace")
        for secret, name in self._hide.items():
            text = text.replace(secret, name)
        text = _TOKEN.sub("TOKEN", text)
        return _CREATED.sub(r"\g<1>0", _ID.sub(r"\1scrubbed", text)).encode()

    def save(self, path: Path) -> None:
        """Write what was said so far as a cassette, sorted: requests at once have no order."""
        pairs = sorted(zip(self._requests, self._responses, strict=True), key=lambda p: _key(p[0]))
        said = {"requests": [p[0] for p in pairs], "responses": [p[1] for p in pairs]}
        FilesystemPersister.save_cassette(path, said, yamlserializer)


class Player(FakeServer):
    """A server that answers what a cassette holds, matched by method, path and body.

    Equal requests get the recorded answers in turn, the last one again and again.

    Attributes:
        model: The model that was asked, or None if no request names one.
        missing: Requests that the cassette does not hold.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        requests, responses = FilesystemPersister.load_cassette(path, yamlserializer)
        bodies = [json.loads(request.body) for request in requests if request.body]
        self.model: str | None = next((body["model"] for body in bodies if "model" in body), None)
        self.missing: list[str] = []
        self._recorded: dict[tuple[str, str, str], list[Reply]] = {}
        for request, response in zip(requests, responses, strict=True):
            key = _key(request)
            self._recorded.setdefault(key, []).append(_reply(response))
            self.on(request.method, key[1], self._answer)

    def _answer(self, request: Received) -> Reply:
        key = (request.method, request.path, _canonical(request.body))
        replies = self._recorded.get(key)
        if not replies:
            self.missing.append(f"{request.method} {request.path} {request.body.decode()}")
            return Reply({"error": "not recorded"}, status=501)
        return replies.pop(0) if len(replies) > 1 else replies[0]


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower() in HEADERS}


def _key(request: Request) -> tuple[str, str, str]:
    """Return what a request is known by: method, path and body."""
    return request.method, urlsplit(request.uri).path, _canonical(request.body or b"")


def _canonical(body: bytes) -> str:
    """Return what two equal bodies have in common, however their keys are ordered."""
    return json.dumps(json.loads(body), sort_keys=True) if body else ""


def _reply(response: Mapping[str, Any]) -> Reply:
    content: bytes = response["body"]["string"]
    headers = {name: values[0] for name, values in response["headers"].items()}
    streamed = headers.get("content-type", "").startswith("text/event-stream")
    chunks = content.split(b"\n\n") if streamed else []
    events = [chunk + b"\n\n" for chunk in chunks if chunk]
    return Reply(
        content,
        status=response["status"]["code"],
        headers=headers,
        chunks=events if streamed else None,
    )
