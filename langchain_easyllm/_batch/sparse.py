"""Requests for sparse vectors, and the reading of responses. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .._http.models import Request
from .._protocols.events import Failure
from .._protocols.sparse_vectors import (
    ROUTE,
    SparseProtocolRequest,
    SparseVector,
    no_sparse_vectors,
    read_sparse_vectors,
)
from .._servers.profile import ServerInfo
from .._servers.session import ServerSession
from ..errors import EasyLLMError, GenerationError, NotFoundError
from .scheduler import Batch, PlainTask


@dataclass(frozen=True, slots=True)
class SparseRequest:
    params: Mapping[str, object]  # `SPARSE_FIELDS`, None where unset
    extra: Mapping[str, object]  # the caller's own keys for the body


class SparseTask(PlainTask):
    noun = "Text"
    can_truncate = True

    def __init__(
        self, request: SparseRequest, session: ServerSession, server: ServerInfo | None
    ) -> None:
        if session.url.router:
            raise no_sparse_vectors("Inference Providers' router")
        if server is not None and server.known and server.tei != "embedding":
            kind = f"with a {server.tei}" if server.tei else f"({server.profile.name})"
            raise no_sparse_vectors(f"This server {kind}")
        self._session = session
        self._protocol_request = SparseProtocolRequest(request.params, request.extra)
        self.overhead = self._protocol_request.overhead

    def build_request(self, batch: Batch[SparseVector]) -> Request:
        url = self._session.url.url(ROUTE)
        self._session.note_use("sparse", None)
        return Request("POST", url, self._protocol_request.body(batch.body))

    def read(self, batch: Batch[SparseVector], body: bytes) -> Sequence[SparseVector] | Failure:
        return read_sparse_vectors(body, batch.indices)

    def learn_fallback(self, _batch: Batch[SparseVector], error: EasyLLMError) -> bool:
        """Return False, as there is one route; raise if the model is of another kind."""
        if isinstance(error, NotFoundError):
            self._session.recheck()  # by now it may be another server: the next call finds out
        if isinstance(error, GenerationError) and "splade" in (error.body or error.message).lower():
            raise no_sparse_vectors("This server's model") from error
        return False
