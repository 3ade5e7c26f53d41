"""`EasyLLMEmbeddings`: LangChain embeddings on any Hugging Face embedding server."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

from langchain_core.embeddings import Embeddings
from langchain_core.messages.ai import UsageMetadata
from pydantic import Field

from ._fields.batching import BatchFields, progress_bar
from ._fields.connection import CONFIG, LOCAL
from ._fields.constructor_types import EmbeddingNames
from ._fields.local import LocalModelChoice
from ._protocols.embeddings import EmbeddingApi
from ._protocols.texts import check_several, check_text, prepare_texts
from ._servers.profile import EMBEDDING_FIELDS

if TYPE_CHECKING:
    from ._batch.clients import EmbeddingClient
    from ._batch.embedding import Array, ArrayJob, ListJob
    from .errors import EasyLLMError

__all__ = ["EasyLLMEmbeddings"]

# The values of `api` that are no protocol's name; None is chosen by the server.
_APIS: Mapping[str, EmbeddingApi | None] = {"auto": None, LOCAL: EmbeddingApi.EMBED}


class EasyLLMEmbeddings(EmbeddingNames, LocalModelChoice, BatchFields, Embeddings):
    """Embeddings on any Hugging Face server: TEI, vLLM, llama.cpp, Inference Providers; or local.

    Setup:
        Install the package, and set a token if the server is Hugging Face's:

        ```bash
        pip install langchain-easyllm
        export HF_TOKEN="hf_..."
        ```

    Key init args (connection):
        model: Repository id on the Hugging Face Hub. Default on Inference Providers:
            sentence-transformers/all-mpnet-base-v2, as in langchain-huggingface.
        base_url: URL of the server. Default: Inference Providers.
        api_key: Access token, if not the one of the environment.
        timeout: Maximum time of each request in seconds.
        max_retries: Maximum number of retries of each request.
        max_concurrency: Maximum number of requests in flight.

    Key init args (embedding):
        query_prompt: Text to put before each query (`"query: "` for E5).
        document_prompt: Text to put before each document (`"passage: "` for E5).
        normalize: Whether vectors have length 1.
        dimensions: Number of dimensions, for models that support it.
        batch_size: Maximum number of texts in one request.

    Instantiate:
        ```python
        from langchain_easyllm import EasyLLMEmbeddings

        embeddings = EasyLLMEmbeddings(base_url="http://localhost:8080")
        ```

    Embed a single text:
        ```python
        vector = embeddings.embed_query("When does the train leave?")
        ```

    Embed multiple texts:
        Any number of texts: they are sent in as few requests as the server accepts, concurrently.
        An empty text is an error, as it has no meaning to a model.

        ```python
        vectors = embeddings.embed_documents(["The train leaves at ten.", "Cats sleep a lot."])
        ```

    Embed to numpy arrays:
        ```python
        array = embeddings.embed_documents_array(["The train leaves at ten."])

        for array in embeddings.iter_embeddings(f"Text {number}" for number in range(2_000)):
            print(array.shape)
        ```

    Async:
        ```python
        vector = await embeddings.aembed_query("When does the train leave?")
        vectors = await embeddings.aembed_documents(["The train leaves at ten."])
        ```

    Raises:
        ValueError: If a field is unknown (the message suggests the right one) or invalid.
        langchain_easyllm.errors.EasyLLMError: If a call fails; see `langchain_easyllm.errors`.
    """

    model_config = CONFIG

    api: Literal["auto", "embed", "embeddings", "feature-extraction", "local"] = "auto"
    """The protocol: TEI's `"embed"`, OpenAI's `"embeddings"`, or the Hub's `"feature-extraction"`.
    Default `"auto"`: the one that the server has. `"local"` runs a sentence-transformers model in
    this process."""

    normalize: bool | None = None
    """Whether to normalize vectors to length 1 (True), or to request them as the model computes
    them (False). Default None: the server's own setting."""

    dimensions: int | None = Field(default=None, ge=1)
    """The number of dimensions of the vectors, for models that support it (Matryoshka). Default
    None: all."""

    prompt_name: str | None = None
    """The name of a prompt in the model's sentence-transformers configuration, which the server
    puts before every text. Default None."""

    query_prompt: str = ""
    """A text to put before every query (`"query: "` for E5; alias: `query_instruction`). Default:
    none."""

    document_prompt: str = ""
    """A text to put before every document (`"passage: "` for E5; alias: `embed_instruction`).
    Default: none."""

    pooling: Literal["mean", "cls"] | None = None
    """How to compute one vector if the server returns one per token: their mean, or the first.
    Default None: such a response is an error."""

    show_progress: bool = False
    """Whether `embed_documents` and `embed_documents_array` show a progress bar (needs tqdm).
    Default False."""

    _tasks: ClassVar[tuple[str, ...]] = ("feature-extraction",)
    _default_model: ClassVar[str | None] = "sentence-transformers/all-mpnet-base-v2"
    _neutral: ClassVar[tuple[str, ...]] = EMBEDDING_FIELDS
    _libraries: ClassVar[tuple[str, ...]] = ("torch", "sentence_transformers")
    _model_files: ClassVar[tuple[str, ...]] = ("modules.json", "config.json")
    _embeds: ClassVar[bool] = True

    @overload
    def embed_documents(self, texts: list[str]) -> list[list[float]]: ...

    @overload
    def embed_documents(
        self, texts: list[str], *, return_exceptions: bool
    ) -> list[list[float] | EasyLLMError]: ...

    def embed_documents(self, texts: list[str], *, return_exceptions: bool = False) -> Any:
        """Embed documents.

        Args:
            texts: The documents. None of them may be empty.
            return_exceptions: Whether a document that fails has its error in the place of its
                vector, with its position as `index`, and the others are embedded; or the first
                failure is raised. What concerns all documents (a rejected token, a model that is
                not there) is always raised. Default False.

        Returns:
            One vector per document, in their order.

        Raises:
            EasyLLMError: If a text cannot be sent, or a request fails. If the server refuses a
                text, or answers it with a vector of zeros or NaN, the message has its index and
                its beginning.
        """
        job = self._list_job(texts, errors={} if return_exceptions else None)
        with progress_bar(job.left, shown=self.show_progress) as job.on_progress:
            return self._embedding_client().run(job).lists

    @overload
    async def aembed_documents(self, texts: list[str]) -> list[list[float]]: ...

    @overload
    async def aembed_documents(
        self, texts: list[str], *, return_exceptions: bool
    ) -> list[list[float] | EasyLLMError]: ...

    async def aembed_documents(self, texts: list[str], *, return_exceptions: bool = False) -> Any:
        """Embed documents; see `embed_documents`."""
        job = self._list_job(texts, errors={} if return_exceptions else None)
        with progress_bar(job.left, shown=self.show_progress) as job.on_progress:
            return (await self._embedding_client().arun(job)).lists

    def embed_documents_with_usage(
        self, texts: list[str]
    ) -> tuple[list[list[float]], UsageMetadata | None]:
        """Embed documents, and return how many tokens they had.

        Args:
            texts: The documents. None of them may be empty.

        Returns:
            The vectors as `embed_documents` returns them; and the usage as the server counted it,
            all requests together, or None if it does not say. Embeddings have no output tokens.

        Raises:
            EasyLLMError: As `embed_documents`.
        """
        job = self._list_job(texts, counts_tokens=True)
        with progress_bar(job.left, shown=self.show_progress) as job.on_progress:
            return self._embedding_client().run(job).lists, _usage(job.tokens)

    async def aembed_documents_with_usage(
        self, texts: list[str]
    ) -> tuple[list[list[float]], UsageMetadata | None]:
        """Embed documents, and return how many tokens; see `embed_documents_with_usage`."""
        job = self._list_job(texts, counts_tokens=True)
        with progress_bar(job.left, shown=self.show_progress) as job.on_progress:
            return (await self._embedding_client().arun(job)).lists, _usage(job.tokens)

    def embed_query(self, text: str) -> list[float]:
        """Embed a query.

        Args:
            text: The query. It may not be empty.

        Returns:
            The vector.

        Raises:
            EasyLLMError: If the query cannot be sent, or the request fails.
        """
        return self._embedding_client().run(self._query_job(text)).lists[0]

    async def aembed_query(self, text: str) -> list[float]:
        """Embed a query; see `embed_query`."""
        return (await self._embedding_client().arun(self._query_job(text))).lists[0]

    def embed_documents_array(
        self, texts: Sequence[str], *, return_exceptions: bool = False
    ) -> Array:
        """Embed documents to a numpy array.

        Args:
            texts: The documents. None of them may be empty.
            return_exceptions: Whether a document that fails has a row of NaN, and its error in the
                array's `errors`, a dictionary by row; as in `embed_documents`. Default False.

        Returns:
            The vectors as a float32 array of shape `[len(texts), dimensions]`. If all texts fail,
            its width is the `dimensions` field, or 0.

        Raises:
            EasyLLMError: As `embed_documents`, and if numpy is not installed.
        """
        job = self._array_job(texts, return_exceptions=return_exceptions)
        with progress_bar(job.left, shown=self.show_progress) as job.on_progress:
            return self._embedding_client().run(job).rows(self.dimensions)

    async def aembed_documents_array(
        self, texts: Sequence[str], *, return_exceptions: bool = False
    ) -> Array:
        """Embed documents to a numpy array; see `embed_documents_array`."""
        job = self._array_job(texts, return_exceptions=return_exceptions)
        with progress_bar(job.left, shown=self.show_progress) as job.on_progress:
            return (await self._embedding_client().arun(job)).rows(self.dimensions)

    def iter_embeddings(
        self, texts: Iterable[str], *, return_exceptions: bool = False
    ) -> Iterator[Array]:
        """Embed any number of documents in constant memory.

        Texts are read as they are needed: some thousands of them ahead.

        Args:
            texts: The documents. None of them may be empty.
            return_exceptions: As in `embed_documents_array`. The keys of an array's `errors` are
                its rows; an error's `index` is the position among all texts. Default False.

        Yields:
            The vectors of the next 32 batches (1,024 texts by default, 4,096 at most, fewer if they
            have over 4 million characters together), in the order of the texts, as float32 arrays
            of shape `[number of texts, dimensions]`. If all texts of an array fail, it has the
            width of the vectors so far; before the first vector, that of the `dimensions` field,
            or 0.

        Raises:
            EasyLLMError: As `embed_documents_array`.
        """
        check_several(texts)
        yield from self._embedding_client().iter_arrays(
            texts, self.document_prompt, return_exceptions=return_exceptions
        )

    async def aiter_embeddings(
        self, texts: Iterable[str] | AsyncIterable[str], *, return_exceptions: bool = False
    ) -> AsyncIterator[Array]:
        """Embed any number of documents in constant memory; see `iter_embeddings`."""
        check_several(texts, Iterable | AsyncIterable)
        arrays = self._embedding_client().aiter_arrays(
            texts, self.document_prompt, return_exceptions=return_exceptions
        )
        async with aclosing(arrays):
            async for array in arrays:
                yield array

    def _list_job(
        self,
        texts: list[str],
        *,
        errors: dict[int, EasyLLMError] | None = None,
        counts_tokens: bool = False,
    ) -> ListJob:
        from ._batch.embedding import ListJob  # noqa: PLC0415 - sockets load with the first request

        given = prepare_texts(texts, self.document_prompt, errors=errors)
        return ListJob(given, errors=errors, counts_tokens=counts_tokens)

    def _array_job(self, texts: Sequence[str], *, return_exceptions: bool) -> ArrayJob:
        from ._batch.embedding import ArrayJob  # noqa: PLC0415 - as above

        errors: dict[int, EasyLLMError] | None = {} if return_exceptions else None
        return ArrayJob(prepare_texts(texts, self.document_prompt, errors=errors), errors=errors)

    def _query_job(self, text: str) -> ListJob:
        from ._batch.embedding import ListJob  # noqa: PLC0415 - as above

        given, prompt = check_text(text, "The query"), self.query_prompt
        return ListJob([check_text(prompt, "query_prompt") + given if prompt else given])

    def _embedding_client(self) -> EmbeddingClient:
        from ._batch.clients import EmbeddingClient  # noqa: PLC0415 - sockets load with the first request
        from ._batch.embedding import EmbeddingRequest  # noqa: PLC0415 - as above

        request = EmbeddingRequest(
            api=_APIS[self.api] if self.api in _APIS else EmbeddingApi(self.api),
            model=self.model,
            provider=self.provider,
            params={name: getattr(self, name) for name in EMBEDDING_FIELDS},
            extra=self._kwargs_of_body(),
            pooling=self.pooling,
        )
        return EmbeddingClient(self._connect().session, self._limits(), request)


def _usage(tokens: int | None) -> UsageMetadata | None:
    if tokens is None:
        return None
    return {"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens}
