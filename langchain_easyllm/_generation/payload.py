"""What a request says: messages, or a prompt; with tools told in words where there is no other way.

A text protocol has no place for tools, and some chat servers have none either. They are then told
in the prompt, in the convention of the model's family, and its calls are read from the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._protocols.request import Message, Tool, ToolChoice
from .._protocols.tool_choice import has_native_form, tool_name
from .._servers.profile import Dialect, GenerationApi, ServerInfo
from .._tool_formats.text_calls import TextTools
from ..errors import BadRequestError, ConfigurationError, EasyLLMError, ServerError
from .request import GenerationRequest

if TYPE_CHECKING:
    from .._tool_formats.base import OfferedTools, ToolCallFormat

__all__ = ["RequestPayload", "build_payload", "offered_tools", "refuses_tools"]


@dataclass(slots=True)
class RequestPayload:
    """What a request says.

    Attributes:
        params: Neutral generation fields.
        messages: Chat messages (chat protocol).
        prompt: The prompt (text protocols).
        stops: Stop sequences of the template, and of the convention for tools.
        text_tools: How the answer's text may hold tool calls; None where they are not looked for.
        told: Whether tools are told in words, and not sent.
    """

    params: Mapping[str, object]
    messages: Sequence[Message] | None = None
    prompt: str | None = None
    stops: tuple[str, ...] = ()
    text_tools: TextTools | None = None
    told: bool = False


def build_payload(
    ask: GenerationRequest, wire: GenerationApi, server: ServerInfo, *, toolless: bool
) -> RequestPayload:
    """Return what a request says.

    Args:
        ask: What is wanted.
        wire: The protocol.
        server: The server.
        toolless: Whether it turned out to have no tools for this model.

    Raises:
        ConfigurationError: If the messages cannot be expressed.
    """
    use = offered_tools(ask.tools, ask.tool_choice)
    if wire is not GenerationApi.CHAT:
        return _text(ask, use, wire, server)
    native = not toolless and has_native_form(ask.tool_choice, ask.tools, server.dialect)
    if use is not None and not native:
        return _chat(ask, use, server)
    salvage = None if use is None else _salvage(ask)
    return RequestPayload(ask.params, messages=ask.to_messages(), text_tools=salvage, told=toolless)


def _text(
    ask: GenerationRequest, use: OfferedTools | None, wire: GenerationApi, server: ServerInfo
) -> RequestPayload:
    """Tell tools in the prompt of a text protocol; the answer is begun where a call is wanted."""
    prompt, stops, form = ask.to_text(server, use)
    if use is None or form is None:
        return RequestPayload(ask.params, prompt=prompt, stops=stops)
    params = _constrained(ask, form, use, wire, server)
    constrained = params is not ask.params
    opening = form.opening(use, constrained=constrained) if use.required else ""
    gap = " " if opening and not prompt[-1:].isspace() and opening[0].isalpha() else ""
    return RequestPayload(
        params,
        prompt=f"{prompt}{gap}{opening}",
        stops=stops,
        text_tools=_reading(ask, form, stops, opening=opening, bare=constrained),
        told=True,
    )


def _chat(ask: GenerationRequest, use: OfferedTools, server: ServerInfo) -> RequestPayload:
    """Tell tools in the messages of a chat, for a server that has none."""
    from .._tool_formats.registry import tool_format_for  # noqa: PLC0415 - as above
    from .._tool_formats.rendering import describe_tools  # noqa: PLC0415 - as above
    from ..prompts import PromptError  # noqa: PLC0415 - the prompts' parts load when used

    form = tool_format_for(None, ask.parse_tool_calls)
    try:
        told = describe_tools(ask.to_messages(), use, form)
    except PromptError as error:
        raise ConfigurationError(
            f"This server has no tools of its own, and they can be told beside text only: {error}"
        ) from error
    params = _constrained(ask, form, use, GenerationApi.CHAT, server)
    return RequestPayload(
        params,
        messages=[{"role": role, "content": text} for role, text in told],
        stops=form.stop,
        text_tools=_reading(ask, form, form.stop, bare=params is not ask.params),
        told=True,
    )


def offered_tools(tools: Sequence[Tool], choice: ToolChoice | None) -> OfferedTools | None:
    """Return what a prompt has to tell of tools; None if none may be called."""
    if not tools or choice == "none":
        return None
    from .._tool_formats.base import OfferedTools  # noqa: PLC0415 - as above

    only = None if choice is None or isinstance(choice, str) else tool_name(choice)
    return OfferedTools(tuple(tools), required=only is not None or choice == "required", only=only)


# Where decoding can be constrained to a JSON schema, which others refuse or ignore.
_CONSTRAINS = frozenset(
    {
        *((GenerationApi.GENERATE, dialect) for dialect in Dialect),
        *((GenerationApi.COMPLETIONS, dialect) for dialect in (Dialect.VLLM, Dialect.LLAMA_CPP)),
        *(
            (GenerationApi.CHAT, dialect)
            for dialect in (Dialect.TGI, Dialect.VLLM, Dialect.LLAMA_CPP)
        ),
        (GenerationApi.CHAT, Dialect.LLAMA_CPP_PYTHON),
    }
)


def _constrained(
    ask: GenerationRequest,
    form: ToolCallFormat,
    use: OfferedTools,
    wire: GenerationApi,
    server: ServerInfo,
) -> Mapping[str, object]:
    """Return the fields, with a grammar where a call is wanted and the server can hold to one."""
    given = "grammar" in ask.params or "response_format" in ask.params
    if not use.required or given or (wire, server.dialect) not in _CONSTRAINS:
        return ask.params
    return {**ask.params, "grammar": {"type": "json", "value": form.schema(use)}}


def _reading(
    ask: GenerationRequest,
    form: ToolCallFormat,
    stops: tuple[str, ...],
    *,
    opening: str = "",
    bare: bool,
) -> TextTools:
    return TextTools(
        (form.name, "bare") if bare else (form.name,),
        tuple(ask.tools),
        prompted=True,
        opening=opening,
        ends=stops,
    )


def _salvage(ask: GenerationRequest) -> TextTools | None:
    """Look for calls that a server leaves in the text, if that is wished."""
    name = ask.parse_tool_calls
    if name is None:
        return None
    names = ("hermes", "llama3", "mistral", "react") if name == "auto" else (name,)
    return TextTools(names, tuple(ask.tools))


_OF_TOOLS = re.compile(r"\btools?\b|tool_choice|tool[- ]call|function[- ]call", re.IGNORECASE)
_REFUSAL = re.compile(
    r"support|\brequires\b|not (?:permitted|allowed|enabled|available)|disabled|extra_forbidden"
    r"|un(?:known|recognized|expected)|no (?:chat )?template",
    re.IGNORECASE,
)


def refuses_tools(error: EasyLLMError) -> bool:
    """Whether a server says that it has no tools, for this model at least."""
    if not isinstance(error, BadRequestError | ServerError):
        return False
    said = error.body or error.message
    return bool(_OF_TOOLS.search(said) and _REFUSAL.search(said))
