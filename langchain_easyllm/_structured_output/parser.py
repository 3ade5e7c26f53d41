"""`with_structured_output`: the model, followed by what reads its answer."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessageChunk
from langchain_core.output_parsers import BaseCumulativeTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableConfig, RunnableMap, RunnableSerializable

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
