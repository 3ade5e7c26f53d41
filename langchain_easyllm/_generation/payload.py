"""What a request says: chat messages or a prompt, with tools described in it where it must be.

A text protocol has no field for tools, and some chat servers have none either. Tools are then
described in the prompt, in the format of the model's family, and calls are read from the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from langchain_core.messages import BaseMessage

from .._langchain.messages import to_chat_messages
from .._protocols.reasoning import CLOSE, OPEN
from .._protocols.request import Message, Tool, ToolChoice
from .._protocols.tool_choice import has_native_form
from .._servers.profile import GenerationApi, ServerInfo
from .._tool_formats.call_syntax import tool_name
from .._tool_formats.parser import TextTools
from ..errors import BadRequestError, ConfigurationError, EasyLLMError, PromptError, ServerError
from .request import GenerationRequest

if TYPE_CHECKING:
    from .._tool_formats.base import OfferedTools, ToolCallFormat
    from ..prompts.base import ChatPrompt


@dataclass(slots=True)
class RequestPayload:
    params: Mapping[str, object]
    messages: Sequence[Message] | None = None
    prompt: str | None = None
    stops: tuple[str, ...] = ()  # stop sequences of the template, and of the format of tool calls
    text_tools: TextTools | None = None
    prompted_tools: bool = False  # whether tools are described in the prompt, and not sent


def build_payload(
    request: GenerationRequest,
    api: GenerationApi,
    server: ServerInfo,
    template: ChatPrompt | None,
    *,
    without_tools: bool,
) -> RequestPayload:
    """Return what a request says; `without_tools` if the server turned out to have none."""
    offered = offered_tools(request.tools, request.tool_choice)
    if api is not GenerationApi.CHAT:
        return _text_payload(request, offered, api, server, template)
    messages = _chat_messages(request.source)
    native = not without_tools and has_native_form(
        request.tool_choice, request.tools, server.profile
    )
    if offered is not None and not native:
        return _chat_payload(request, messages, offered, server)
    if without_tools and any(m.get("tool_calls") or m["role"] == "tool" for m in messages):
        return _past_calls(request, messages, server)
    fallback = None
    if offered is not None and request.parse_tool_calls is not None:
        from .._tool_formats.registry import tool_formats_named  # noqa: PLC0415 - seldom needed

        # A server may leave calls in the text.
        fallback = TextTools(tool_formats_named(request.parse_tool_calls), tuple(request.tools))
    return RequestPayload(
        request.params, messages=messages, text_tools=fallback, prompted_tools=without_tools
    )


def offered_tools(tools: Sequence[Tool], choice: ToolChoice | None) -> OfferedTools | None:
    """Return the tools that a prompt has to describe; None if none may be called."""
    if not tools or choice == "none":
        return None
    from .._tool_formats.base import OfferedTools  # noqa: PLC0415 - the prompts' parts load when used

    only = None if choice is None or isinstance(choice, str) else tool_name(choice)
    return OfferedTools(tuple(tools), required=only is not None or choice == "required", only=only)


def _chat_messages(source: str | Sequence[BaseMessage] | Sequence[Message]) -> Sequence[Message]:
    if isinstance(source, str):
        return [{"role": "user", "content": source}]
    if source and isinstance(source[0], Mapping):
        return cast("Sequence[Message]", source)
    return to_chat_messages(cast("Sequence[BaseMessage]", source))


def _text_payload(
    request: GenerationRequest,
    offered: OfferedTools | None,
    api: GenerationApi,
    server: ServerInfo,
    template: ChatPrompt | None,
) -> RequestPayload:
    """Render the prompt; the answer is begun in it where a tool has to be called."""
    rendered = request.prompt
    if rendered is None:
        from .prompt import render_prompt  # noqa: PLC0415 - templates load when used

        rendered = render_prompt(request, template, offered)
    prompt, stops, tool_format, switched = rendered
    if switched:
        rest = {name: value for name, value in request.params.items() if name not in switched}
        request = replace(request, params=rest)
    if offered is None or tool_format is None:
        constrained = "grammar" in request.params or "response_format" in request.params
        if constrained and not request.prefill:
            prompt = _behind_reasoning(prompt)
        return RequestPayload(request.params, prompt=prompt, stops=stops)
    if offered.required:
        prompt = _behind_reasoning(prompt)
    params = _constrain(request, tool_format, offered, api, server)
    constrained = params is not request.params
    prefill = tool_format.prefill(offered, constrained=constrained) if offered.required else ""
    gap = " " if prefill and not prompt[-1:].isspace() and prefill[0].isalpha() else ""
    return RequestPayload(
        params,
        prompt=f"{prompt}{gap}{prefill}",
        stops=stops,
        text_tools=_prompted(request, tool_format, stops, prefill=prefill, json=constrained),
        prompted_tools=True,
    )


def _behind_reasoning(prompt: str) -> str:
    """Close the reasoning that a prompt opens, where its answer has to begin at once."""
    if not prompt.rstrip().endswith(OPEN):
        return prompt
    return f"{prompt}\n{CLOSE}\n\n" if prompt.endswith("\n") else f"{prompt}{CLOSE}"


def _chat_payload(
    request: GenerationRequest,
    messages: Sequence[Message],
    offered: OfferedTools,
    server: ServerInfo,
) -> RequestPayload:
    """Describe the tools in the messages of a chat, for a server that has none."""
    from .._tool_formats.registry import tool_format_for  # noqa: PLC0415 - as above
    from .._tool_formats.rendering import describe_tools  # noqa: PLC0415 - as above

    tool_format = tool_format_for(None, request.parse_tool_calls)
    try:
        described = describe_tools(messages, offered, tool_format)
    except PromptError as error:
        raise ConfigurationError(
            "This server has no tools of its own, and they can be described beside text only: "
            f"{error}"
        ) from error
    params = _constrain(request, tool_format, offered, GenerationApi.CHAT, server)
    json = params is not request.params
    return RequestPayload(
        params,
        messages=[{"role": role, "content": text} for role, text in described],
        stops=tool_format.stop,
        text_tools=_prompted(request, tool_format, tool_format.stop, json=json),
        prompted_tools=True,
    )


def _past_calls(
    request: GenerationRequest, messages: Sequence[Message], server: ServerInfo
) -> RequestPayload:
    """Write earlier calls and results as text, where no tools are offered any more."""
    from .._tool_formats.base import OfferedTools  # noqa: PLC0415 - as above

    payload = _chat_payload(request, messages, OfferedTools(), server)
    return replace(payload, stops=(), text_tools=None)


def _constrain(
    request: GenerationRequest,
    tool_format: ToolCallFormat,
    offered: OfferedTools,
    api: GenerationApi,
    server: ServerInfo,
) -> Mapping[str, object]:
    """Return the fields, with a grammar where a call is wanted and the server can follow one."""
    given = "grammar" in request.params or "response_format" in request.params
    if not offered.required or given or not server.profile.api(api).constrains:
        return request.params
    return {**request.params, "grammar": {"type": "json", "value": tool_format.schema(offered)}}


def _prompted(
    request: GenerationRequest,
    tool_format: ToolCallFormat,
    stops: tuple[str, ...],
    *,
    prefill: str = "",
    json: bool,
) -> TextTools:
    """Return how to read the calls of a model that was given a format in its prompt."""
    return TextTools(
        (tool_format,),
        tuple(request.tools),
        prompted=True,
        prefill=prefill,
        stops=stops,
        unmarked_json=json,
    )


_ABOUT_TOOLS = re.compile(r"\btools?\b|tool_choice|tool[- ]call|function[- ]call", re.IGNORECASE)
_REFUSAL = re.compile(
    r"support|\brequires\b|not (?:permitted|allowed|enabled|available)|disabled|extra_forbidden"
    r"|un(?:known|recognized|expected)|no (?:chat )?template",
    re.IGNORECASE,
)


def refuses_tools(error: EasyLLMError) -> bool:
    """Whether a server says that it has no tools, for this model at least."""
    if not isinstance(error, BadRequestError | ServerError):
        return False
    message = error.body or error.message
    return bool(_ABOUT_TOOLS.search(message) and _REFUSAL.search(message))
