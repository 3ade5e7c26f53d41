"""An answer that the model is to continue: an AIMessage at the end of the messages.

The answer to it is the continuation alone, on every server. Where an object or a call is wanted,
which cannot begin in the middle of a text, such a message is a part of the history.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage

from .._protocols.constraints import CONSTRAINT_FIELDS, read_constraint
from .._protocols.reasoning import CLOSE, OPEN
from .._servers.profile import Continuation, GenerationApi, ServerInfo, ServerProfile
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .._protocols.request import ToolChoice
    from .request import GenerationRequest, RenderedPrompt

# What a caller may put into a body himself, and who does knows what the server makes of it.
_OWN_KEYS = frozenset({"continue_final_message", "add_generation_prompt"})
_SILENT_BLOCKS = frozenset({"text", "reasoning", "reasoning_content", "thinking"})

# Behind the text that is continued, while a prompt is rendered. A template that strips the text
# strips the space, which shows that white space before the mark is to go, too.
MARK = "EASYLLM_CONTINUES_HERE"


def find_prefill(
    source: str | Sequence[BaseMessage], choice: ToolChoice | None, *, structured: bool
) -> tuple[str | Sequence[BaseMessage], bool]:
    """Return the messages as they are sent, and whether their last one is to be continued.

    Answers without a text at the end, of which there is nothing to continue, are left out.
    """
    if isinstance(source, str) or structured or choice not in (None, "auto", "none"):
        return source, False
    kept = len(source)
    while kept and _is_answer(source[kept - 1]) and _is_empty(source[kept - 1]):
        kept -= 1
    messages = source[:kept] if 0 < kept < len(source) else source
    return messages, kept > 0 and _is_answer(messages[-1])


def ends_with_answer(source: str | Sequence[BaseMessage]) -> bool:
    """Whether there may be something to continue."""
    return isinstance(source[-1], AIMessage | ChatMessage) and _is_answer(source[-1])


def with_continuation(
    request: GenerationRequest, api: GenerationApi, profile: ServerProfile, root: str
) -> GenerationRequest:
    """Return a request whose last message the server continues, if it is to be continued.

    An answer that is history gets a message behind it where the server would continue it and fail.

    Args:
        request: The request.
        api: The protocol.
        profile: The server.
        root: Its address, of which a warning is given once.

    Raises:
        ConfigurationError: If the server would answer it anew, or there is nothing to continue.
    """
    if not request.prefill:
        return _as_history(request, api, profile)
    message = _checked(request)
    if api is not GenerationApi.CHAT or not _OWN_KEYS.isdisjoint(request.extra):
        return request  # a prompt ends with it
    if problem := _problem(request, profile):
        raise ConfigurationError(problem)
    continuation = cast("Continuation", profile.continuation)
    if not continuation.sure:
        _warn(root)
        return request
    if continuation.strips:
        stripped = message.model_copy(update={"content": str(message.text).strip()})
        request = replace(request, source=[*request.source[:-1], stripped])
    return replace(request, extra={**continuation.keys, **request.extra})


def counts_as_prefill(request: GenerationRequest, server: ServerInfo | None) -> bool:
    """Whether the last message is continued for sure; to a count it is history elsewhere."""
    if request.has_template:
        return request.prefill
    continuation = server.profile.continuation if server else None
    return request.prefill and continuation is not None and continuation.sure


def opens_reasoning(request: GenerationRequest) -> bool:
    """Whether the text that is continued ends inside the model's reasoning."""
    text = str(cast("BaseMessage", request.source[-1]).text)
    return text.rfind(OPEN) > text.rfind(CLOSE)


def repeated_text(request: GenerationRequest, api: GenerationApi, profile: ServerProfile) -> str:
    """Return what a server puts before the continuation in an answer that is not streamed."""
    continuation = profile.continuation
    if not request.prefill or continuation is None or not continuation.repeats:
        return ""
    # With other keys, which are the caller's own, it repeats the text in streams, too.
    if api is not GenerationApi.CHAT or not continuation.keys.items() <= request.extra.items():
        return ""
    return str(cast("BaseMessage", request.source[-1]).text)


def marked(request: GenerationRequest) -> GenerationRequest:
    """Return a request with a mark behind the text that is continued."""
    last = _checked(request)
    content: object = f"{last.text}{MARK} "
    if isinstance(last.content, list):
        blocks: list[object] = list(last.content)
        for index in range(len(blocks) - 1, -1, -1):
            block = blocks[index]
            if isinstance(block, str):
                blocks[index] = f"{block}{MARK} "
            elif isinstance(block, Mapping) and isinstance(block.get("text"), str):
                blocks[index] = {**block, "text": f"{block['text']}{MARK} "}
            else:
                continue
            content = blocks
            break
    messages = cast("Sequence[BaseMessage]", request.source[:-1])
    return replace(request, source=[*messages, last.model_copy(update={"content": content})])


def cut_at_mark(rendered: RenderedPrompt) -> RenderedPrompt:
    """End a prompt where its mark stands."""
    before, found, after = rendered.text.rpartition(MARK)
    if not found:
        raise ConfigurationError(
            "The prompt leaves the last message out, which is an AIMessage to be continued: end "
            "with another message, or take another prompt_builder."
        )
    return rendered._replace(text=before if after[:1] == " " else before.rstrip())


def _is_answer(message: BaseMessage) -> bool:
    if isinstance(message, ChatMessage):
        return message.role.lower() in ("assistant", "ai")
    return isinstance(message, AIMessage)


def _calls(message: BaseMessage) -> bool:
    return bool(getattr(message, "tool_calls", None))


def _is_empty(message: BaseMessage) -> bool:
    """Whether an answer says nothing, or nothing but its reasoning."""
    if _calls(message) or str(message.text).strip():
        return False
    content = message.content
    return isinstance(content, str) or all(
        isinstance(block, str) or block.get("type") in _SILENT_BLOCKS for block in content
    )


def _checked(request: GenerationRequest) -> BaseMessage:
    """Return the message that is continued."""
    last = cast("BaseMessage", request.source[-1])
    if _calls(last):
        raise ConfigurationError(
            "The last message is an AIMessage with tool calls, which cannot be continued: add a "
            "ToolMessage for each call, or leave the calls out."
        )
    if not str(last.text).strip():
        raise ConfigurationError(
            "The last message is an AIMessage without a text to continue: end with another message."
        )
    return last


def _problem(request: GenerationRequest, profile: ServerProfile) -> str | None:
    """Return why a server does not continue an answer on the chat protocol; None if it does."""
    continuation = profile.continuation
    ways = "end with another message"
    if any(api is not GenerationApi.CHAT for api in profile.suggested_apis):
        ways = f"set prompt_builder='auto' (or a template's name) to continue it, or {ways}"
    if continuation is None:
        return (
            f"The last message is an AIMessage, and this server ({profile.name}) would answer it "
            f"anew in place of continuing it: {ways}. model_kwargs={{'continue_final_message': "
            "True} sends it all the same."
        )
    beside = "tools" if request.tools and not continuation.beside_tools else ""
    if not continuation.beside_constraints and _is_constrained(request):
        beside = "a constraint"
    if not beside:
        return None
    return (
        f"The last message is an AIMessage, which this server ({profile.name}) cannot continue "
        f"beside {beside}: {ways}."
    )


def _is_constrained(request: GenerationRequest) -> bool:
    given = [request.params.get(name) for name in CONSTRAINT_FIELDS]
    return any(value is not None and read_constraint(value).kind != "text" for value in given)


def _as_history(
    request: GenerationRequest, api: GenerationApi, profile: ServerProfile
) -> GenerationRequest:
    """Return a request whose last message is no answer, if the server would hold it to be one.

    A server that continues every answer holds a constraint to its beginning, too, and fails.
    """
    continuation = profile.continuation
    if continuation is None or continuation.beside_constraints or api is not GenerationApi.CHAT:
        return request
    messages = cast("Sequence[BaseMessage]", request.source)
    if not ends_with_answer(messages):
        return request
    if request.tool_choice not in (None, "auto", "none"):
        asked = "Answer with a tool call."
    elif request.output is not None or _is_constrained(request):
        asked = "Write this answer in the required form, and nothing else."
    else:
        return request
    return replace(request, source=[*messages, HumanMessage(asked)])


@lru_cache(maxsize=64)
def _warn(root: str) -> None:
    # The cache makes it once a server.
    warnings.warn(
        f"The last message is an AIMessage, and nobody knows whether the server at {root} "
        "continues it or answers it anew: prompt_builder='auto' (or a template's name) makes sure.",
        UserWarning,
        stacklevel=2,
    )
