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

__all__ = ["GenerationRequest", "RenderedPrompt"]


class RenderedPrompt(NamedTuple):
    """A prompt as it is sent.

    Attributes:
        text: The prompt.
        stops: Stop sequences of its template, and of the format of tool calls.
        tool_format: The format in which it describes tools; None where it describes none.
    """

    text: str
    stops: tuple[str, ...] = ()
    tool_format: ToolCallFormat | None = None


@dataclass(slots=True)
class GenerationRequest:
    """One generation, before a protocol is chosen.

    Nobody changes one; it is not frozen, since each call builds one and a frozen one costs thrice.

    Attributes:
        source: The input: a text, LangChain messages, or chat messages in OpenAI's shape.
        policy: How long the call may take and how often it may be tried.
        api: The protocol, or None to choose it by the server.
        prefers_text: Whether a text protocol is wanted where the choice is free.
        template: The prompt template that the caller chose; only a text protocol can use one.
        uses_model_template: Whether a text protocol renders the model's own template, which is
            loaded first.
        params: Neutral generation fields that are set.
        defaults: Generation fields that nobody asked for, sent where the protocol has them.
        unchecked: Fields of `params` that a protocol without a name for them is sent as they are,
            and the key that each is sent under.
        stops: The caller's stop sequences.
        parse_tool_calls: The format in which calls in the text are read; see `EasyLLMChat`.
        extra: The caller's own keys for the body.
        reports_usage: Whether a stream should end with token counts.
        output: The schema that the answer is to fit, or None.
        prompt: The input as a text protocol is sent it, where it was rendered before.
    """

    source: str | Sequence[BaseMessage] | Sequence[Message]
    policy: RetryPolicy
    api: GenerationApi | None = None
    prefers_text: bool = False
    template: ChatPrompt | None = None
    uses_model_template: bool = False
    model: str | None = None
    provider: str | None = None
    params: Mapping[str, object] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    unchecked: Mapping[str, str] = field(default_factory=dict)
    stops: tuple[str, ...] = ()
    tools: Sequence[Tool] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    parse_tool_calls: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    reports_usage: bool = True
    output: OutputSchema | None = None
    prompt: RenderedPrompt | None = None

    @property
    def has_template(self) -> bool:
        """Whether the prompt is to be rendered here."""
        return self.uses_model_template or self.template is not None
