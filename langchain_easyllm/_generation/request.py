"""One generation as a model object wants it, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from .._http.models import RetryPolicy
    from .._protocols.request import Message, Tool, ToolChoice
    from .._servers.profile import GenerationApi
    from .._structured_output.schema import OutputSchema
    from .._tool_formats.base import ToolCallFormat
    from ..prompts.base import ChatPrompt


class RenderedPrompt(NamedTuple):
    """A prompt as it is sent."""

    text: str
    stops: tuple[str, ...] = ()  # stop sequences of its template, and of the format of tool calls
    tool_format: ToolCallFormat | None = None
    switched: tuple[str, ...] = ()  # fields that its template expressed, and that are not sent


@dataclass(slots=True)
class GenerationRequest:
    """One generation, before a protocol is chosen.

    Nobody changes one; it is not frozen, since each call builds one and freezing costs three times
    as much.
    """

    # the input: a text, LangChain messages, or chat messages in OpenAI's format
    source: str | Sequence[BaseMessage] | Sequence[Message]
    policy: RetryPolicy  # how long the call may take and how often it may be tried
    api: GenerationApi | None = None  # the protocol, or None to choose it by the server
    prefers_text: bool = False  # whether a text protocol is wanted where the choice is free
    template: ChatPrompt | None = None  # the caller's; only a text protocol can use one
    uses_model_template: bool = False  # whether a text protocol loads and renders the model's own
    model: str | None = None
    provider: str | None = None
    params: Mapping[str, object] = field(default_factory=dict)
    # generation fields that the caller did not set, sent where the protocol has them
    defaults: Mapping[str, object] = field(default_factory=dict)
    # fields of `params` that are sent unchecked where the protocol has no name for them, each with
    # the key that it is sent under
    unchecked: Mapping[str, str] = field(default_factory=dict)
    stops: tuple[str, ...] = ()  # the caller's stop sequences
    tools: Sequence[Tool] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    parse_tool_calls: str | None = None  # see `EasyLLMChat`
    extra: Mapping[str, object] = field(default_factory=dict)  # the caller's own keys for the body
    reports_usage: bool = True  # whether a stream should end with token counts
    details: bool = True  # whether `/generate` should say why an answer ended
    default_limit: str | None = "max_tokens"  # as of `ProtocolRequest`
    # what this call has found refused and leaves out, by model and protocol
    left_out: Mapping[tuple[str, GenerationApi], frozenset[str]] = field(default_factory=dict)
    include_headers: bool = False  # whether an answer keeps its response's headers
    output: OutputSchema | None = None
    prefill: bool = False  # whether the last message is an answer that the model continues
    prompt: RenderedPrompt | None = None  # where it was rendered before
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # the call's own

    @property
    def has_template(self) -> bool:
        """Whether the prompt is to be rendered here."""
        return self.uses_model_template or self.template is not None
