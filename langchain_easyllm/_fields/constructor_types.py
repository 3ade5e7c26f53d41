"""The arguments of constructors for type checkers: fields that convert, and other packages' names.

At run time this has no effect: pydantic sees the fields, and `aliases` renames arguments.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, SecretStr
from pydantic.json_schema import SkipJsonSchema

from .timeouts import TimeoutNumbers

Read = TypeVar("Read")
Given = TypeVar("Given")

UNSET: Any = None
"""A default of any type."""

if TYPE_CHECKING:
    from .._http.models import Request

    Key = str | SecretStr
    KeyFunction = Callable[[], Key] | Callable[[], Awaitable[Key]]
    Headers = Mapping[str, str] | None
    RequestHook = Callable[[Request], Headers] | Callable[[Request], Awaitable[Headers]]

    class Convertible(Generic[Read, Given]):
        """The type of a field that converts: it is read as one type, and also set as another."""

        def __get__(self, instance: object, owner: object) -> Read: ...
        def __set__(self, instance: object, value: Read | Given) -> None: ...

else:
    KeyFunction = Callable[..., Any]
    RequestHook = Annotated[Callable[..., Any], SkipJsonSchema()]

    class Convertible:
        def __class_getitem__(cls, types: tuple[object, object]) -> object:
            """Return the type that pydantic checks."""
            return types[0]


class ConnectionNames(BaseModel):
    """Names of other packages that all classes accept, and arguments that are no fields."""

    if TYPE_CHECKING:
        model_name: Convertible[str | None, str] = UNSET
        repo_id: Convertible[None, str] = UNSET
        endpoint_url: Convertible[None, Sequence[str]] = UNSET
        inference_server_url: Convertible[None, Sequence[str]] = UNSET
        api_base: Convertible[None, Sequence[str]] = UNSET
        api_url: Convertible[None, Sequence[str]] = UNSET
        openai_api_base: Convertible[None, Sequence[str]] = UNSET
        token: Convertible[None, SecretStr | str | KeyFunction] = UNSET
        huggingfacehub_api_token: Convertible[None, SecretStr | str | KeyFunction] = UNSET
        openai_api_key: Convertible[None, SecretStr | str | KeyFunction] = UNSET
        request_timeout: Convertible[None, float | TimeoutNumbers] = UNSET
        extra_body: Convertible[None, Mapping[str, Any]] = UNSET
        chunk_size: Convertible[None, int] = UNSET
        additional_headers: Convertible[None, Mapping[str, str]] = UNSET
        server_kwargs: Convertible[None, Mapping[str, Any]] = UNSET
        task: Convertible[None, str] = UNSET
        client: Convertible[None, None] = UNSET
        async_client: Convertible[None, None] = UNSET
        tokenizer: Convertible[None, None] = UNSET


class ModelNames(ConnectionNames):
    """Names of other packages that the language models accept."""

    if TYPE_CHECKING:
        model_id: Convertible[str | None, str] = UNSET
        max_new_tokens: Convertible[None, int] = UNSET
        min_new_tokens: Convertible[None, int] = UNSET
        max_completion_tokens: Convertible[None, int] = UNSET
        num_predict: Convertible[None, int] = UNSET
        max_length: Convertible[None, int] = UNSET
        repeat_penalty: Convertible[None, float] = UNSET
        format: Convertible[None, str | Mapping[str, Any]] = UNSET
        reasoning: Convertible[None, bool | str | Mapping[str, Any]] = UNSET
        stop_sequences: Convertible[None, list[str] | str] = UNSET
        echo: Convertible[None, bool] = UNSET


class BatchNames(ConnectionNames):
    """Names of other packages that embeddings and rerankers accept."""

    if TYPE_CHECKING:
        model_id: Convertible[None, str] = UNSET


class EmbeddingNames(BatchNames):
    """Names of other packages that embeddings accept."""

    if TYPE_CHECKING:
        query_instruction: Convertible[None, str] = UNSET
        embed_instruction: Convertible[None, str] = UNSET
        encode_kwargs: Convertible[None, Mapping[str, Any]] = UNSET
        show_progress_bar: Convertible[None, bool] = UNSET
