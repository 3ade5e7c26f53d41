"""TGI's own protocol: `/generate`, `/generate_stream`, and both at the root route.

Format: the OpenAPI document of Text Generation Inference 3 (`GenerateRequest`, `StreamResponse`).
The root route, which dedicated endpoints offer for every text-generation server, takes the same
body with `stream` beside it and answers a list of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import orjson

from .._servers.profile import GenerationApi, ServerInfo
from .events import Delta, Event, Failure, Usage, finish_reason, reports_failure
from .json import count_of, holds_no_answer, parse_json, parse_object, text_of
from .request import ProtocolRequest, to_fields

_Json = Mapping[str, object]
_TOP_LEVEL = frozenset({"inputs", "parameters", "stream", "options"})


def to_body(request: ProtocolRequest, server: ServerInfo) -> dict[str, object]:
    parameters: dict[str, object] = {}
    limit = server.profile.api(GenerationApi.GENERATE).default_max_tokens
    if limit and request.default_limit:
        parameters["max_new_tokens"] = limit
    parameters.update(to_fields(GenerationApi.GENERATE, server, request.params))
    if request.details:
        parameters["details"] = True  # without them there is no finish reason
    if request.stops:
        parameters["stop"] = list(request.stops)
    if request.stream:
        # A stream's prompt is put before its first chunk here; TGI does not repeat it.
        parameters.pop("return_full_text", None)
    body: dict[str, object] = {"inputs": request.prompt, "parameters": parameters}
    for key, value in request.extra.items():
        if key == "parameters" and isinstance(value, Mapping):
            parameters.update(value)
        elif key in _TOP_LEVEL:
            body[key] = value
        else:
            parameters[key] = value
    return body


class GenerateDecoder:
    def __init__(self, *, logprobs: bool = False) -> None:
        self.done = False
        self.closed = False
        self.unread: bytes | None = None
        # whether to keep the tokens' log probabilities, which TGI always sends
        self._logprobs = logprobs

    def read(self, data: bytes) -> Event:
        """Decode one event: a token, and with the last one the details of the answer."""
        try:  # nearly every event is one more token
            event = orjson.loads(data)
            token = event["token"]
            last = event.get("details") is not None or event.get("generated_text") is not None
            if not (last or self._logprobs or token["special"]):
                text = token["text"]
                if type(text) is str:
                    return text or None
        except (AttributeError, KeyError, TypeError, orjson.JSONDecodeError):
            return self._read_oddity(data)
        return self._read_event(event, data)

    def _read_oddity(self, data: bytes) -> Event:
        """Decode what is no event of a token: the end, a failure, or JSON of odd form."""
        if data == b"[DONE]":
            self.done = self.closed = True
            return None
        return self._read_event(parse_object(data), data)

    def _read_event(self, event: _Json, data: bytes) -> Event:
        token = event.get("token")
        if token is None:
            return self._without_token(event, data)
        if not isinstance(token, dict):
            raise TypeError(token)
        text = "" if token.get("special") else text_of(token.get("text"))
        last = event.get("details") is not None or event.get("generated_text") is not None
        if not last and not self._logprobs:
            return text or None
        delta = self._last(event) if last else Delta()
        delta.text = text
        if self._logprobs and not token.get("special"):
            tops = cast("list[_Json]", event.get("top_tokens") or [])
            delta.logprobs = {"content": [_logprob(token, tops)]}
        return delta

    def read_whole(self, body: bytes) -> list[Delta] | Failure:
        value = parse_json(body)
        answers = value if isinstance(value, list) else [value]
        if answers and all(isinstance(a, dict) and "generated_text" in a for a in answers):
            self.done = True
            return _counted_together([self._answer(cast("_Json", answer)) for answer in answers])
        if isinstance(value, dict) and reports_failure(value):
            return Failure(body)
        raise holds_no_answer(body, "generated_text", "is base_url a text-generation server?")

    def _without_token(self, event: _Json, data: bytes) -> Event:
        if reports_failure(event):
            return Failure(data)
        if "generated_text" in event:  # a server that answers a stream in one chunk
            delta = self._last(event)
            delta.text = text_of(event["generated_text"])
            return delta
        self.unread = data if event else self.unread
        return None

    def _last(self, event: _Json) -> Delta:
        self.done = True
        details = cast("_Json", event.get("details") or {})
        delta = _summary(details, details.get("input_length"))
        delta.finish_reason = delta.finish_reason or "stop"
        return delta

    def _answer(self, answer: _Json) -> Delta:
        details = cast("_Json", answer.get("details") or {})
        tokens = cast("list[_Json]", details.get("tokens") or [])
        tops = cast("list[list[_Json]]", details.get("top_tokens") or [[]] * len(tokens))
        prefill = details.get("prefill")
        # One token may be what the decoder of an encoder-decoder model begins with.
        read = len(prefill) if isinstance(prefill, list) else 0
        delta = _summary(details, read if read > 1 else details.get("input_length"))
        delta.text = text_of(answer["generated_text"])
        if self._logprobs and tokens:
            pairs = zip(tokens, tops, strict=False)
            content = [_logprob(t, top) for t, top in pairs if not t.get("special")]
            delta.logprobs = {"content": content}
        return delta


def _summary(details: _Json, read: object) -> Delta:
    """Return what the details say of an answer, `read` being the number of prompt tokens."""
    counts = count_of(read), count_of(details.get("generated_tokens"))
    usage = None
    if counts[0] is not None and counts[1] is not None:
        usage = Usage(counts[0], counts[1], counts[0] + counts[1])
    kept = {
        key: details[key] for key in ("generated_tokens", "seed") if details.get(key) is not None
    }
    reason = finish_reason(details.get("finish_reason"))
    return Delta(finish_reason=reason, usage=usage, extra=kept or None)


def _counted_together(deltas: list[Delta]) -> list[Delta]:
    """Give each of several answers to one prompt the token counts of the request."""
    counts = [delta.usage for delta in deltas if delta.usage]
    if len(counts) > 1:
        read, written = counts[0].input_tokens, sum(usage.output_tokens for usage in counts)
        for delta in deltas:
            delta.usage = Usage(read, written, read + written)
    return deltas


def _logprob(token: _Json, tops: list[_Json]) -> dict[str, object]:
    return {
        "token": token.get("text"),
        "logprob": token.get("logprob"),
        "top_logprobs": [{"token": t.get("text"), "logprob": t.get("logprob")} for t in tops],
    }
