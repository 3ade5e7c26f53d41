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
    from ._batch.reranking import RerankTask
    from ._batch.scheduler import BatchJob
    from ._servers.profile import ServerInfo
    from ._servers.session import ServerSession

__all__ = ["EasyLLMRerank"]


class EasyLLMRerank(BatchFields, BaseDocumentCompressor):
    """Document compressor on any Hugging Face reranker: TEI, vLLM, llama.cpp, the Hub.

    Example:
        ```python
        from langchain_classic.retrievers import ContextualCompressionRetriever
        from langchain_easyllm import EasyLLMRerank

        rerank = EasyLLMRerank(base_url="http://localhost:8080", top_n=3)
        retriever = ContextualCompressionRetriever(
            base_compressor=rerank, base_retriever=store.as_retriever(search_kwargs={"k": 20})
        )
        ```

    Raises:
        ValueError: If a field is unknown (the message names the nearest right one) or has a value
            that cannot work.
        langchain_easyllm.errors.EasyLLMError: When a call fails; see `langchain_easyllm.errors`.
    """

    model_config = CONFIG

    api: Literal["auto", "tei", "jina", "text-ranking"] = "auto"
    """Protocol: TEI's `/rerank`, Jina's `/v1/rerank` (vLLM, llama.cpp), or the Hub's text-ranking
    (Hugging Face's own provider, endpoints with sentence-transformers). Default `"auto"`: what the
    server has."""

    top_n: int | None = Field(default=None, ge=1)
    """How many documents are kept. Default None: all, the best first."""

    _tasks: ClassVar[tuple[str, ...]] = ("text-ranking",)
    _neutral: ClassVar[tuple[str, ...]] = ("truncate", "truncation_direction")

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002 - as langchain-core calls it
    ) -> list[Document]:
        """Return the documents that fit a query best, the best first.

        Args:
            documents: The documents, none of them empty. They are not changed.
            query: What they are ranked for, not empty.
            callbacks: Not used: no call of a model is reported for a reranker.

        Returns:
            Copies with the score in `metadata["relevance_score"]`.

        Raises:
            EasyLLMError: If a text cannot be sent, or a request fails for good; a document that
                was refused is named by its index and beginning.
        """
        documents = _listed(documents)
        if not (texts := _texts(documents)):
            return []
        from ._batch.workers import run_job  # noqa: PLC0415 - sockets load with the first request

        session = self._connect().session
        asks = self._asks(session)
        server = session.detect(self._patience()) if asks else session.server
        task, job = self._task(session, server, query, texts)
        run_job(self._batches(task, server, texts), session.transport, job)
        return self._best(documents, job)

    async def acompress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002 - as langchain-core calls it
    ) -> list[Document]:
        """Return the documents that fit a query best; see `compress_documents`."""
        documents = _listed(documents)
        if not (texts := _texts(documents)):
            return []
        from ._batch.workers import arun_job  # noqa: PLC0415 - sockets load with the first request

        session = self._connect().session
        asks = self._asks(session)
        server = await session.adetect(self._patience()) if asks else session.server
        task, job = self._task(session, server, query, texts)
        await arun_job(self._batches(task, server, texts), session.transport, job)
        return self._best(documents, job)

    def _asks(self, session: ServerSession) -> bool:
        if session.url.router:
            return False
        return self.api in ("auto", "jina") or self.batch_size is None

    def _task(
        self, session: ServerSession, server: ServerInfo | None, query: str, texts: list[str]
    ) -> tuple[RerankTask, BatchJob[float]]:
        from ._batch.reranking import RerankRequest, RerankTask  # noqa: PLC0415 - as above
        from ._batch.scheduler import BatchJob  # noqa: PLC0415 - sockets load with the first request

        ask = RerankRequest(
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
        return RerankTask(ask, session, server), BatchJob(texts)

    def _best(self, documents: Sequence[Document], job: BatchJob[float]) -> list[Document]:
        scores = [score for score in job.results if score is not None]
        order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[: self.top_n]
        return [
            documents[place].model_copy(
                update={"metadata": {**documents[place].metadata, "relevance_score": scores[place]}}
            )
            for place in order
        ]


def _listed(documents: Iterable[Document]) -> list[Document]:
    check_several(documents, what="document", one=str | bytes | Document)
    return list(documents)


def _texts(documents: Sequence[object]) -> list[str]:
    return [_text(document, f"Document {index}") for index, document in enumerate(documents)]


def _text(document: object, name: str) -> str:
    if not isinstance(document, Document):
        raise ConfigurationError(
            f"{name} is no Document but {type(document).__name__}: pass Document(page_content=...)."
        )
    return check_text(document.page_content, name)
