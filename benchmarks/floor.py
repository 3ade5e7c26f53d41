"""langchain-core's own floor: models that hand over ready chunks and do no I/O.

What these take, every LangChain integration takes: callbacks, tracing, merging of chunks. The
chunks are built before the clock starts (`fill`), as langchain-core changes each it is given; with
`fill(..., ready=False)` they are built one by one while the stream runs, as an integration has to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.llms import LLM
from langchain_core.messages import AIMessage, AIMessageChunk, ToolCall
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, GenerationChunk
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr

from .server import CALLED, SHORT_ANSWER, tokens_of

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage


class FloorChat(BaseChatModel):
    """A chat model whose chunks are ready before they are asked for."""

    model: str = "m"
    _ready: list[Iterable[ChatGenerationChunk]] = PrivateAttr(default_factory=list)

    def fill(self, streams: int, tokens: int, *, ready: bool = True) -> None:
        """Build the chunks of so many streams of so many tokens."""
        self._ready[:] = [
            (ChatGenerationChunk(message=AIMessageChunk(content=t)) for t in tokens_of(tokens))
            for _ in range(streams)
        ]
        if ready:
            self._ready[:] = [list(chunks) for chunks in self._ready]

    @property
    def _llm_type(self) -> str:
        return "floor"

    def bind_tools(self, tools: Sequence[object], **kwargs: object):
        """Convert the tools, as everybody has to."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _result(self) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=SHORT_ANSWER))])

    def _generate(self, messages: list[BaseMessage], stop=None, run_manager=None, **kwargs):
        if kwargs.get("tools") and messages[-1].type != "tool":
            call = ToolCall(name=CALLED, args={"place": "Oslo"}, id="call_1")
            message = AIMessage(content="", tool_calls=[call])
            return ChatResult(generations=[ChatGeneration(message=message)])
        return self._result()

    async def _agenerate(self, messages: list[BaseMessage], stop=None, run_manager=None, **kwargs):
        return self._result()

    def _stream(
        self, messages: list[BaseMessage], stop=None, run_manager=None, **kwargs
    ) -> Iterator[ChatGenerationChunk]:
        yield from self._ready.pop()

    async def _astream(
        self, messages: list[BaseMessage], stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._ready.pop():
            yield chunk


class FloorLLM(LLM):
    """An LLM whose chunks are ready before they are asked for."""

    model: str = "m"
    _ready: list[Iterable[GenerationChunk]] = PrivateAttr(default_factory=list)

    def fill(self, streams: int, tokens: int, *, ready: bool = True) -> None:
        """Build the chunks of so many streams of so many tokens."""
        self._ready[:] = [
            (GenerationChunk(text=token) for token in tokens_of(tokens)) for _ in range(streams)
        ]
        if ready:
            self._ready[:] = [list(chunks) for chunks in self._ready]

    @property
    def _llm_type(self) -> str:
        return "floor"

    def _call(self, prompt: str, stop=None, run_manager=None, **kwargs) -> str:
        return SHORT_ANSWER

    async def _acall(self, prompt: str, stop=None, run_manager=None, **kwargs) -> str:
        return SHORT_ANSWER

    def _stream(
        self, prompt: str, stop=None, run_manager=None, **kwargs
    ) -> Iterator[GenerationChunk]:
        for chunk in self._ready.pop():
            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self, prompt: str, stop=None, run_manager=None, **kwargs
    ) -> AsyncIterator[GenerationChunk]:
        for chunk in self._ready.pop():
            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
