"""`EasyLLMEmbeddings`: LangChain embeddings on any Hugging Face embedding server."""

from __future__ import annotations

from collections import deque
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar, cast

from langchain_core.embeddings import Embeddings
from pydantic import Field

from ._fields.batching import BatchFields, progress_bar
from ._fields.connection import CONFIG, LOCAL
from ._fields.constructor_types import EmbeddingNames
from ._fields.local import LocalModelChoice
from ._protocols.embeddings import EmbeddingApi
from ._protocols.texts import check_several, check_text, check_texts
from ._servers.profile import EMBEDDING_FIELDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ._batch.embedding import ArrayJob, EmbeddingRequest, EmbeddingTask
    from ._batch.scheduler import BatchJob
    from ._protocols.embeddings import Vector
    from ._servers.profile import ServerInfo
    from ._servers.session import ServerSession

    Array = NDArray[np.float32]

__all__ = ["EasyLLMEmbeddings"]

J = TypeVar("J", bound="BatchJob[Vector]")

Bar = Callable[[int], object] | None

# What an `api` that is no protocol's name means; None is chosen by the server.
_APIS: Mapping[str, EmbeddingApi | None] = {"auto": None, LOCAL: EmbeddingApi.EMBED}

WINDOW = 32
"""Batches that `iter_embeddings` reads ahead at a time, and whose vectors make one array."""


class EasyLLMEmbeddings(EmbeddingNames, LocalModelChoice, BatchFields, Embeddings):
    """Embeddings on any Hugging Face server: TEI, vLLM, llama.cpp, Inference Providers; or local.

    Example:
        ```python
        from langchain_easyllm import EasyLLMEmbeddings

        embeddings = EasyLLMEmbeddings(base_url="http://localhost:8080")
        vectors = embeddings.embed_documents(["A text.", "Another one."])
        ```

    With neither a server nor a model, Inference Providers embed with
    sentence-transformers/all-mpnet-base-v2, as langchain-huggingface has it.

    Texts are cut into as many requests as the server wants and sent side by side, `max_concurrency`
    at a time; `timeout` and `max_retries` are those of each request. Text is sent as it is; an
    empty one is an error, as it has no meaning to a model and TEI refuses it.

    Raises:
        ValueError: If a field is unknown (the message names the nearest right one) or has a value
            that cannot work.
        langchain_easyllm.errors.EasyLLMError: When a call fails; see `langchain_easyllm.errors`.
    """

    model_config = CONFIG

    api: Literal["auto", "embed", "embeddings", "feature-extraction", "local"] = "auto"
    """Protocol: TEI's `"embed"`, OpenAI's `"embeddings"`, or the Hub's `"feature-extraction"`.
    Default `"auto"`: what the server has. `"local"`: a sentence-transformers model in this
    process."""

    normalize: bool | None = None
    """True brings every vector to length 1; False asks for vectors as the model made them. Default
    None: as the server does it."""

    dimensions: int | None = Field(default=None, ge=1)
    """Dimensions of the vectors, for models that can be cut (Matryoshka). Default None: all."""

    prompt_name: str | None = None
    """Name of a prompt in the model's sentence-transformers configuration, which the server puts
    before every text. Default None."""

    query_prompt: str = ""
    """Put before a query's text (`"query: "` for E5). Default: nothing."""

    document_prompt: str = ""
    """Put before a document's text (`"passage: "` for E5). Default: nothing."""

    pooling: Literal["mean", "cls"] | None = None
    """How one vector is made where a server answers one per token: their mean, or the first.
    Default None: that is an error."""

    show_progress: bool = False
    """Whether `embed_documents` and `embed_documents_array` show a bar (needs tqdm). Default
    False."""

    _tasks: ClassVar[tuple[str, ...]] = ("feature-extraction",)
    _default_model: ClassVar[str | None] = "sentence-transformers/all-mpnet-base-v2"
    _neutral: ClassVar[tuple[str, ...]] = EMBEDDING_FIELDS
    _libraries: ClassVar[tuple[str, ...]] = ("torch", "sentence_transformers")
    _model_files: ClassVar[tuple[str, ...]] = ("modules.json", "config.json")
    _embeds: ClassVar[bool] = True

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of documents, in their order.

        Args:
            texts: The documents, none of them empty.

        Raises:
            EasyLLMError: If a text cannot be sent, or a request fails for good; a text that was
                refused is named by its index and beginning.
        """
        if not (given := _prepared(texts, self.document_prompt)):
            return []
        with progress_bar(len(given), shown=self.show_progress) as bar:
            return self._lists(given, bar)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of documents; see `embed_documents`."""
        if not (given := _prepared(texts, self.document_prompt)):
            return []
        with progress_bar(len(given), shown=self.show_progress) as bar:
            return await self._alists(given, bar)

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query.

        Args:
            text: The query, not empty.

        Raises:
            EasyLLMError: If the request fails.
        """
        return self._lists([_question(text, self.query_prompt)])[0]

    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of a query; see `embed_query`."""
        return (await self._alists([_question(text, self.query_prompt)]))[0]

    def embed_documents_array(self, texts: Sequence[str]) -> Array:
        """Return the vectors of documents as one numpy array (float32, `[n, dim]`).

        Args:
            texts: The documents, none of them empty.

        Raises:
            EasyLLMError: As `embed_documents`; also if numpy is not installed.
        """
        from ._batch.embedding import ArrayJob  # noqa: PLC0415 - sockets load with the first request

        given = _prepared(texts, self.document_prompt)
        with progress_bar(len(given), shown=self.show_progress) as bar:
            return self._finished(ArrayJob(given, on_progress=bar)).array

    async def aembed_documents_array(self, texts: Sequence[str]) -> Array:
        """Return the vectors of documents as one numpy array; see `embed_documents_array`."""
        from ._batch.embedding import ArrayJob  # noqa: PLC0415 - sockets load with the first request

        given = _prepared(texts, self.document_prompt)
        with progress_bar(len(given), shown=self.show_progress) as bar:
            return (await self._afinished(ArrayJob(given, on_progress=bar))).array

    def iter_embeddings(self, texts: Iterable[str]) -> Iterator[Array]:
        """Yield the vectors of documents as arrays (float32, `[m, dim]`), in their order.

        Texts are read as they are wanted, and what is held besides is no more for a million of them
        than for ten thousand. Each array holds the vectors of the next 1,024 texts, or so
        (32 batches).

        Args:
            texts: The documents, none of them empty; any iterable.

        Raises:
            EasyLLMError: As `embed_documents_array`.
        """
        from ._batch.workers import worker_pool  # noqa: PLC0415 - sockets load with the first request

        check_several(texts)
        session, server = self._session_and_server(many=True)
        batches = self._batches(self._task(session, server), server)
        jobs: deque[ArrayJob] = deque()
        with worker_pool(batches, session.transport) as workers:
            for job in self._windows(texts, server):
                workers.start(job)
                jobs.append(job)
                while jobs and (len(jobs) > self._ahead() or not jobs[0].left):
                    workers.wait(jobs[0])
                    yield jobs.popleft().array
            while jobs:
                workers.wait(jobs[0])
                yield jobs.popleft().array

    async def aiter_embeddings(
        self, texts: Iterable[str] | AsyncIterable[str]
    ) -> AsyncIterator[Array]:
        """Yield the vectors of documents as arrays; see `iter_embeddings`."""
        from ._batch.workers import Tasks  # noqa: PLC0415 - sockets load with the first request

        check_several(texts, Iterable | AsyncIterable)
        session, server = await self._asession_and_server(many=True)
        batches = self._batches(self._task(session, server), server)
        jobs: deque[ArrayJob] = deque()
        async with Tasks(batches, session.transport) as workers:
            async for job in self._awindows(texts, server):
                await workers.start(job)
                jobs.append(job)
                while jobs and (len(jobs) > self._ahead() or not jobs[0].left):
                    await workers.wait(jobs[0])
                    yield jobs.popleft().array
            while jobs:
                await workers.wait(jobs[0])
                yield jobs.popleft().array

    def _lists(self, texts: list[str], bar: Bar = None) -> list[list[float]]:
        from ._batch.scheduler import BatchJob  # noqa: PLC0415 - sockets load with the first request

        job: BatchJob[Vector] = BatchJob(texts, on_progress=bar)
        return cast("list[list[float]]", self._finished(job, as_floats=True).results)

    async def _alists(self, texts: list[str], bar: Bar = None) -> list[list[float]]:
        from ._batch.scheduler import BatchJob  # noqa: PLC0415 - sockets load with the first request

        job: BatchJob[Vector] = BatchJob(texts, on_progress=bar)
        return cast("list[list[float]]", (await self._afinished(job, as_floats=True)).results)

    def _finished(self, job: J, *, as_floats: bool = False) -> J:
        from ._batch.workers import run_job  # noqa: PLC0415 - sockets load with the first request

        if not job.texts:
            return job
        session, server = self._session_and_server(many=len(job.texts) > 1)
        task = self._task(session, server, as_floats=as_floats)
        run_job(self._batches(task, server, job.texts), session.transport, job)
        return job

    async def _afinished(self, job: J, *, as_floats: bool = False) -> J:
        from ._batch.workers import arun_job  # noqa: PLC0415 - sockets load with the first request

        if not job.texts:
            return job
        session, server = await self._asession_and_server(many=len(job.texts) > 1)
        task = self._task(session, server, as_floats=as_floats)
        await arun_job(self._batches(task, server, job.texts), session.transport, job)
        return job

    def _session_and_server(self, *, many: bool) -> tuple[ServerSession, ServerInfo | None]:
        """Return the session, and its server as far as the requests depend on it."""
        session = self._connect().session
        if self._asks(session, many=many):
            return session, session.detect(self._patience())
        return session, session.server

    async def _asession_and_server(self, *, many: bool) -> tuple[ServerSession, ServerInfo | None]:
        session = self._connect().session
        if self._asks(session, many=many):
            return session, await session.adetect(self._patience())
        return session, session.server

    def _asks(self, session: ServerSession, *, many: bool) -> bool:
        from ._batch.embedding import depends_on_server  # noqa: PLC0415 - sockets load with the first request

        return depends_on_server(self._ask(), session, many=many and self.batch_size is None)

    def _task(
        self, session: ServerSession, server: ServerInfo | None, *, as_floats: bool = False
    ) -> EmbeddingTask:
        from ._batch.embedding import EmbeddingTask  # noqa: PLC0415 - sockets load with the first request

        return EmbeddingTask(self._ask(), session, server, as_floats=as_floats)

    def _ask(self) -> EmbeddingRequest:
        from ._batch.embedding import EmbeddingRequest  # noqa: PLC0415 - sockets load with the first request

        return EmbeddingRequest(
            api=_APIS[self.api] if self.api in _APIS else EmbeddingApi(self.api),
            model=self.model,
            provider=self.provider,
            params={name: getattr(self, name) for name in EMBEDDING_FIELDS},
            extra=self._kwargs_of_body(),
            pooling=self.pooling,
        )

    def _windows(self, texts: Iterable[str], server: ServerInfo | None) -> Iterator[ArrayJob]:
        """Yield jobs of so many texts that a few of them keep all workers busy."""
        rest = iter(texts)
        first = 0
        while chunk := list(islice(rest, self._most(server) * WINDOW)):
            yield self._window(chunk, first)
            first += len(chunk)

    async def _awindows(
        self, texts: Iterable[str] | AsyncIterable[str], server: ServerInfo | None
    ) -> AsyncIterator[ArrayJob]:
        if isinstance(texts, Iterable):
            for job in self._windows(texts, server):
                yield job
            return
        chunk: list[str] = []
        first = 0
        async for text in texts:
            chunk.append(text)
            if len(chunk) == self._most(server) * WINDOW:
                yield self._window(chunk, first)
                first += len(chunk)
                chunk = []
        if chunk:
            yield self._window(chunk, first)

    def _window(self, chunk: list[str], first: int) -> ArrayJob:
        from ._batch.embedding import ArrayJob  # noqa: PLC0415 - sockets load with the first request

        return ArrayJob(_prepared(chunk, self.document_prompt, first), first)

    def _ahead(self) -> int:
        """How many jobs are begun before the first has to be done."""
        return -(-self.max_concurrency // WINDOW)


def _prepared(texts: Sequence[str], prompt: str, first: int = 0) -> list[str]:
    """Return texts as they are sent, once all of them can be."""
    checked = check_texts(texts, first=first)
    if not prompt:
        return checked
    check_text(prompt, "document_prompt")
    return [prompt + text for text in checked]


def _question(text: str, prompt: str) -> str:
    """Return a query as it is sent, once it can be."""
    checked = check_text(text, "The query")
    return check_text(prompt, "query_prompt") + checked if prompt else checked
