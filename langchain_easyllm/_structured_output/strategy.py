"""How a shaped answer is asked for on the server that will give it, and asked for once more."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatResult

from .._generation.request import GenerationRequest, Shaping
from .._protocols.tool_choice import can_offer, has_native_form
from .._servers.profile import Dialect, GenerationApi, ServerInfo, fields_of
from ..errors import BadRequestError, EasyLLMError, ServerError, StructuredOutputError
from .schema import Method, OutputSchema

__all__ = ["apply_strategy", "refuses_shape", "repair_request"]


# Where a `response_format` is known to constrain decoding; a plain server may ignore it there.
_COMPLETIONS = frozenset({Dialect.VLLM, Dialect.LLAMA_CPP})
_ANY_OBJECT: Mapping[str, object] = MappingProxyType({"type": "json_object"})


def apply_strategy(
    ask: GenerationRequest,
    shaping: Shaping,
    wire: GenerationApi,
    server: ServerInfo,
    refused: Collection[str],
) -> tuple[GenerationRequest, Method]:
    """Return what is wanted, said in the way that was chosen, and that way.

    Args:
        ask: What is wanted.
        shaping: The shape that the answer is to have.
        wire: The protocol.
        server: The server.
        refused: Ways that the server has refused before.
    """
    shape = shaping.shape
    method = shape.method or _strongest(shape, wire, server, refused)
    params = {k: v for k, v in ask.params.items() if k not in ("grammar", "response_format")}
    if method == "prompt":
        told = shaping.again(_told(shaping.source, shape.in_words()))
        return replace(told, params=params), method
    if method == "function_calling":
        choice = {"type": "function", "function": {"name": shape.name}}
        called = replace(
            ask,
            params=params,
            tools=(shape.tool(),),
            tool_choice=choice,
            parallel_tool_calls=False,
        )
        return called, method
    # TGI's grammar wants to know the properties: it cannot hold an answer to just any object.
    any_object = (
        method == "json_mode"
        and wire is not GenerationApi.GENERATE
        and server.dialect is not Dialect.TGI
    )
    wanted = _ANY_OBJECT if any_object else shape.response_format()
    return replace(ask, params={**params, "response_format": dict(wanted)}), method


def _strongest(
    shape: OutputSchema, wire: GenerationApi, server: ServerInfo, refused: Collection[str]
) -> Method:
    """Return the strongest way that a server has to hold an answer to a schema."""
    choice = {"type": "function", "function": {"name": shape.name}}
    constrained = wire is not GenerationApi.COMPLETIONS or server.dialect in _COMPLETIONS
    has: dict[Method, bool] = {
        "json_schema": constrained and "response_format" in fields_of(wire, server.dialect),
        "function_calling": wire is GenerationApi.CHAT
        and shape.is_object
        and has_native_form(choice, [shape.tool()], server.dialect)
        and can_offer(shape.tool(), server.dialect),
    }
    return next((way for way, there in has.items() if there and way not in refused), "prompt")


def _told(source: Sequence[BaseMessage], words: str) -> list[BaseMessage]:
    """Return a conversation with words in its system message, after the caller's own."""
    if not source or source[0].type != "system":
        return [SystemMessage(words), *source]
    content = source[0].content
    own = f"{content}\n\n{words}" if isinstance(content, str) else [*content, "\n\n" + words]
    return [source[0].model_copy(update={"content": own}), *source[1:]]


_OF_SHAPES = re.compile(
    r"response[_ ]format|json|schema|grammar|guided|structured|tool|function", re.IGNORECASE
)


def refuses_shape(method: str | None, shape: OutputSchema, error: EasyLLMError) -> bool:
    """Whether a server refuses one way to ask for a shape, and the caller leaves us another."""
    if shape.method is not None or method in (None, "prompt"):
        return False
    if not isinstance(error, BadRequestError | ServerError):
        return False
    return bool(_OF_SHAPES.search(error.body or error.message))


def repair_request(ask: GenerationRequest, result: ChatResult) -> GenerationRequest | None:
    """Return how to ask once more for an answer that does not fit; None if it does.

    A way that the caller chose is not left, nor is an answer asked for again that was cut off.
    """
    shaping = ask.shaping
    if shaping is None or len(result.generations) != 1:
        return None
    shape = shaping.shape
    if shape.method not in (None, "prompt"):
        return None
    message = result.generations[0].message
    try:
        shape.parse(message)
    except StructuredOutputError as error:
        if message.response_metadata.get("finish_reason") == "length":
            return None
        complaint = f"{error.message} Answer again, only with the JSON object."
        more = [AIMessage(error.llm_output or "{}"), HumanMessage(complaint)]
        talk = [*shaping.source, *more]
        worded = replace(shaping, shape=replace(shape, method="prompt"), source=talk)
        return replace(shaping.again(talk), shaping=worded)
    return None
