"""What a server's answer is made of, whatever protocol it came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Decoder", "Delta", "Event", "Failure", "ToolCallDelta", "Usage", "finish_reason"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the server reported them.

    Attributes:
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of the answer, its thinking included.
        total_tokens: Both.
        cached_tokens: Tokens of the prompt that were read from a cache; None if not said.
        reasoning_tokens: Tokens of the answer that were thinking; None if not said.
    """

    input_tokens: int
    output_tokens: int
    total_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(slots=True)
class ToolCallDelta:
    """A tool call, or a piece of one.

    Attributes:
        index: Which call of the answer it belongs to.
        id: The call's id; None in all but its first piece.
        name: The tool's name; None in all but the first piece.
        arguments: The arguments as JSON, or the next piece of them.
        error: Why the call cannot be run, in its last piece.
        ending: What makes the arguments streamed so far unreadable, beside an `error`.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    error: str | None = None
    ending: str = ""


@dataclass(slots=True)
class Delta:
    """One piece of an answer that is more than text.

    Attributes:
        text: Text of the answer.
        reasoning: Text of the model's thinking, kept apart by the server.
        reasoning_field: Name the server used for it (`reasoning` or `reasoning_content`).
        tool_calls: Tool calls as the server sent them, on their way to the reader.
        calls: Tool calls, or pieces of them, as the reader hands them on.
        finish_reason: `stop`, `length`, `tool_calls` or the server's own word; None while open.
        logprobs: Log probabilities in OpenAI's chat shape (`{"content": [...]}`).
        usage: Token counts.
        model: Name of the model that answers.
        index: Which of several answers this belongs to.
        extra: Other facts of the answer (`system_fingerprint`, `seed`, ...).
    """

    text: str = ""
    reasoning: str = ""
    reasoning_field: str | None = None
    tool_calls: tuple[Mapping[str, object], ...] = ()
    calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: str | None = None
    logprobs: Mapping[str, object] | None = None
    usage: Usage | None = None
    model: str | None = None
    index: int = 0
    extra: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The server's own report, inside an answer of status 200, that it failed.

    Attributes:
        payload: The report as it came.
    """

    payload: bytes


Event = str | Delta | Failure | None
"""A decoded event: plain text, anything richer, a failure, or nothing of interest."""


class Decoder(Protocol):
    """Reads one protocol's events. One decoder serves one answer."""

    done: bool
    """Whether the server said that the answer is complete."""

    closed: bool
    """Whether it also said that nothing more comes (`[DONE]`)."""

    def read(self, data: bytes) -> Event:
        """Decode the data of one event of a stream."""

    def read_whole(self, body: bytes) -> list[Delta] | Failure:
        """Decode an answer that was not streamed: one delta for each completion."""


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
