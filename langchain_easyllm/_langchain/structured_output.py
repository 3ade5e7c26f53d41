"""`with_structured_output`, with the types that a type checker can know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypeVar, overload

from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.runnables import Runnable

from .._structured_output.options import Method, OutputMode, WholeMode

Answer = TypeVar("Answer")
Input: TypeAlias = LanguageModelInput
JsonSchema: TypeAlias = Mapping[str, Any]
AnyMethod: TypeAlias = Literal["auto", Method]


class StructuredOutputMixin(BaseChatModel):
    """Answers that fit a schema."""

    # langchain-core promises a dict or a BaseModel, which a dataclass is not. The items of a list
    # have another type than what `invoke` returns: hence Any.
    @overload  # type: ignore[override]
    def with_structured_output(
        self,
        schema: type[Any] | JsonSchema,
        *,
        method: AnyMethod | None = None,
        include_raw: Literal[False] = False,
        strict: bool | None = None,
        output_mode: Literal["items"],
        **kwargs: Any,
    ) -> Runnable[Input, Any]: ...
    @overload
    def with_structured_output(
        self,
        schema: type[Answer],
        *,
        method: AnyMethod | None = None,
        include_raw: Literal[False] = False,
        strict: bool | None = None,
        output_mode: WholeMode | None = None,
        **kwargs: Any,
    ) -> Runnable[Input, Answer]: ...
    @overload
    def with_structured_output(
        self,
        schema: JsonSchema,
        *,
        method: AnyMethod | None = None,
        include_raw: Literal[False] = False,
        strict: bool | None = None,
        output_mode: WholeMode | None = None,
        **kwargs: Any,
    ) -> Runnable[Input, dict[str, Any]]: ...
    @overload
    def with_structured_output(
        self,
        schema: type[Any] | JsonSchema,
        *,
        method: AnyMethod | None = None,
        include_raw: Literal[True],
        strict: bool | None = None,
        output_mode: Literal["auto", "final"] | None = None,
        **kwargs: Any,
    ) -> Runnable[Input, dict[str, Any]]: ...
    @overload
    def with_structured_output(
        self,
        schema: type[Any] | JsonSchema,
        *,
        method: AnyMethod | None = None,
        include_raw: bool,
        strict: bool | None = None,
        output_mode: Literal["auto", "final"] | None = None,
        **kwargs: Any,
    ) -> Runnable[Input, Any]: ...

    def with_structured_output(
        self,
        schema: type[Any] | JsonSchema,
        *,
        method: AnyMethod | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        output_mode: OutputMode | None = None,
        **kwargs: Any,
    ) -> Runnable[Input, Any]:
        """Return a runnable that answers with an object that fits a schema.

        Args:
            schema: A pydantic class (2 or 1), a dataclass, a TypedDict, a JSON schema or OpenAI's
                dict of a function.
            method: How the object is requested. `"json_schema"` constrains decoding,
                `"function_calling"` requires a call of a tool with this schema, `"json_mode"`
                requests any JSON object (describe it in the prompt), `"prompt"` describes the
                schema in the prompt. None (default) or `"auto"` uses the strongest method that the
                server supports, falls back to the next one if the server refuses it, and sends one
                more request to repair an answer that does not fit. The method that was used is in
                the message's `response_metadata["structured_output_method"]`.
            include_raw: Whether to return a dict with `raw` (the message), `parsed` and
                `parsing_error` instead of raising an error for an answer that does not fit.
            strict: Whether the server must follow the schema exactly, if it supports that.
            output_mode: What a stream yields; `invoke` always returns the whole answer.
                `"final"`: the whole answer, once. `"partial"`: the answer as it grows; of a class,
                an instance each time that what has come is a valid one. `"items"`: of a list, or
                of an object with one list, each item as soon as it is complete. None (default) or
                `"auto"`: a dict or a list as it grows, an instance of a class once it is complete.
            kwargs: Generation fields to bind as well.

        Returns:
            A runnable that answers with an instance of the pydantic class or the dataclass, else
            with a dict.

        Raises:
            ConfigurationError: If the schema, the method or the output mode is not known. A call
                whose answer does not fit raises
                `langchain_easyllm.errors.StructuredOutputError`.
        """
        from .._structured_output.parser import structured  # noqa: PLC0415 - seldom needed
        from .._structured_output.schema import make_output_schema  # noqa: PLC0415 - as above

        output = make_output_schema(schema, method, strict=strict)
        options = {"method": method or "auto", "strict": strict}
        trace = {"kwargs": options, "schema": output.described}
        model = self.bind(structured_output=output, ls_structured_output_format=trace, **kwargs)
        return structured(model, output, include_raw=include_raw, output_mode=output_mode)
