"""`EasyLLMRerank`: a LangChain document compressor on any Hugging Face reranking server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import Field

from ._fields.batching import BatchFields
from ._fields.connection import CONFIG
from ._protocols.rerank import RerankApi
from ._protocols.texts import check_several, check_text
from .errors import ConfigurationError

if TYPE_CHECKING:
    from ._batch.clients import RerankClient

__all__ = ["EasyLLMRerank"]


class EasyLLMRerank(BatchFields, BaseDocumentCompressor):
    """Document compressor on any Hugging Face reranker: TEI, vLLM, llama.cpp, the Hub.

    Key init args:
        model: Repository id on the Hugging Face Hub.
        base_url: URL of the server. Default: Inference Providers.
        top_n: Maximum number of documents to return.

    Instantiate:
        ```python
        from langchain_easyllm import EasyLLMRerank

        rerank = EasyLLMRerank(base_url="http://localhost:8080", top_n=1)
        ```

    Rerank documents:
        ```python
        from langchain_core.documents import Document

        documents = [Document("Cats sleep a lot."), Document("The train leaves at ten.")]
        best = rerank.compress_documents(documents, "When does the train leave?")
        ```

    Use with a retriever:
        ```python
        from langchain_classic.retrievers import ContextualCompressionRetriever
        from langchain_core.vectorstores import InMemoryVectorStore

        from langchain_easyllm import EasyLLMEmbeddings

        store = InMemoryVectorStore(EasyLLMEmbeddings(base_url="http://localhost:8080"))
        store.add_documents(documents)
        retriever = ContextualCompressionRetriever(
            base_compressor=rerank, base_retriever=store.as_retriever(search_kwargs={"k": 20})
        )
        found = retriever.invoke("When does the train leave?")
        ```

    Raises:
        ValueError: If a field is unknown (the message suggests the right one) or invalid.
        langchain_easyllm.errors.EasyLLMError: If a call fails; see `langchain_easyllm.errors`.
    """

    model_config = CONFIG

    api: Literal["auto", "tei", "jina", "text-ranking"] = "auto"
    """The protocol: TEI's `/rerank`, Jina's `/v1/rerank` (vLLM, llama.cpp), or the Hub's
    text-ranking (Hugging Face's own provider, endpoints with sentence-transformers). Default
    `"auto"`: the one that the server has."""

    top_n: int | None = Field(default=None, ge=1)
    """The maximum number of documents to return. Default None: all."""

    _tasks: ClassVar[tuple[str, ...]] = ("text-ranking",)
    _neutral: ClassVar[tuple[str, ...]] = ("truncate", "truncation_direction")

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002 - as langchain-core calls it
    ) -> list[Document]:
        """Return the documents that are most relevant to a query, the best first.

        Args:
            documents: The documents. None of them may be empty. They are not changed.
            query: The query. It may not be empty.
            callbacks: Not used: LangChain has no callbacks for rerankers.

        Returns:
            Copies of the documents, with the score in `metadata["relevance_score"]`.

        Raises:
            EasyLLMError: If a text cannot be sent, or a request fails. If the server refuses a
                document, the message has its index and its beginning.
        """
        given, texts = _checked(documents)
        return self._best(given, self._rerank_client(query).scores(texts)) if texts else []

    async def acompress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002 - as langchain-core calls it
    ) -> list[Document]:
        """Return the documents that are most relevant to a query; see `compress_documents`."""
        given, texts = _checked(documents)
        return self._best(given, await self._rerank_client(query).ascores(texts)) if texts else []

    def _rerank_client(self, query: str) -> RerankClient:
        from ._batch.clients import RerankClient  # noqa: PLC0415 - sockets load with the first request
        from ._batch.reranking import RerankRequest  # noqa: PLC0415 - as above

        request = RerankRequest(
            api=None if self.api == "auto" else RerankApi(self.api),
            query=check_text(query, "The query"),
            model=self.model,
            provider=self.provider,
            params={
                "truncate": self.truncate,
                "truncation_direction": self.truncation_direction,
            },
            extra=self.model_kwargs,
        )
        return RerankClient(self._connect().session, self._limits(), request)

    def _best(self, documents: Sequence[Document], scores: Sequence[float]) -> list[Document]:
        order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[: self.top_n]
        return [
            documents[index].model_copy(
                update={"metadata": {**documents[index].metadata, "relevance_score": scores[index]}}
            )
            for index in order
        ]


def _checked(documents: Iterable[Document]) -> tuple[list[Document], list[str]]:
    """Return documents and their texts, once these can be sent."""
    check_several(documents, what="document", one=str | bytes | Document)
    given = list(documents)
    texts = []
    for index, document in enumerate(given):
        if not isinstance(document, Document):
            raise ConfigurationError(
                f"Document {index} is of type {type(document).__name__}: pass "
                "Document(page_content=...)."
            )
        texts.append(check_text(document.page_content, f"Document {index}"))
    return given, texts
