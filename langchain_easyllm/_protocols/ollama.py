"""Ollama's own protocol for a prompt: `/api/generate` with `raw`, which renders no template.

Format: the request and response types in Ollama's source. A stream is JSON lines; sampling fields
are `options`; an error is `{"error": "..."}`, also as a line of a stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import orjson

from .._servers.profile import CLIENT_SIDE, ServerInfo
from ..errors import ProtocolError
from .events import Delta, Event, Failure, Usage, finish_reason, reports_failure
from .json import count_of, parse_object, text_of
from .request import ProtocolRequest, to_fields

_Json = Mapping[str, object]
_TOP_LEVEL = frozenset(
    {
        *("model", "prompt", "suffix", "images", "system", "template", "context", "stream", "raw"),
        *("format", "keep_alive", "think", "options", "truncate", "shift"),
        *("logprobs", "top_logprobs"),
    }
)
# Where the time of an answer went, in nanoseconds.
_EXTRA = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


def to_body(request: ProtocolRequest, server: ServerInfo) -> dict[str, object]:
    body: dict[str, object] = {"prompt": request.prompt, "raw": True, "stream": request.stream}
    if request.model is not None:
        body["model"] = request.model
    # Otherwise a model that can think has its tags taken out of the text, in some versions.
    body["think"] = False
    options: dict[str, object] = {}
    fields = to_fields(request.api, server, request.params)
    fields.pop(CLIENT_SIDE, None)  # the prompt is put before the answer here
    if count := fields.get("top_logprobs"):
        body.update(logprobs=True, top_logprobs=count)
    if request.stops:
        options["stop"] = list(request.stops)
    for key, value in [*fields.items(), *request.extra.items()]:
        if key == "options" and isinstance(value, Mapping):
            options.update(value)
        elif key in _TOP_LEVEL:
            body[key] = value
        else:
            options[key] = value
    if options:
        body.setdefault("options", options)
    return body


class OllamaDecoder:
    def __init__(self) -> None:
        self.done = False
        self.closed = False
        self.unread: bytes | None = None

    def read(self, data: bytes) -> Event:
        try:  # nearly every line is some more text
            line = orjson.loads(data)
            text = line["response"]
            get = line.get
            plain = not (get("done") or get("thinking") or get("logprobs") or get("error"))
            if plain and type(text) is str:
                return text or None
        except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError):
            line = parse_object(data)
        if "response" not in line or line.get("error"):
            if reports_failure(line):
                return Failure(data)
            self.unread = data
            return None
        return self._delta(line)

    def read_whole(self, body: bytes) -> list[Delta] | Failure:
        answer = parse_object(body)
        if "response" in answer and not answer.get("error"):
            delta = self._delta(answer)
            self.done = True
            return [delta]
        if reports_failure(answer):
            return Failure(body)
        raise ProtocolError(
            "The server's answer holds no response: is base_url an Ollama server?",
            body=body[:2000].decode("utf-8", "replace"),
        )

    def _delta(self, line: _Json) -> Delta:
        delta = Delta(text=text_of(line["response"]))
        if isinstance(thinking := line.get("thinking"), str) and thinking:
            delta.reasoning, delta.reasoning_field = thinking, "thinking"
        tokens = line.get("logprobs")
        if isinstance(tokens, list) and tokens:
            delta.logprobs = {"content": [_logprob(token) for token in tokens]}
        if line.get("done"):
            self.done = self.closed = True
            self._end(line, delta)
        return delta

    def _end(self, line: _Json, delta: Delta) -> None:
        # Older versions give no reason.
        delta.finish_reason = finish_reason(line.get("done_reason")) or "stop"
        read, written = count_of(line.get("prompt_eval_count")), count_of(line.get("eval_count"))
        if read is not None and written is not None:
            delta.usage = Usage(read, written, read + written)
        model = line.get("model")
        delta.model = model if isinstance(model, str) and model else None
        delta.extra = {key: line[key] for key in _EXTRA if line.get(key)} or None


def _logprob(token: object) -> dict[str, object]:
    return {"top_logprobs": [], **cast("dict[str, object]", token)}
