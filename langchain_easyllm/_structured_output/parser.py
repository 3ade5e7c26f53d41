"""`with_structured_output`: the model, followed by what reads its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.output_parsers import BaseCumulativeTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableConfig, RunnableMap, RunnableSerializable

from .growing_json import NOTHING, GrowingJson
from .json_in_text import GrowingText
from .schema import OutputSchema


class StructuredParser(BaseCumulativeTransformOutputParser[Any]):
    """Reads the object in an answer, and checks it; streams an object of a dict as it grows."""

    target: Any
    """The `OutputSchema`."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:  # noqa: ANN401 - the caller's own type
        """Return the object; of a stream that goes on, as much as has come."""
        generation = result[0]
        if not isinstance(generation, ChatGeneration):
            raise TypeError(generation)
        message = generation.message
        goes_on = isinstance(message, AIMessageChunk) and message.chunk_position != "last"
        return self.target.partial(message) if partial and goes_on else self.target.parse(message)

    def parse(self, text: str) -> Any:  # noqa: ANN401 - as above
        return self.target.parse(AIMessageChunk(content=text, chunk_position="last"))

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[object]:
        growing = _GrowingAnswer(self)
        for chunk in input:
            yield from growing.feed(chunk)
        yield from growing.finish()

    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[object]:
        growing = _GrowingAnswer(self)
        async for chunk in input:
            for value in growing.feed(chunk):
                yield value
        for value in growing.finish():
            yield value


class _GrowingAnswer:
    """What has come of an answer: langchain-core would read all of it again at each chunk."""

    def __init__(self, parser: StructuredParser) -> None:
        self._parser = parser
        self._schema: OutputSchema = parser.target
        self._chunks: list[str | BaseMessage] = []
        self._text = GrowingText(arrays=not self._schema.is_object)
        self._arguments: GrowingJson | None = None
        self._index: object = None  # of the call whose arguments these are
        self._last = NOTHING

    def feed(self, chunk: str | BaseMessage) -> Iterator[object]:
        """Yield what there is now, if that is more."""
        self._chunks.append(chunk)
        if self._schema.has_instances:
            return
        growing = self._read(chunk)
        if growing is not None:
            self._last = growing.value
            yield self._last

    def _read(self, chunk: str | BaseMessage) -> GrowingText | GrowingJson | None:
        """Return what has grown."""
        calls = chunk.tool_call_chunks if isinstance(chunk, AIMessageChunk) else ()
        grown = False
        for call in calls:
            if self._arguments is None and call["name"] == self._schema.name:
                self._arguments, self._index = GrowingJson(), call["index"]
            if self._arguments is not None and call["index"] == self._index:
                grown = self._arguments.feed(call["args"] or "") or grown
        if self._arguments is not None:
            return self._arguments if grown else None
        text = chunk if isinstance(chunk, str) else chunk.text
        return self._text if text and self._text.feed(text) else None

    def finish(self) -> Iterator[object]:
        """Yield the whole answer, checked, unless it has been shown as it is."""
        if self._chunks:
            whole = self._whole()
            if whole != self._last:
                yield whole

    def _whole(self) -> object:
        first, *others = self._chunks
        if isinstance(first, str):
            return self._parser.parse("".join(map(str, self._chunks)))
        if isinstance(first, AIMessageChunk):
            more = [chunk for chunk in others if isinstance(chunk, AIMessageChunk)]
            first = add_ai_message_chunks(first, *more)
        return self._schema.parse(first)


def structured(
    model: Runnable[LanguageModelInput, Any], schema: OutputSchema, *, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """Return a model followed by what reads its answer."""
    parser = StructuredParser(target=schema)
    return RunnableMap(raw=model) | _WithRaw(parser=parser) if include_raw else model | parser


class _WithRaw(RunnableSerializable[dict[str, Any], dict[str, Any]]):
    """Reads the object in an answer, and puts it, or why there is none, beside the answer."""

    parser: StructuredParser
    """Reads the object."""

    def invoke(
        self,
        input: dict[str, Any],
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ARG002 - LangChain's signature
    ) -> dict[str, Any]:
        try:
            found = {"parsed": self.parser.invoke(input["raw"], config), "parsing_error": None}
        except Exception as error:  # a validator of the caller's own may raise anything  # noqa: BLE001
            found = {"parsed": None, "parsing_error": error}
        return {**input, **found}
