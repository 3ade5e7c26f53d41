"""Chunks of plain text, made fast.

A chunk is built for every token, and pydantic's validation is most of what that costs. What is put
in here has the right types, so a chunk is set up as pydantic's own `model_construct` and unpickling
leave one: the fields of an empty chunk, with the text in place and containers of its own.
"""

from __future__ import annotations

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk

__all__ = ["ChunkFields", "chat_chunk", "text_chunk"]

_new, _put = object.__new__, object.__setattr__

_MESSAGE = AIMessageChunk(content="").__dict__
_CHAT = ChatGenerationChunk(message=AIMessageChunk(content="")).__dict__
_TEXT = GenerationChunk(text="").__dict__


class ChunkFields:
    """Which fields count as set, shared by the chunks that were read together.

    A set for each chunk would be a third of what the garbage collector has to follow. The names
    are those that langchain-core sets on every chunk.
    """

    __slots__ = ("chunk", "message")

    def __init__(self) -> None:
        self.message = {"content", "id", "response_metadata"}
        self.chunk = {"message", "text"}


def chat_chunk(text: str, set_fields: ChunkFields) -> ChatGenerationChunk:
    """Return a chat model's chunk that holds nothing but text."""
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
    _put(message, "__pydantic_extra__", {})  # messages allow fields of one's own
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
    """Return an LLM's chunk that holds nothing but text."""
    fields = _TEXT.copy()
    fields["text"] = text
    chunk = _new(GenerationChunk)
    _put(chunk, "__dict__", fields)
    _put(chunk, "__pydantic_fields_set__", set_fields.chunk)
    _put(chunk, "__pydantic_extra__", None)
    _put(chunk, "__pydantic_private__", None)
    return chunk
