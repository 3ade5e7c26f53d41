"""Embeddings in EasyLLM's format, by the package's own class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from .._batch.clients import EmbeddingClient
from .._batch.embedding import EmbeddingTask
from .._protocols.events import Failure
from ..embeddings import EasyLLMEmbeddings
from ._calls import module_settings, read_target
from ._requests import EmbeddingsRequest, log
from ._results import UNKNOWN_MODEL, Json

if TYPE_CHECKING:
    from .._batch.scheduler import Batch
    from .._protocols.embeddings import Vector
    from .._servers.profile import ServerInfo

# Found in the text: parsing all the vectors again would cost more than the rest.
_PROMPT_TOKENS = re.compile(rb'"prompt_tokens"\s*:\s*(\d{1,18})')


class CountedEmbeddings(EasyLLMEmbeddings):
    """Embeddings that remember how many tokens the server counted."""

    _counts: list[int | None] = PrivateAttr(default_factory=list)

    def _embedding_client(self) -> EmbeddingClient:
        client = super()._embedding_client()
        return _CountingClient(client.session, client.limits, client.request, self._counts)

    def result(self, vectors: Sequence[Sequence[float]], request: EmbeddingsRequest) -> Json:
        """Return a result, whose `usage` is None unless the server counted for every request."""
        server = self._connect().session.server
        counts = [count for count in self._counts if count is not None]
        known = len(counts) == len(self._counts) and counts
        result: Json = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": vector}
                for index, vector in enumerate(vectors)
            ],
            "model": self.model or (server.model if server else None) or UNKNOWN_MODEL,
            "usage": {"prompt_tokens": sum(counts), "total_tokens": sum(counts)} if known else None,
        }
        if request.debug:
            log("Embedded %d texts: %s", len(vectors), result["usage"])
        return result


@dataclass(frozen=True)
class _CountingClient(EmbeddingClient):
    """Embeds texts, and notes the token counts of the responses."""

    counts: list[int | None]

    def task(self, server: ServerInfo | None) -> EmbeddingTask:
        task = _CountingTask(self.request, self.session, server)
        task.counts = self.counts
        return task


class _CountingTask(EmbeddingTask):
    counts: list[int | None]

    def read(self, batch: Batch[Vector], body: bytes) -> list[Vector] | Failure:
        vectors = super().read(batch, body)
        if not isinstance(vectors, Failure):
            found = _PROMPT_TOKENS.search(body)
            self.counts.append(int(found[1]) if found else None)
        return vectors


def prepare_embedding(request: EmbeddingsRequest) -> CountedEmbeddings:
    """Return the embedding model; nothing is sent yet."""
    return CountedEmbeddings(
        **read_target(request, module_settings()),
        timeout=request.timeout,
        max_retries=request.max_retries,
        wait_for_model=request.wait_for_model,
    )
