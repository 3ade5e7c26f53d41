"""`EasyLLMEmbeddings`: LangChain embeddings on any Hugging Face embedding server."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, ClassVar, Literal

from langchain_core.embeddings import Embeddings
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
    from ._batch.embedding import Array

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

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed documents.

        Args:
            texts: The documents. None of them may be empty.

        Returns:
            One vector per document, in their order.

        Raises:
            EasyLLMError: If a text cannot be sent, or a request fails. If the server refuses a
                text, the message has its index and its beginning.
        """
        given = prepare_texts(texts, self.document_prompt)
        with progress_bar(len(given), shown=self.show_progress) as bar:
            return self._embedding_client().lists(given, bar) if given else []

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed documents; see `embed_documents`."""
        given = prepare_texts(texts, self.document_prompt)
        with progress_bar(len(given), shown=self.show_progress) as bar:
            return await self._embedding_client().alists(given, bar) if given else []

    def embed_query(self, text: str) -> list[float]:
        """Embed a query.

        Args:
            text: The query. It may not be empty.

        Returns:
            The vector.

        Raises:
            EasyLLMError: If the query cannot be sent, or the request fails.
        """
        return self._embedding_client().lists([_prepare_query(text, self.query_prompt)])[0]

    async def aembed_query(self, text: str) -> list[float]:
        """Embed a query; see `embed_query`."""
        return (await self._embedding_client().alists([_prepare_query(text, self.query_prompt)]))[0]

    def embed_documents_array(self, texts: Sequence[str]) -> Array:
        """Embed documents to a numpy array.

        Args:
            texts: The documents. None of them may be empty.

        Returns:
            The vectors as a float32 array of shape `[len(texts), dimensions]`.

        Raises:
            EasyLLMError: As `embed_documents`, and if numpy is not installed.
        """
        given = prepare_texts(texts, self.document_prompt)
        with progress_bar(len(given), shown=self.show_progress) as bar:
            return self._embedding_client().array(given, bar)

    async def aembed_documents_array(self, texts: Sequence[str]) -> Array:
        """Embed documents to a numpy array; see `embed_documents_array`."""
        given = prepare_texts(texts, self.document_prompt)
        with progress_bar(len(given), shown=self.show_progress) as bar:
            return await self._embedding_client().aarray(given, bar)

    def iter_embeddings(self, texts: Iterable[str]) -> Iterator[Array]:
        """Embed any number of documents in constant memory.

        Texts are read as they are needed.

        Args:
            texts: The documents. None of them may be empty.

        Yields:
            The vectors of the next 32 batches (1,024 texts by default), in the order of the texts,
            as float32 arrays of shape `[number of texts, dimensions]`.

        Raises:
            EasyLLMError: As `embed_documents_array`.
        """
        check_several(texts)
        yield from self._embedding_client().iter_arrays(texts, self.document_prompt)

    async def aiter_embeddings(
        self, texts: Iterable[str] | AsyncIterable[str]
    ) -> AsyncIterator[Array]:
        """Embed any number of documents in constant memory; see `iter_embeddings`."""
        check_several(texts, Iterable | AsyncIterable)
        arrays = self._embedding_client().aiter_arrays(texts, self.document_prompt)
        async with aclosing(arrays):
            async for array in arrays:
                yield array

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


def _prepare_query(text: str, prompt: str) -> str:
    """Return a query as it is sent, once it can be."""
    checked = check_text(text, "The query")
    return check_text(prompt, "query_prompt") + checked if prompt else checked
