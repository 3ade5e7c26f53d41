"""How an answer that fits a schema is requested from a server, and requested again to repair it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from .._protocols.tool_choice import can_offer, choose_tool, has_native_form
from .._servers.profile import ConstraintFormat, GenerationApi, ServerInfo
from ..errors import BadRequestError, EasyLLMError, RefusalError, ServerError, StructuredOutputError
from .options import Method
from .schema import OutputSchema

_ANY_OBJECT: Mapping[str, object] = MappingProxyType({"type": "json_object"})


@dataclass(frozen=True, slots=True)
class OutputStrategy:
    method: Method
    response_format: Mapping[str, object] | None = None  # a constraint on decoding, or None
    tool: Mapping[str, object] | None = None  # called with the answer as its arguments
    instructions: str = ""  # for the prompt, or ""


def choose_strategy(
    schema: OutputSchema, api: GenerationApi, server: ServerInfo, refused: Collection[str]
) -> OutputStrategy:
    """Return the way that the caller chose, else the strongest that the server has not refused."""
    method = schema.method or _strongest(schema, api, server, refused)
    if method == "prompt":
        return OutputStrategy(method, instructions=schema.as_instructions())
    if method == "function_calling":
        return OutputStrategy(method, tool=schema.tool())
    # TGI's grammar wants to know the properties: it cannot hold an answer to just any object.
    grammar = server.profile.api(api).constraint is ConstraintFormat.GRAMMAR
    any_object = method == "json_mode" and not grammar
    wanted = _ANY_OBJECT if any_object else schema.response_format()
    return OutputStrategy(method, response_format=dict(wanted))


def _strongest(
    schema: OutputSchema, api: GenerationApi, server: ServerInfo, refused: Collection[str]
) -> Method:
    tool = schema.tool()
    profile = server.profile.api(api)
    # A plain server may ignore a `response_format` on completions.
    constrained = api is not GenerationApi.COMPLETIONS or profile.constrains
    has: dict[Method, bool] = {
        "json_schema": constrained and "response_format" in profile.fields,
        "function_calling": api is GenerationApi.CHAT
        and schema.is_object
        and has_native_form(choose_tool(tool), [tool], server.profile)
        and can_offer(tool, server.profile),
    }
    return next((way for way, there in has.items() if there and way not in refused), "prompt")


def add_instructions(messages: Sequence[BaseMessage], instructions: str) -> list[BaseMessage]:
    """Return a conversation with instructions in its system message, after the caller's own."""
    if not messages or messages[0].type != "system":
        return [SystemMessage(instructions), *messages]
    content = messages[0].content
    more = "\n\n" + instructions
    own = content + more if isinstance(content, str) else [*content, more]
    return [messages[0].model_copy(update={"content": own}), *messages[1:]]


_ABOUT_OUTPUT = re.compile(
    r"response[_ ]format|json|schema|grammar|guided|structured|tool|function", re.IGNORECASE
)


def refuses_method(method: str | None, schema: OutputSchema, error: EasyLLMError) -> bool:
    """Whether a server refuses one way to follow a schema, and the caller leaves us another."""
    if schema.method is not None or method in (None, "prompt"):
        return False
    if not isinstance(error, BadRequestError | ServerError):
        return False
    return bool(_ABOUT_OUTPUT.search(error.body or error.message))


def repair_messages(schema: OutputSchema, answer: BaseMessage) -> list[BaseMessage] | None:
    """Return what to add to the conversation so that an answer is repaired; None if it fits.

    A method that the caller chose is kept, and an answer that was cut off is not requested again.
    """
    if schema.method not in (None, "prompt"):
        return None
    try:
        schema.parse(answer)
    except RefusalError:
        return None  # the model would refuse again
    except StructuredOutputError as error:
        if answer.response_metadata.get("finish_reason") == "length":
            return None
        complaint = f"{error.message} Answer again, only with the JSON object."
        return [AIMessage(error.llm_output or "{}"), HumanMessage(complaint)]
    return None
