"""What a model object wants of a server: one generation as a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from .._protocols.request import Message, Tool, ToolChoice
    from .._servers.profile import GenerationApi, ServerInfo
    from .._structured_output.schema import OutputSchema
    from .._tool_formats.base import OfferedTools, ToolCallFormat

__all__ = ["GenerationRequest", "RenderedPrompt", "Shaping"]


class RenderedPrompt(NamedTuple):
    """A prompt as it is sent.

    Attributes:
        text: The prompt.
        stops: Stop sequences of its template, and of the convention for tools.
        form: The convention in which it tells tools; None where it tells none.
    """

    text: str
    stops: tuple[str, ...]
    form: ToolCallFormat | None = None


@dataclass(slots=True)
class GenerationRequest:
    """One generation as a model object wants it, before a protocol is chosen.

    Attributes:
        api: The protocol, or None to choose it by the server.
        text: Whether a text protocol is wanted where the choice is free.
        template: Whether the caller chose a prompt template, which only a text protocol can use.
        model: The caller's model name, or None.
        provider: Inference Providers selection, or None.
        params: Neutral generation fields that are set.
        stops: The caller's stop sequences.
        tools: Tools that the model may call, in OpenAI's shape.
        tool_choice: `"auto"`, `"none"`, `"required"`, OpenAI's dict that names a tool, or None.
        parallel_tool_calls: Whether one answer may hold several calls; None for the default.
        extra: The caller's own keys for the body.
        usage: Whether a stream should end with token counts.
        to_text: Renders the prompt, with tools where there are any.
        to_messages: Converts the input to chat messages.
        timeout: Seconds the call may take; None for no limit.
        max_retries: Further attempts after a failure that may pass.
        wait_for_model: Seconds that a cold start may take.
        unchecked: Fields of `params` that a protocol without a name for them is sent as they are,
            and the key that each is sent under.
        defaults: Generation fields that nobody asked for, sent where the protocol has them.
        parse_tool_calls: The convention in which calls in the text are read; see `EasyLLMChat`.
        shaping: The shape that the answer is to have, or None.
    """

    api: GenerationApi | None
    text: bool
    template: bool
    model: str | None
    provider: str | None
    params: Mapping[str, object]
    stops: tuple[str, ...]
    tools: tuple[Tool, ...]
    tool_choice: ToolChoice | None
    parallel_tool_calls: bool | None
    extra: Mapping[str, object]
    usage: bool
    to_text: Callable[[ServerInfo | None, OfferedTools | None], RenderedPrompt]
    to_messages: Callable[[], Sequence[Message]]
    timeout: float | None
    max_retries: int
    wait_for_model: float
    unchecked: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    parse_tool_calls: str | None = None
    shaping: Shaping | None = None


@dataclass(frozen=True, slots=True)
class Shaping:
    """What it takes to ask for an answer of some shape.

    Attributes:
        shape: The shape.
        source: The input.
        again: Returns the same call with another input.
    """

    shape: OutputSchema
    source: Sequence[BaseMessage]
    again: Callable[[Sequence[BaseMessage]], GenerationRequest]
