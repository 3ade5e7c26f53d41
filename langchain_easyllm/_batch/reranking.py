"""Reranking requests: which protocol, which body, and the reading of responses. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .._http.models import Request
from .._protocols.embeddings import hub_route
from .._protocols.events import Failure
from .._protocols.rerank import (
    RerankApi,
    RerankProtocolRequest,
    read_scores,
    rerank_fields,
    rerank_route,
)
from .._servers.capabilities import refuses_model
from .._servers.openai_compatible import OPENAI_COMPATIBLE
from .._servers.profile import ServerInfo
from .._servers.session import ServerSession
from .._servers.urls import ROUTER
from ..errors import ConfigurationError, EasyLLMError, NotFoundError
from .scheduler import Batch, PlainTask


@dataclass(frozen=True, slots=True)
class RerankRequest:
    api: RerankApi | None  # None to choose it by the server
    query: str
    model: str | None
    provider: str | None
    params: Mapping[str, object]  # neutral fields, None where unset
    extra: Mapping[str, object]  # the caller's own keys for the body


class RerankTask(PlainTask):
    noun = "Document"

    def __init__(
        self, request: RerankRequest, session: ServerSession, server: ServerInfo | None
    ) -> None:
        self._session = session
        self._model = request.model
        api = _choose(request, session, server)
        named = server or ServerInfo(OPENAI_COMPATIBLE)
        model = named.model_for(request.model) if api is RerankApi.JINA else None
        self._adds_v1 = named.adds_v1
        self._protocol_request = RerankProtocolRequest(
            api, request.query, named, request.params, model, request.extra
        )
        self.can_truncate = "truncate" in rerank_fields(api, named)
        self.overhead = self._protocol_request.overhead

    def build_request(self, batch: Batch[float]) -> Request:
        api = self._protocol_request.api
        self._session.note_use(api.value, self._model)
        if self._session.url.router:
            url = ROUTER + hub_route(None, self._model or "", "text-ranking")
        else:
            url = self._session.url.url(rerank_route(api), adds_v1=self._adds_v1)
        return Request("POST", url, self._protocol_request.body(batch.body))

    def read(self, batch: Batch[float], body: bytes) -> Sequence[float] | Failure:
        return read_scores(body, batch.indices)

    def learn_fallback(self, _batch: Batch[float], error: EasyLLMError) -> bool:
        """Return False: every server has one route."""
        note_stale(self._session, error, guessed=self._model is None)
        return False


def note_stale(session: ServerSession, error: EasyLLMError, *, guessed: bool) -> None:
    """Have the server detected again where an error says that it may be another one by now.

    `guessed` says that the model's name came from the server.
    """
    if isinstance(error, NotFoundError) or (guessed and refuses_model(error)):
        session.recheck()


def _choose(request: RerankRequest, session: ServerSession, server: ServerInfo | None) -> RerankApi:
    if session.url.router:
        if request.provider not in (None, "hf-inference"):
            raise ConfigurationError(
                f"provider={request.provider!r} has no reranking: leave it out for Hugging Face's "
                "own, or set base_url to your own server."
            )
        return RerankApi.HUB
    if request.api:
        return request.api
    if server is None or not (server.tei or server.profile.generates_only):
        return RerankApi.JINA
    # A server that is TGI and TEI at once may have models of every kind.
    if bool(server.tei) is not (server.profile.generates_only) and server.tei != "reranker":
        kind = "a language model" if server.tei is None else f"an {server.tei} model"
        raise ConfigurationError(
            f"The server has {kind}, which does not rank: set base_url to a server with a reranker."
        )
    return RerankApi.TEI
