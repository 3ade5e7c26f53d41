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
from ..errors import ProtocolError
from .events import Delta, Event, Failure, Usage, finish_reason
from .json import parse_object
from .request import ProtocolRequest, to_fields
from .tool_choice import to_tool_fields, to_tool_messages

_Json = Mapping[str, object]
_DONE = b"[DONE]"
_EXTRA = ("system_fingerprint", "service_tier")


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
    if request.stops:
        body["stop"] = list(request.stops)
    if request.stream:
        body["stream"] = True
        if request.usage and server.profile.api(request.api).usage_option:
            body["stream_options"] = {"include_usage": True}
        body.pop("echo", None)  # a stream's own echo is put before its first chunk here
    return _merge(body, request.extra)


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
        # The first chunk is read whole: it says which model answers.
        text = self._plain(choice) if self._named else None
        self._named = True
        if text is not None and not chunk.get("usage"):
            return text or None
        if chunk.get("error"):  # some report it in a last chunk with an empty choice
            return Failure(data)
        delta = self._delta(chunk, choice)
        if delta.index:  # one answer is streamed; this belongs to another
            return Delta(usage=delta.usage) if delta.usage else None
        if delta.finish_reason:
            self.done = True
        return delta

    def read_whole(self, body: bytes) -> list[Delta] | Failure:
        answer = parse_object(body)
        if answer.get("error") or answer.get("object") == "error":
            return Failure(body)
        choices = answer.get("choices")
        if isinstance(choices, list) and choices:
            self.done = True
            if not all(self._holds_answer(choice) for choice in choices):
                raise TypeError(choices)  # the reader's error: JSON of another protocol
            return [self._delta(answer, choice) for choice in choices]
        raise ProtocolError(
            "The server's answer holds no choices: is base_url an OpenAI-style server?",
            body=body[:2000].decode("utf-8", "replace"),
        )

    def _without_choices(self, chunk: _Json, data: bytes) -> Event:
        usage = usage_of(chunk.get("usage"))
        if usage:
            return Delta(usage=usage)
        if chunk.get("error") or chunk.get("object") == "error":
            return Failure(data)
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
        extra = {key: chunk[key] for key in _EXTRA if chunk.get(key)}
        model = chunk.get("model")
        index = choice.get("index")
        return Delta(
            finish_reason=finish_reason(choice.get("finish_reason")),
            usage=usage_of(chunk.get("usage") or choice.get("usage")),
            model=model if isinstance(model, str) and model else None,
            index=index if isinstance(index, int) else 0,
            extra=extra or None,
        )


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
                if type(content) is str:
                    return content or None
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
        message = cast("_Json", choice.get("delta") or choice.get("message") or {})
        result.text = _text_of(message.get("content"))
        for name in ("reasoning_content", "reasoning"):
            reasoning = message.get(name)
            if isinstance(reasoning, str) and reasoning:
                result.reasoning, result.reasoning_field = reasoning, name
                break
        calls = message.get("tool_calls")
        if isinstance(calls, Mapping):  # TGI 2 streamed one call outside a list
            calls = [calls]
        elif not calls and isinstance(message.get("function_call"), Mapping):
            calls = [{"function": message["function_call"]}]  # OpenAI's form before tools
        if isinstance(calls, list):
            result.tool_calls = tuple(call for call in calls if call and isinstance(call, Mapping))
        logprobs = choice.get("logprobs")
        if isinstance(logprobs, Mapping) and isinstance(logprobs.get("content"), list):
            # Lists only: langchain-core cannot merge chunks whose values have different types.
            lists = {key: x for key, x in logprobs.items() if x is None or isinstance(x, list)}
            result.logprobs = lists if lists["content"] else None
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
        result.text = _text_of(choice.get("text"))
        result.logprobs = _completions_logprobs(choice.get("logprobs"))
        return result


def _text_of(content: object) -> str:
    """Return a content's text: a string, or OpenAI's list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, Mapping))
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def _completions_logprobs(value: object) -> dict[str, object] | None:
    """Bring completions' parallel lists into chat's list of tokens."""
    if not isinstance(value, Mapping) or not value.get("tokens"):
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
    prompt, answer = value.get("prompt_tokens"), value.get("completion_tokens")
    total = value.get("total_tokens")
    if not isinstance(answer, int) and isinstance(prompt, int) and isinstance(total, int):
        answer = total - prompt
    if not isinstance(prompt, int) or not isinstance(answer, int):
        return None
    return Usage(
        prompt,
        answer,
        total if isinstance(total, int) else prompt + answer,
        cached_tokens=_detail(value, "prompt_tokens_details", "cached_tokens"),
        reasoning_tokens=_detail(value, "completion_tokens_details", "reasoning_tokens"),
    )


def _detail(usage: _Json, group: str, name: str) -> int | None:
    details = usage.get(group)
    count = details.get(name) if isinstance(details, Mapping) else None
    return count if isinstance(count, int) else None
