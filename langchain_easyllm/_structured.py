"""`with_structured_output`: the model, followed by what reads its answer."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessageChunk
from langchain_core.output_parsers import BaseCumulativeTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough

from ._shape import Shape

__all__ = ["StructuredParser", "structured"]


class StructuredParser(BaseCumulativeTransformOutputParser[Any]):
    """Reads the object in an answer, and checks it; streams an object of a dict as it grows."""

    shape: Any
    """The shape that the answer is to have."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:  # noqa: ANN401 - the caller's own type
        """Return the object; of a stream that goes on, as much as has come.

        Raises:
            StructuredOutputError: If there is none, or it does not fit.
        """
        generation = result[0]
        if not isinstance(generation, ChatGeneration):
            raise TypeError(generation)
        message, shape = generation.message, self.shape
        goes_on = isinstance(message, AIMessageChunk) and message.chunk_position != "last"
        return shape.partial(message) if partial and goes_on else shape.parse(message)

    def parse(self, text: str) -> Any:  # noqa: ANN401 - as above
        """Return the object in a text."""
        return self.shape.parse(AIMessageChunk(content=text, chunk_position="last"))


def structured(
    model: Runnable[LanguageModelInput, Any], shape: Shape, *, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """Return a model followed by what reads its answer.

    Args:
        model: The model, bound to the shape.
        shape: The shape.
        include_raw: Whether to return the message and the error, if there is one, too.
    """
    parser = StructuredParser(shape=shape)
    if not include_raw:
        return model | parser
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    read = parsed.with_fallbacks([failed], exception_key="parsing_error")
    return RunnableMap(raw=model) | read
