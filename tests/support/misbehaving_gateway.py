"""A gateway before a good server, which loses or changes something on the way.

spoil(fake_server, offline_server.base_url, "loses stop")
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from .fake_server import Cut, FakeServer, Received, Reply

__all__ = ["FAULTS", "spoil"]

Body = dict[str, Any]

CONSTRAINTS = "response_format", "structured_outputs", "guided_regex"


def _without(*names: str) -> Callable[[Body], None]:
    def drop(body: Body) -> None:
        for name in names:
            body.pop(name, None)

    return drop


def _dear(body: Body) -> None:
    body["usage"]["completion_tokens"] += 9000
    body["usage"]["total_tokens"] += 9000


def _empty(body: Body) -> None:
    body["choices"][0]["message"]["content"] = ""


FAULTS: dict[str, tuple[Callable[[Body], None] | None, Callable[[Body], None] | None]] = {
    "loses stop": (_without("stop"), None),
    "loses tools": (_without("tools", "tool_choice"), None),
    "loses constraints": (_without(*CONSTRAINTS), None),
    "loses stream_options": (_without("stream_options"), None),
    "counts wrong": (None, _dear),
    "loses text": (None, _empty),
    "cuts streams": (None, None),
}
"""What becomes of a request, and of a whole answer, by what is wrong."""


def spoil(server: FakeServer, behind: str, fault: str) -> None:
    """Make `server` a gateway before another server, at fault in its chat.

    Args:
        server: The gateway.
        behind: The root of the server behind it, one like vLLM.
        fault: A key of `FAULTS`.
    """
    change_request, change_answer = FAULTS[fault]

    def forward(request: Received) -> Reply:
        body = json.loads(request.body) if request.body else None
        if body is not None and change_request is not None:
            change_request(body)
        data = None if body is None else json.dumps(body).encode()
        sent = urllib.request.Request(behind + request.path, data)
        sent.add_header("content-type", "application/json")
        try:
            with urllib.request.urlopen(sent) as response:
                status, kind, answer = 200, response.headers["content-type"], response.read()
        except urllib.error.HTTPError as error:
            status, kind, answer = error.code, error.headers["content-type"], error.read()
        if body is not None and body.get("stream") and fault == "cuts streams":
            return Reply(chunks=[answer[: len(answer) // 2], Cut()], headers={"content-type": kind})
        if body is not None and not body.get("stream") and change_answer and status == 200:
            value = json.loads(answer)
            change_answer(value)
            answer = json.dumps(value).encode()
        return Reply(answer, status=status, headers={"content-type": kind})

    for path in ("/info", "/v1/models", "/version", "/metrics"):
        server.on("GET", path, forward)
    server.on("POST", "/v1/chat/completions", forward)
