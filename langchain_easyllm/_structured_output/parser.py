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
from .options import OutputMode
from .output_mode import ItemList, check_output_mode
from .schema import OutputSchema

# An instance is made each time that the answer has grown by such a part of it: the work on all of
# them is linear in the answer.
_GROWTH = 32


class StructuredParser(BaseCumulativeTransformOutputParser[Any]):
    """Reads the object in an answer, and checks it; streams what its mode says."""

    target: Any
    """The `OutputSchema`."""

    output_mode: OutputMode = "auto"
    """What a stream yields."""

    items: Any = None
    """With the mode `"items"`: the `ItemList`."""

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
        self._schema: OutputSchema = parser.target
        self._items: ItemList | None = parser.items
        mode = parser.output_mode
        makes_instances = self._schema.has_instances and self._items is None
        self._is_shown = mode != "final" and (mode != "auto" or not makes_instances)
        self._makes_instances = makes_instances
        self._chunks: list[str | BaseMessage] = []
        self._text = GrowingText(arrays=not self._schema.is_object)
        self._arguments: GrowingJson | None = None
        self._index: object = None  # of the call whose arguments these are
        self._last = NOTHING
        self._yielded: list[object] = []  # the items, as JSON
        self._size = self._unshown = 0  # in characters

    def feed(self, chunk: str | BaseMessage) -> Iterator[object]:
        """Yield what there is now, if that is more."""
        self._chunks.append(chunk)
        growing = self._read(chunk) if self._is_shown else None
        if self._items is not None:  # which may be over where nothing is new
            source = self._arguments or self._text
            yield from self._new_items(*source.complete_items(self._items.key))
        elif growing is None:
            return
        elif self._makes_instances:
            yield from self._instance(growing.value)
        else:
            self._last = growing.value
            yield self._last

    def _instance(self, value: object) -> Iterator[object]:
        """Yield an instance of what has come, if it is a valid one, and another one."""
        if self._unshown * _GROWTH < self._size:
            return
        self._unshown = 0
        try:
            found = self._schema.build(value)
        except Exception:  # a validator of the caller's own may raise anything  # noqa: BLE001
            return
        if self._last is NOTHING or found != self._last:
            self._last = found
            yield found

    def _new_items(self, values: list[object], count: int) -> Iterator[object]:
        """Yield those of a list's first items that have not been yielded."""
        if self._items is None:
            return
        for index in range(len(self._yielded), count):
            value = values[index]
            try:
                item = self._items.read(value, index)
            except ValueError as error:
                raise self._schema.misfit(str(error), self._message()) from error
            self._yielded.append(value)
            yield item

    def _read(self, chunk: str | BaseMessage) -> GrowingText | GrowingJson | None:
        """Return what has grown."""
        calls = chunk.tool_call_chunks if isinstance(chunk, AIMessageChunk) else ()
        grown = False
        for call in calls:
            if self._arguments is None and call["name"] == self._schema.name:
                self._arguments, self._index = GrowingJson(), call["index"]
            if self._arguments is not None and call["index"] == self._index:
                piece = call["args"] or ""
                self._count(piece)
                grown = self._arguments.feed(piece) or grown
        if self._arguments is not None:
            return self._arguments if grown else None
        text = chunk if isinstance(chunk, str) else chunk.text
        self._count(text)
        return self._text if text and self._text.feed(text) else None

    def _count(self, text: str) -> None:
        self._size += len(text)
        self._unshown += len(text)

    def finish(self) -> Iterator[object]:
        """Yield the whole answer, checked, unless it has been shown as it is."""
        if not self._chunks:
            return
        message = self._message()
        whole = self._schema.parse(message)
        if self._items is None:
            if self._last is NOTHING or whole != self._last:
                yield whole
            return
        complete = self._items.of(self._schema.value_of(message))
        if complete[: len(self._yielded)] != self._yielded:
            raise self._schema.misfit("it has JSON before the one that is the answer", message)
        yield from self._new_items(complete, len(complete))

    def _message(self) -> BaseMessage:
        """Return what has come as one message."""
        first, *others = self._chunks
        if isinstance(first, str):
            return AIMessageChunk(content="".join(map(str, self._chunks)), chunk_position="last")
        if isinstance(first, AIMessageChunk):
            more = [chunk for chunk in others if isinstance(chunk, AIMessageChunk)]
            return add_ai_message_chunks(first, *more)
        return first


def structured(
    model: Runnable[LanguageModelInput, Any],
    schema: OutputSchema,
    *,
    include_raw: bool,
    output_mode: str | None = None,
) -> Runnable[LanguageModelInput, Any]:
    """Return a model followed by what reads its answer."""
    mode = check_output_mode(output_mode, include_raw=include_raw)
    items = ItemList(schema) if mode == "items" else None
    parser = StructuredParser(target=schema, output_mode=mode, items=items)
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
