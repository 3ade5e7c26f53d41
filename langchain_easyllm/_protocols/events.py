"""What a server's answer is made of, whatever protocol it came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the server reported them."""

    input_tokens: int
    output_tokens: int  # with those of reasoning
    total_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Media:
    """An image, a sound or a film in an answer: by its address, or as base64."""

    kind: str  # `image`, `audio`, `video`
    number: int  # which of the answer's it is
    url: str | None = None
    base64: str | None = None
    mime_type: str | None = None
    id: str | None = None  # the server's own
    transcript: str | None = None  # what is said in it


def add_usage(one: Usage | None, other: Usage | None) -> Usage | None:
    """Return the token counts of two requests; what only one of them reports is its own."""
    if one is None or other is None:
        return one or other
    return Usage(
        one.input_tokens + other.input_tokens,
        one.output_tokens + other.output_tokens,
        one.total_tokens + other.total_tokens,
        _sum(one.cached_tokens, other.cached_tokens),
        _sum(one.reasoning_tokens, other.reasoning_tokens),
        _sum(one.audio_input_tokens, other.audio_input_tokens),
        _sum(one.audio_output_tokens, other.audio_output_tokens),
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else (one or 0) + other


@dataclass(slots=True)
class ToolCallDelta:
    """A tool call, or the next part of one."""

    index: int  # which call of the answer it belongs to
    id: str | None = None  # the call's id; None in all but its first delta
    name: str | None = None
    arguments: str = ""  # the arguments as JSON, or the next part of them
    error: str | None = None  # why the call cannot be run, in its last delta
    unparseable_suffix: str = ""  # beside an `error`: keeps the arguments so far from being read


@dataclass(slots=True)
class Delta:
    """A chunk of an answer that is more than text."""

    text: str = ""
    reasoning: str = ""
    reasoning_field: str | None = None  # the server's name for it
    unopened: bool = False  # whether reasoning ended with a mark that the answer had not opened
    # the server's own blocks of it, which some want back unchanged (`reasoning_details`)
    reasoning_details: tuple[Mapping[str, object], ...] = ()
    refusal: str = ""  # why the model does not answer, in its own words
    media: tuple[Media, ...] = ()
    media_parts: tuple[Mapping[str, object], ...] = ()  # the same as the server sent it, or pieces
    whole: bool = False  # whether it is a whole message, with a finish reason
    repeats: bool = False  # whether it is a whole message, which may repeat what was streamed
    tool_calls: tuple[Mapping[str, object], ...] = ()
    calls: tuple[ToolCallDelta, ...] = ()  # calls, or parts of them, as the reader hands them on
    finish_reason: str | None = None  # `stop`, `length`, ...; None while open
    logprobs: Mapping[str, object] | None = None  # in OpenAI's chat format (`{"content": [...]}`)
    usage: Usage | None = None
    model: str | None = None
    index: int = 0  # which of several answers this belongs to
    extra: Mapping[str, object] | None = None  # `system_fingerprint`, `seed`, ...


@dataclass(frozen=True, slots=True)
class Failure:
    """The server's own report, inside an answer of status 200, that it failed."""

    payload: bytes
    finish_reason: str | None = None  # all that it says, if it says no more (`abort`)
    text: str = ""  # text of the answer that came with it


Event = str | Delta | Failure | None
"""A decoded event: plain text, anything richer, a failure, or nothing of interest."""


class Decoder(Protocol):
    """Reads one protocol's events. One decoder serves one answer."""

    done: bool
    """Whether the server said that the answer is complete."""

    closed: bool
    """Whether it also said that nothing more comes (`[DONE]`)."""

    unread: bytes | None
    """An event that is none of this protocol, if one came."""

    def read(self, data: bytes) -> Event:
        """Decode the data of one event of a stream."""

    def read_whole(self, body: bytes) -> list[Delta] | Failure:
        """Decode an answer that was not streamed: one delta for each completion."""


FAILED = frozenset({"abort", "aborted", "cancelled", "canceled", "error"})
"""Finish reasons of an answer that the server broke off."""

_FINISH = {
    "eos_token": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "function_call": "tool_calls",
    "max_tokens": "length",
}


def finish_reason(word: object) -> str | None:
    """Return the common name of a server's finish reason (`stop`, `length`, `tool_calls`, ...)."""
    if not isinstance(word, str) or not word:
        return None
    return _FINISH.get(word, word)


def reports_failure(answer: Mapping[str, object]) -> bool:
    """Whether JSON without an answer reports a failure, in one of the servers' shapes."""
    if any(answer.get(name) for name in ("error", "errors", "detail")):
        return True
    if answer.get("object") == "error" or answer.get("success") is False:
        return True
    if answer.get("message") and any(name in answer for name in ("code", "type", "status")):
        return True
    result = answer.get("base_resp")  # whose status stands beside every answer
    state = result.get("status_code") if isinstance(result, Mapping) else None
    return any(_is_failing(code) for code in (state, answer.get("msg") and answer.get("code")))


def _is_failing(code: object) -> bool:
    """Whether a server's own code says that it failed: 0 and 200 are successes."""
    return isinstance(code, int | str) and code not in (0, 200, "", "0", "200")
