"""`EasyLLMSparseEmbeddings`: sparse vectors of Text Embeddings Inference, for langchain-qdrant."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, ClassVar

from ._fields.batching import BatchFields
from ._fields.connection import CONFIG
from ._protocols.sparse_vectors import SPARSE_FIELDS, SparseVector
from ._protocols.texts import check_text, prepare_texts

if TYPE_CHECKING:
    from ._batch.clients import SparseClient

__all__ = ["EasyLLMSparseEmbeddings", "SparseVector"]


class EasyLLMSparseEmbeddings(BatchFields):
    """Sparse vectors of a SPLADE model on Text Embeddings Inference (TEI).

    It has the interface of langchain-qdrant's `SparseEmbeddings`, and needs none of it installed.

    Key init args:
        base_url: URL of the server: TEI, started with `--pooling splade`.
        api_key: Access token, if not the one of the environment.
        truncate: Whether the server cuts texts that are too long for the model.

    Instantiate:
        ```python
        from langchain_easyllm import EasyLLMSparseEmbeddings

        sparse = EasyLLMSparseEmbeddings(base_url="http://localhost:8080")
        ```

    Embed:
        ```python
        vector = sparse.embed_query("When does the train leave?")
        print(vector.indices, vector.values)
        ```

    Use with Qdrant:
        ```python
        from langchain_qdrant import QdrantVectorStore, RetrievalMode

        store = QdrantVectorStore.from_texts(
            ["The train leaves at ten.", "Cats sleep a lot."],
            sparse_embedding=sparse,
            retrieval_mode=RetrievalMode.SPARSE,
            location=":memory:",
        )
        ```

    Raises:
        ValueError: If a field is unknown (the message suggests the right one) or invalid.
        langchain_easyllm.errors.EasyLLMError: If a call fails; see `langchain_easyllm.errors`.
    """

    model_config = CONFIG

    prompt_name: str | None = None
    """The name of a prompt in the model's sentence-transformers configuration, which the server
    puts before every text. Default None."""

    _tasks: ClassVar[tuple[str, ...]] = ("feature-extraction",)
    _neutral: ClassVar[tuple[str, ...]] = SPARSE_FIELDS

    def model_post_init(self, context: object, /) -> None:
        """Call the next hook, as `ConnectionFields` does."""
        super().model_post_init(context)
        _register(type(self))

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        """Embed documents.

        Args:
            texts: The documents. None of them may be empty.

        Returns:
            One sparse vector per document, in their order.

        Raises:
            EasyLLMError: If a text cannot be sent, or a request fails. If the server refuses a
                text, the message has its index and its beginning.
        """
        given = prepare_texts(texts, "")
        return self._sparse_client().vectors(given) if given else []

    async def aembed_documents(self, texts: list[str]) -> list[SparseVector]:
        """Embed documents; see `embed_documents`."""
        given = prepare_texts(texts, "")
        return await self._sparse_client().avectors(given) if given else []

    def embed_query(self, text: str) -> SparseVector:
        """Embed a query.

        Args:
            text: The query. It may not be empty.

        Returns:
            The sparse vector.

        Raises:
            EasyLLMError: If the query cannot be sent, or the request fails.
        """
        return self._sparse_client().vectors([check_text(text, "The query")])[0]

    async def aembed_query(self, text: str) -> SparseVector:
        """Embed a query; see `embed_query`."""
        return (await self._sparse_client().avectors([check_text(text, "The query")]))[0]

    def _sparse_client(self) -> SparseClient:
        from ._batch.clients import SparseClient  # noqa: PLC0415 - sockets load with the first request
        from ._batch.sparse import SparseRequest  # noqa: PLC0415 - as above

        request = SparseRequest(
            params={name: getattr(self, name) for name in SPARSE_FIELDS},
            extra=self.model_kwargs,
        )
        return SparseClient(self._connect().session, self._limits(), request)


def _register(cls: type) -> None:
    """Let `isinstance` know langchain-qdrant's interface in a class, where that is loaded."""
    qdrant = sys.modules.get("langchain_qdrant.sparse_embeddings")
    interface = getattr(qdrant, "SparseEmbeddings", None)
    if interface is not None and not issubclass(cls, interface):
        interface.register(cls)
