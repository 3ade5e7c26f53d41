"""Answers as LangChain's messages, generations and chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    InvalidToolCall,
    ToolCall,
    ToolCallChunk,
)
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    Generation,
    GenerationChunk,
)

if TYPE_CHECKING:
    from .._protocols.events import Delta, ToolCallDelta, Usage
    from .._protocols.reader import Answer, Chunk


T = TypeVar("T")

PROVIDER = "huggingface"
"""The provider in `response_metadata` and in LangSmith."""


def to_chat_result(answers: Sequence[Answer]) -> ChatResult:
    """Return whole answers as a chat result, with the token counts on the first."""
    _count_once(answers)
    generations = [_chat_generation(answer) for answer in answers]
    fields = {"generations": generations, "llm_output": None}
    return _unvalidated(ChatResult, fields, {"generations"})


def to_whole_chunk(result: ChatResult) -> ChatGenerationChunk:
    """Return the first of whole answers, as `invoke` does, as the one chunk of a stream."""
    answer = result.generations[0]
    fields = answer.message.model_dump(exclude={"type"})
    message = AIMessageChunk(**fields, chunk_position="last")
    return ChatGenerationChunk(message=message, generation_info=answer.generation_info)


def with_usage_of(first: ChatResult, second: ChatResult) -> ChatResult:
    """Return the second of two results, with the token counts of both."""
    one, other = first.generations[0].message, second.generations[0].message
    if isinstance(one, AIMessage) and isinstance(other, AIMessage) and one.usage_metadata:
        other.usage_metadata = add_usage(one.usage_metadata, other.usage_metadata)
    return second


def _count_once(answers: Sequence[Answer]) -> None:
    """Keep the request's token counts on the first answer only, so that sums are right."""
    for answer in answers[1:]:
        answer.end.usage = None


def _chat_generation(answer: Answer) -> ChatGeneration:
    end = answer.end
    calls, invalid = _tool_calls(end.calls)
    info = _info(end, answer.logprobs)
    fields = _AI_MESSAGE.copy()
    fields["content"] = _content(answer.text, answer.refusal)
    fields["additional_kwargs"] = _additional(answer.reasoning, end)
    fields["response_metadata"] = info
    fields["tool_calls"] = calls
    fields["invalid_tool_calls"] = invalid
    fields["usage_metadata"] = _usage(end.usage)
    message = _unvalidated(AIMessage, fields, set(_AI_MESSAGE_SET), {})
    own = {"text": answer.text, "message": message, "generation_info": _without_shared(info)}
    return _unvalidated(ChatGeneration, {**_GENERATION, **own}, set(own))


def _content(text: str, refusal: str) -> str | list[str | dict[str, Any]]:
    """Return the content of a message: langchain-core has a block for what a model refuses."""
    if not refusal:
        return text
    # The number is what pieces of a stream are put together by.
    return [*([text] if text else []), {"type": "refusal", "refusal": refusal, "index": 0}]


def _additional(reasoning: str, delta: Delta) -> dict[str, Any]:
    if not (reasoning or delta.reasoning_details):
        return {}
    found: dict[str, Any] = {"reasoning_content": reasoning} if reasoning else {}
    if delta.reasoning_details:
        found["reasoning_details"] = [dict(detail) for detail in delta.reasoning_details]
    return found


def _unvalidated(
    kind: type[T], fields: dict[str, Any], fields_set: set[str], extra: dict[str, Any] | None = None
) -> T:
    """Return an object of langchain-core set up from its state: validation costs thrice that."""
    built = _new(kind)
    _put(built, "__dict__", fields)
    _put(built, "__pydantic_fields_set__", fields_set)
    _put(built, "__pydantic_extra__", extra)
    _put(built, "__pydantic_private__", None)
    return built


def _without_shared(info: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in info.items() if key != "model_provider"}


def _info(end: Delta, logprobs: Mapping[str, object] | None) -> dict[str, Any]:
    info: dict[str, Any] = {"model_provider": PROVIDER}
    if end.finish_reason:
        info["finish_reason"] = end.finish_reason
    if end.model:
        info["model_name"] = end.model
    if end.reasoning_field:
        info["reasoning_field"] = end.reasoning_field
    if logprobs:
        info["logprobs"] = logprobs
    if end.extra:
        info.update(end.extra)
    return info


def _usage(usage: Usage | None) -> UsageMetadata | None:
    if usage is None:
        return None
    result = UsageMetadata(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
    )
    if usage.cached_tokens is not None:
        result["input_token_details"] = {"cache_read": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        result["output_token_details"] = {"reasoning": usage.reasoning_tokens}
    return result


def _tool_calls(calls: Sequence[ToolCallDelta]) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    if not calls:
        return [], []
    from .._tool_formats.call_syntax import parse_arguments  # noqa: PLC0415 - loads when used

    good: list[ToolCall] = []
    bad: list[InvalidToolCall] = []
    for call in calls:
        name, text = call.name or "", call.arguments
        args = None if call.error else parse_arguments(text)
        if args is not None:
            good.append(tool_call(name=name, args=args, id=call.id))
        else:
            bad.append(invalid_tool_call(name=name, args=text, id=call.id, error=call.error))
    return good, bad


def to_chat_chunks(chunks: Iterable[Chunk]) -> Iterator[ChatGenerationChunk]:
    set_fields = ChunkFields()
    for chunk in chunks:
        yield chat_chunk(chunk, set_fields) if isinstance(chunk, str) else _rich_chunk(chunk)


def _rich_chunk(delta: Delta) -> ChatGenerationChunk:
    last = delta.finish_reason is not None or delta.usage is not None or delta.model is not None
    message = AIMessageChunk(
        content=_content(delta.text, delta.refusal),
        additional_kwargs=_additional(delta.reasoning, delta),
        usage_metadata=_usage(delta.usage),
        tool_call_chunks=[_call_chunk(call) for call in delta.calls],
        chunk_position="last" if last else None,
        response_metadata={"model_provider": PROVIDER} if last else {},
    )
    info = _without_shared(_info(delta, delta.logprobs))
    return ChatGenerationChunk(message=message, generation_info=info or None)


def _call_chunk(call: ToolCallDelta) -> ToolCallChunk:
    args = call.arguments + call.unparseable_suffix
    return tool_call_chunk(name=call.name, args=args, id=call.id, index=call.index)


def to_generations(answers: Sequence[Answer]) -> list[Generation]:
    """Return whole answers as an LLM's generations, with the token counts on the first."""
    _count_once(answers)
    return [
        Generation(
            text=answer.text or answer.refusal,  # a text has no other place for it
            generation_info=_text_info(answer.end, answer.logprobs),
        )
        for answer in answers
    ]


def to_text_chunks(chunks: Iterable[Chunk]) -> Iterator[GenerationChunk]:
    set_fields = ChunkFields()
    for chunk in chunks:
        if isinstance(chunk, str):
            yield text_chunk(chunk, set_fields)
        else:
            info = _text_info(chunk, chunk.logprobs, chunk.reasoning)
            yield GenerationChunk(text=chunk.text or chunk.refusal, generation_info=info)


def _text_info(
    end: Delta, logprobs: Mapping[str, object] | None, reasoning: str = ""
) -> dict[str, Any] | None:
    info = _without_shared(_info(end, logprobs))
    if reasoning:
        info["reasoning_content"] = reasoning
    if end.usage:
        info["usage"] = _usage(end.usage)
    return info or None


_new, _put = object.__new__, object.__setattr__

_AI_MESSAGE = AIMessage(content="").__dict__
_AI_MESSAGE_SET = AIMessage(
    content="",
    additional_kwargs={},
    response_metadata={},
    tool_calls=[],
    invalid_tool_calls=[],
    usage_metadata=None,
).model_fields_set
_GENERATION = ChatGeneration(message=AIMessage(content="")).__dict__
_MESSAGE = AIMessageChunk(content="").__dict__
_CHAT = ChatGenerationChunk(message=AIMessageChunk(content="")).__dict__
_TEXT = GenerationChunk(text="").__dict__


class ChunkFields:
    """The names of the fields that are set, shared by chunks that were read together.

    A set for each chunk would be a third of what the garbage collector has to follow. The names
    are those that langchain-core sets on every chunk.
    """

    __slots__ = ("chunk", "message")

    def __init__(self) -> None:
        self.message = {"content", "id", "response_metadata"}
        self.chunk = {"message", "text"}


def chat_chunk(text: str, set_fields: ChunkFields) -> ChatGenerationChunk:
    """Return a chat model's chunk that has text only."""
    fields = _MESSAGE.copy()
    fields["content"] = text
    fields["additional_kwargs"] = {}
    fields["response_metadata"] = {}
    fields["tool_calls"] = []
    fields["invalid_tool_calls"] = []
    fields["tool_call_chunks"] = []
    message = _new(AIMessageChunk)
    _put(message, "__dict__", fields)
    _put(message, "__pydantic_fields_set__", set_fields.message)
    _put(message, "__pydantic_extra__", {})  # messages allow extra fields
    _put(message, "__pydantic_private__", None)
    fields = _CHAT.copy()
    fields["text"] = text
    fields["message"] = message
    chunk = _new(ChatGenerationChunk)
    _put(chunk, "__dict__", fields)
    _put(chunk, "__pydantic_fields_set__", set_fields.chunk)
    _put(chunk, "__pydantic_extra__", None)
    _put(chunk, "__pydantic_private__", None)
    return chunk


def text_chunk(text: str, set_fields: ChunkFields) -> GenerationChunk:
    """Return an LLM's chunk that has text only."""
    fields = _TEXT.copy()
    fields["text"] = text
    chunk = _new(GenerationChunk)
    _put(chunk, "__dict__", fields)
    _put(chunk, "__pydantic_fields_set__", set_fields.chunk)
    _put(chunk, "__pydantic_extra__", None)
    _put(chunk, "__pydantic_private__", None)
    return chunk
