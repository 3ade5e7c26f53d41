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
    from .._protocols.events import Delta, Media, ToolCallDelta, Usage
    from .._protocols.reader import Answer, Chunk


T = TypeVar("T")

PROVIDER = "huggingface"
"""The provider in `response_metadata` and in LangSmith."""


def to_chat_result(answers: Sequence[Answer], *, v1: bool = False) -> ChatResult:
    """Return whole answers as a chat result, with the token counts on the first.

    With `v1`, their content consists of standard blocks.
    """
    _count_once(answers)
    generations = [_chat_generation(answer, v1=v1) for answer in answers]
    end = answers[0].end
    output: dict[str, Any] = {}
    if usage := end.usage:
        output["token_usage"] = {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        }
    if end.model:
        output["model_name"] = end.model
    fields = {"generations": generations, "llm_output": output}
    return _unvalidated(ChatResult, fields, {"generations", "llm_output"})


def llm_output(counts: Sequence[UsageMetadata | None], model: str | None) -> dict[str, Any]:
    """Return an `LLMResult`'s `llm_output`: the sum of token counts, if all are known."""
    known = [usage for usage in counts if usage]
    output: dict[str, Any] = {}
    if known and len(known) == len(counts):
        output["token_usage"] = {
            "prompt_tokens": sum(usage["input_tokens"] for usage in known),
            "completion_tokens": sum(usage["output_tokens"] for usage in known),
            "total_tokens": sum(usage["total_tokens"] for usage in known),
        }
    if model:
        output["model_name"] = model
    return output


def combined_llm_output(outputs: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Return the `llm_output` of several calls; one that was cached has none."""
    known = [output for output in outputs if output]
    names = [output["model_name"] for output in known if "model_name" in output]
    counts = [output["token_usage"] for output in known if "token_usage" in output]
    total: dict[str, Any] = {}
    if counts and len(counts) == len(known):
        total["token_usage"] = {key: sum(one[key] for one in counts) for key in counts[0]}
    return {**total, "model_name": names[0]} if names else total


def to_whole_chunk(result: ChatResult) -> ChatGenerationChunk:
    """Return the first of whole answers, as `invoke` does, as the one chunk of a stream."""
    answer = result.generations[0]
    fields = answer.message.model_dump(exclude={"type"})
    message = AIMessageChunk(**fields, chunk_position="last")
    return ChatGenerationChunk(message=message, generation_info=answer.generation_info)


def with_usage_of(first: ChatResult, second: ChatResult) -> ChatResult:
    """Return the second of two results, with the token counts and the duration of both."""
    one, other = first.generations[0].message, second.generations[0].message
    if isinstance(one, AIMessage) and isinstance(other, AIMessage) and one.usage_metadata:
        other.usage_metadata = add_usage(one.usage_metadata, other.usage_metadata)
        second.llm_output = combined_llm_output([first.llm_output, second.llm_output])
    for info in (other.response_metadata, second.generations[0].generation_info or {}):
        if "timing" in info and "timing" in one.response_metadata:
            earlier = one.response_metadata["timing"]["duration"]
            info["timing"] = {name: earlier + took for name, took in info["timing"].items()}
    return second


def _count_once(answers: Sequence[Answer]) -> None:
    """Keep the request's token counts on the first answer only, so that sums are right."""
    for answer in answers[1:]:
        answer.end.usage = None


def _chat_generation(answer: Answer, *, v1: bool) -> ChatGeneration:
    end = answer.end
    calls, invalid = _tool_calls(end.calls)
    info = info_of(end, answer.logprobs)
    fields = _AI_MESSAGE.copy()
    fields["content"] = _content(answer.text, answer.refusal, answer.media)
    fields["additional_kwargs"] = additional_kwargs(answer.reasoning, end)
    fields["response_metadata"] = info
    if v1:
        fields["content"] = _blocks(answer, calls, invalid)
        fields["response_metadata"] = {**info, "output_version": "v1"}
    fields["tool_calls"] = calls
    fields["invalid_tool_calls"] = invalid
    fields["usage_metadata"] = usage_metadata(end.usage)
    message = _unvalidated(AIMessage, fields, set(_AI_MESSAGE_SET), {})
    own = {"text": answer.text, "message": message, "generation_info": _without_shared(info)}
    return _unvalidated(ChatGeneration, {**_GENERATION, **own}, set(own))


def _content(text: str, refusal: str, media: Sequence[Media]) -> str | list[str | dict[str, Any]]:
    """Return the content of a message: langchain-core has a block for what a model refuses."""
    if not (refusal or media):
        return text
    return [*([text] if text else []), *_special_blocks(refusal, media)]


def _special_blocks(refusal: str, media: Sequence[Media]) -> list[dict[str, Any]]:
    # By `index` pieces of a stream are put together; langchain-core numbers other blocks.
    refused = {"type": "refusal", "refusal": refusal, "index": "lc_refusal"}
    return [*map(media_block, media), *([refused] if refusal else [])]


def media_block(media: Media) -> dict[str, Any]:
    """Return langchain-core's standard block."""
    named = {name: getattr(media, name) for name in ("id", "url", "base64", "mime_type")}
    block = {"type": media.kind, **{name: value for name, value in named.items() if value}}
    if media.transcript:
        block["extras"] = {"transcript": media.transcript}
    return {**block, "index": f"lc_media_{media.number}"}


def _blocks(
    answer: Answer, calls: Sequence[ToolCall], invalid: Sequence[InvalidToolCall]
) -> list[dict[str, Any]]:
    """Return a whole answer as standard blocks, in which langchain-core lacks the invalid calls."""
    reasoning = {"type": "reasoning", "reasoning": answer.reasoning}
    text = {"type": "text", "text": answer.text}
    return [
        *([reasoning] if answer.reasoning else []),
        *([text] if answer.text else []),
        *_special_blocks(answer.refusal, answer.media),
        *({"type": "tool_call", **call} for call in calls),
        *({"type": "invalid_tool_call", **call} for call in invalid),
    ]


def additional_kwargs(reasoning: str, delta: Delta) -> dict[str, Any]:
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


def info_of(end: Delta, logprobs: Mapping[str, object] | None) -> dict[str, Any]:
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


def usage_metadata(usage: Usage | None) -> UsageMetadata | None:
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
    if usage.audio_input_tokens is not None:
        result.setdefault("input_token_details", {})["audio"] = usage.audio_input_tokens
    if usage.audio_output_tokens is not None:
        result.setdefault("output_token_details", {})["audio"] = usage.audio_output_tokens
    return result


def _tool_calls(calls: Sequence[ToolCallDelta]) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    good: list[ToolCall] = []
    bad: list[InvalidToolCall] = []
    for call in calls:
        args = _arguments(call)
        if args is not None:
            good.append(tool_call(name=call.name or "", args=args, id=call.id))
        else:
            bad.append(_invalid_call(call))
    return good, bad


def _arguments(call: ToolCallDelta) -> dict[str, Any] | None:
    """Return the arguments of a whole call; None if it cannot be run."""
    from .._tool_formats.call_syntax import parse_arguments  # noqa: PLC0415 - loads when used

    return None if call.error else parse_arguments(call.arguments)


def _invalid_call(call: ToolCallDelta) -> InvalidToolCall:
    name, text = call.name or "", call.arguments
    return invalid_tool_call(name=name, args=text, id=call.id, error=call.error)


def call_block(call: ToolCallDelta) -> dict[str, Any]:
    """Return the standard block of a whole call."""
    args = _arguments(call)
    if args is None:
        return {**_invalid_call(call), "type": "invalid_tool_call"}
    return {"type": "tool_call", "id": call.id, "name": call.name or "", "args": args}


def to_chat_chunks(chunks: Iterable[Chunk], *, v1: bool = False) -> Iterator[ChatGenerationChunk]:
    set_fields = ChunkFields()
    for chunk in chunks:
        yield chat_chunk(chunk, set_fields) if isinstance(chunk, str) else _rich_chunk(chunk, v1=v1)


def _rich_chunk(delta: Delta, *, v1: bool) -> ChatGenerationChunk:
    # Of all that a stream hands on, only its end has one of these; of some servers, `extra` alone.
    of_end = (delta.finish_reason, delta.usage, delta.model, delta.extra)
    last = any(value is not None for value in of_end)
    content = _content(delta.text, delta.refusal, delta.media)
    metadata = {"model_provider": PROVIDER} if last else {}
    if v1 and delta.calls:
        # langchain-core would give text and the first call the same number, and merge them.
        content = [_call_chunk_block(call) for call in delta.calls]
        metadata["output_version"] = "v1"
    message = AIMessageChunk(
        content=content,
        additional_kwargs=additional_kwargs(delta.reasoning, delta),
        usage_metadata=usage_metadata(delta.usage),
        tool_call_chunks=[_call_chunk(call) for call in delta.calls],
        chunk_position="last" if last else None,
        response_metadata=metadata,
    )
    info = _without_shared(info_of(delta, delta.logprobs))
    return ChatGenerationChunk(message=message, generation_info=info or None)


def _call_chunk(call: ToolCallDelta) -> ToolCallChunk:
    args = call.arguments + call.unparseable_suffix
    return tool_call_chunk(name=call.name, args=args, id=call.id, index=call.index)


def _call_chunk_block(call: ToolCallDelta) -> dict[str, Any]:
    block = {"type": "tool_call_chunk", **_call_chunk(call), "index": f"lc_call_{call.index}"}
    return {**block, "error": call.error} if call.error else block


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
    info = _without_shared(info_of(end, logprobs))
    if reasoning:
        info["reasoning_content"] = reasoning
    if end.usage:
        info["usage"] = usage_metadata(end.usage)
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
