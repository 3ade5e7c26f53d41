"""The two OpenAI-style protocols: chat completions and (text) completions.

Format: OpenAI's API reference, as TGI, vLLM, llama.cpp, `transformers serve` and Inference
Providers send it: any key may be absent or null, a first chunk may hold a role only, usage comes
with the last chunk or in a chunk without choices, and not every server closes with `[DONE]`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import cast

import orjson

from .._servers.profile import GenerationApi, ServerInfo
from .events import FAILED, Delta, Event, Failure, Usage, finish_reason, reports_failure
from .json import count_of, holds_no_answer, parse_object, text_of
from .media import media_parts
from .request import ProtocolRequest, to_fields
from .tool_choice import to_tool_fields, to_tool_messages

_Json = Mapping[str, object]
_DONE = b"[DONE]"
_NOTHING: _Json = {}
# What is handed on beside the answer: who gave it, and where its time went (`timings` are
# llama.cpp's, `time_info` Cerebras', `x_groq` Groq's).
_EXTRA = (
    *("id", "system_fingerprint", "service_tier", "provider"),
    *("timings", "time_info", "x_groq"),
)


def to_body(request: ProtocolRequest, server: ServerInfo) -> dict[str, object]:
    body: dict[str, object] = {}
    if request.model is not None:
        body["model"] = request.model
    if request.api is GenerationApi.CHAT:
        body["messages"] = to_tool_messages(request.messages or (), server.profile)
    else:
        body["prompt"] = request.prompt
    if request.tools and request.api is GenerationApi.CHAT and not request.prompted_tools:
        body.update(to_tool_fields(request, server.profile))
    body.update(to_fields(request.api, server, request.params))
    key = request.default_limit
    if key and "max_tokens" not in body and (limit := _default_limit(request, server)):
        body[key] = limit
    if request.stops:
        body["stop"] = list(request.stops)
    if request.stream:
        body["stream"] = True
        if request.usage and server.profile.api(request.api).usage_option:
            body["stream_options"] = {"include_usage": True}
        body.pop("echo", None)  # a stream's own echo is put before its first chunk here
    return _merge(body, request.extra)


SHORTEST = 16
"""Tokens of an answer that a server gives without a limit of ours."""


def _default_limit(request: ProtocolRequest, server: ServerInfo) -> int | None:
    """Return the limit that is sent where the caller has none; None to leave it to the server.

    It is lower where prompt and answer will hardly fit into the context, which is an error.
    """
    limit = server.profile.api(request.api).default_max_tokens
    if not request.extra.keys().isdisjoint({"max_tokens", "max_completion_tokens"}):
        return None
    if limit is None:
        return None
    if server.max_total_tokens is not None:
        limit = max(min(limit, server.max_total_tokens - _estimated_tokens(request)), SHORTEST)
    least = request.params.get("min_tokens")
    return max(limit, least) if isinstance(least, int) else limit


def _estimated_tokens(request: ProtocolRequest) -> int:
    """Estimate the length of a prompt: four bytes of ASCII or three of other text are a token."""
    prompt = request.prompt or ""
    plain = len(prompt.encode("ascii", "ignore"))
    tokens = plain // 4 + (len(prompt.encode("utf-8", "replace")) - plain) // 3
    most = request.params.get("truncate")
    return min(tokens, most) if isinstance(most, int) and most > 0 else tokens


def _merge(body: dict[str, object], extra: _Json) -> dict[str, object]:
    for key, value in extra.items():
        mine = body.get(key)
        if isinstance(mine, dict) and isinstance(value, Mapping):
            body[key] = {**mine, **value}
        else:
            body[key] = value
    return body


class _OpenAIDecoder(ABC):
    """What both protocols share; a subclass reads one choice."""

    def __init__(self) -> None:
        self.done = False
        self.closed = False
        self.unread: bytes | None = None
        self._named = False

    def read(self, data: bytes) -> Event:
        if data == _DONE:
            # llama-cpp-python also writes this when it breaks an answer off: only after a finish
            # reason is it worth not waiting for the end of the stream itself.
            self.closed = self.done
            self.done = True
            return None
        return self._read_chunk(parse_object(data), data)

    def _read_chunk(self, chunk: _Json, data: bytes) -> Event:
        choices = chunk.get("choices")
        if not choices:
            return self._without_choices(chunk, data)
        choice: _Json = choices[0]  # type: ignore[index]  # another type is the reader's error
        if failure := self._failure(chunk, choice, data):
            return failure
        # The first chunk is read whole: it says which model answers.
        text = self._plain(choice) if self._named else None
        self._named = True
        if text is not None and not chunk.get("usage"):
            return text or None
        delta = self._delta(chunk, choice)
        if delta.index:  # one answer is streamed; this belongs to another
            return Delta(usage=delta.usage) if delta.usage else None
        if delta.finish_reason:
            self.done = True
        return delta

    def read_whole(self, body: bytes) -> list[Delta] | Failure:
        answer = parse_object(body)
        choices = answer.get("choices")
        if isinstance(choices, list) and choices:
            self.done = True
            for choice in choices:
                if failure := self._failure(answer, choice, body):
                    return failure
            if not all(self._holds_answer(choice) for choice in choices):
                raise TypeError(choices)  # the reader's error: JSON of another protocol
            return [self._delta(answer, choice) for choice in choices]
        if reports_failure(answer):
            return Failure(body)
        raise holds_no_answer(body, "choices", "is base_url an OpenAI-style server?")

    def _without_choices(self, chunk: _Json, data: bytes) -> Event:
        if reports_failure(chunk):
            return Failure(data)
        usage = usage_of(chunk.get("usage"))
        if chunk and chunk.get("choices") is None and usage is None:
            self.unread = data
        return Delta(usage=usage, extra=_beside(chunk)) if usage else None

    def _failure(self, chunk: _Json, choice: _Json, data: bytes) -> Failure | None:
        """Return the server's report of a failure that stands beside or inside a choice."""
        word = choice.get("finish_reason")
        if chunk.get("error") or chunk.get("object") == "error":
            return Failure(data, text=self._delta(chunk, choice).text)
        if choice.get("error"):
            inner = orjson.dumps({"error": choice["error"]})
            return Failure(inner, text=self._delta(chunk, choice).text)
        if word and word in FAILED:
            return Failure(data, str(word), self._delta(chunk, choice).text)
        return None

    @abstractmethod
    def _holds_answer(self, choice: _Json) -> bool:
        """Whether a choice of a whole answer holds what this protocol calls the answer."""

    @abstractmethod
    def _plain(self, choice: _Json) -> str | None:
        """Return a choice's text if it holds nothing else."""

    @abstractmethod
    def _delta(self, chunk: _Json, choice: _Json) -> Delta:
        """Return a choice with all that it holds."""

    def _rest(self, chunk: _Json, choice: _Json) -> Delta:
        """Return a delta of what surrounds a choice's own content."""
        model = chunk.get("model")
        index = choice.get("index")
        return Delta(
            finish_reason=finish_reason(choice.get("finish_reason")),
            usage=usage_of(chunk.get("usage") or choice.get("usage") or _groq_usage(chunk)),
            model=model if isinstance(model, str) and model else None,
            index=index if isinstance(index, int) else 0,
            extra=_beside(chunk),
        )


def _beside(chunk: _Json) -> dict[str, object] | None:
    """Return what a server says beside its answer."""
    found = {key: chunk[key] for key in _EXTRA if chunk.get(key)}
    usage = chunk.get("usage")
    if isinstance(usage, dict) and "total_time" in usage and "timings" not in found:
        # Groq and others put their times between the counts.
        found["timings"] = {
            key: value
            for key, value in usage.items()
            if key.endswith("_time") and isinstance(value, int | float)
        }
    return found or None


def _groq_usage(chunk: _Json) -> object:
    own = chunk.get("x_groq")
    return own.get("usage") if isinstance(own, Mapping) else None


class ChatDecoder(_OpenAIDecoder):
    def read(self, data: bytes) -> Event:
        if not self._named:
            return super().read(data)
        try:  # nearly every chunk is some more text
            chunk = orjson.loads(data)
            choice = chunk["choices"][0]
            delta = choice["delta"]
            alone = len(delta) == 1 or (len(delta) == 2 and "role" in delta)
            get = choice.get
            if alone and not (
                get("index") or get("finish_reason") or get("logprobs") or chunk.get("usage")
            ):
                content = delta["content"]
                # A chunk of no text may say something else: that the server failed, say.
                if type(content) is str and content and "error" not in chunk:
                    return content
        except (IndexError, KeyError, TypeError, orjson.JSONDecodeError):
            return super().read(data)
        return self._read_chunk(chunk, data)

    def _holds_answer(self, choice: _Json) -> bool:
        return isinstance(choice.get("message") or choice.get("delta"), Mapping)

    def _plain(self, choice: _Json) -> str | None:
        delta = choice.get("delta")
        if _says_more(choice) or not isinstance(delta, dict):
            return None
        if any(value for key, value in delta.items() if key not in ("content", "role")):
            return None
        return _string_or_none(delta.get("content"))

    def _delta(self, chunk: _Json, choice: _Json) -> Delta:
        result = self._rest(chunk, choice)
        delta = choice.get("delta")
        message = cast("_Json", delta or choice.get("message") or {})
        result.repeats = not delta and "delta" in choice and bool(message)
        result.whole = not delta and bool(message) and result.finish_reason is not None
        result.text = text_of(message.get("content"))
        result.refusal = _refusal_of(message)
        result.media_parts = media_parts(message)
        _read_reasoning(message, result)
        calls = message.get("tool_calls")
        if isinstance(calls, Mapping):  # TGI 2 streamed one call outside a list
            calls = [calls]
        elif not calls and isinstance(message.get("function_call"), Mapping):
            calls = [{"function": message["function_call"]}]  # OpenAI's form before tools
        if isinstance(calls, list):
            result.tool_calls = tuple(call for call in calls if call and isinstance(call, Mapping))
        result.logprobs = _logprobs(choice.get("logprobs"))
        return result


def _says_more(choice: _Json) -> object:
    return choice.get("finish_reason") or choice.get("logprobs") or choice.get("index")


def _string_or_none(text: object) -> str | None:
    return text if isinstance(text, str) else "" if text is None else None


class CompletionsDecoder(_OpenAIDecoder):
    def _holds_answer(self, choice: _Json) -> bool:
        return "text" in choice

    def _plain(self, choice: _Json) -> str | None:
        return None if _says_more(choice) else _string_or_none(choice.get("text"))

    def _delta(self, chunk: _Json, choice: _Json) -> Delta:
        result = self._rest(chunk, choice)
        result.text = text_of(choice.get("text"))
        result.logprobs = _logprobs(choice.get("logprobs"))
        return result


THINKING_BLOCK = "thinking_block"
"""The `reasoning_field` of reasoning that came as a part of the content (Mistral)."""


def _read_reasoning(message: _Json, result: Delta) -> None:
    details = message.get("reasoning_details")
    if isinstance(details, list):
        result.reasoning_details = tuple(item for item in details if isinstance(item, Mapping))
    content = message.get("content")
    parts = content if isinstance(content, list) else ()
    thinking = [part.get("thinking") for part in parts if isinstance(part, Mapping)]
    found = {
        **{
            name: _reasoning_of(message.get(name))
            for name in ("reasoning_content", "reasoning", "thinking")
        },
        "reasoning_details": "".join(map(_text_of_detail, result.reasoning_details)),
        THINKING_BLOCK: "".join(map(text_of, thinking)),
    }
    for name, text in found.items():
        if text:
            result.reasoning, result.reasoning_field = text, name
            return


def _reasoning_of(value: object) -> str:
    """Return the text of a reasoning field, whatever it is wrapped in."""
    if isinstance(value, Mapping):
        inner = (value.get(key) for key in ("text", "content", "thinking", "summary"))
        return next((text_of(text) for text in inner if text), "")
    return "" if isinstance(value, bool) else text_of(value)


def _refusal_of(message: _Json) -> str:
    if isinstance(refusal := message.get("refusal"), str) and refusal:
        return refusal
    content = message.get("content")
    parts = content if isinstance(content, list) else ()
    return "".join(
        text_of(part.get("refusal"))
        for part in parts
        if isinstance(part, Mapping) and part.get("type") == "refusal"
    )


def _text_of_detail(detail: _Json) -> str:
    return text_of(detail.get("text") or detail.get("summary"))


def _logprobs(value: object) -> dict[str, object] | None:
    """Return chat's list of tokens, into which completions' parallel lists are brought.

    llama.cpp has chat's form on both routes, llama-cpp-python had completions' form on both.
    """
    if not isinstance(value, Mapping):
        return None
    if isinstance(value.get("content"), list):
        # Lists only: langchain-core cannot merge chunks whose values have different types.
        lists: dict[str, object] = {
            key: x for key, x in value.items() if x is None or isinstance(x, list)
        }
        return lists if lists["content"] else None
    if not value.get("tokens"):
        return None
    tokens = cast("list[str]", value["tokens"])
    logprobs = cast("list[float | None]", value.get("token_logprobs") or [None] * len(tokens))
    tops = cast(
        "list[Mapping[str, float] | None]", value.get("top_logprobs") or [None] * len(tokens)
    )
    content = [
        {
            "token": token,
            "logprob": logprob,
            "top_logprobs": [{"token": t, "logprob": p} for t, p in (top or {}).items()],
        }
        for token, logprob, top in zip(tokens, logprobs, tops, strict=False)
    ]
    return {"content": content}


def usage_of(value: object) -> Usage | None:
    """Read OpenAI's `usage` object; None if the server did not count prompt and answer."""
    if not isinstance(value, Mapping):
        return None
    prompt, answer = count_of(value.get("prompt_tokens")), count_of(value.get("completion_tokens"))
    total = count_of(value.get("total_tokens"))
    if answer is None and prompt is not None and total is not None:
        answer = total - prompt
    if prompt is None or answer is None:
        return None
    read, written = value.get("prompt_tokens_details"), value.get("completion_tokens_details")
    read = read if isinstance(read, dict) else _NOTHING
    written = written if isinstance(written, dict) else _NOTHING
    return Usage(
        prompt,
        answer,
        prompt + answer if total is None else total,
        cached_tokens=count_of(read.get("cached_tokens")),
        reasoning_tokens=count_of(written.get("reasoning_tokens")),
        audio_input_tokens=count_of(read.get("audio_tokens")),
        audio_output_tokens=count_of(written.get("audio_tokens")),
    )
