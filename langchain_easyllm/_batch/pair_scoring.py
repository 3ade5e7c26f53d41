"""Requests that score pairs of texts: which protocol, which body, and the reading of responses.

A server with a rerank route alone is sent the texts that go with one query together, for each
query. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from .._http.models import Request
from .._protocols.events import Failure
from .._protocols.pair_scores import (
    PairApi,
    PairProtocolRequest,
    pair_fields,
    pair_route,
    read_pair_scores,
)
from .._protocols.rerank import RerankApi
from .._protocols.texts import Pair
from .._servers.openai_compatible import OPENAI_COMPATIBLE
from .._servers.profile import ServerInfo
from .._servers.session import ServerSession
from ..errors import EasyLLMError
from .reranking import RerankRequest, RerankTask, note_stale
from .scheduler import Batch, BatchJob, PlainTask, Task


@dataclass(frozen=True, slots=True)
class PairRequest:
    api: PairApi | RerankApi | None  # None to choose it by the server
    model: str | None
    provider: str | None
    params: Mapping[str, object]  # neutral fields, None where unset
    extra: Mapping[str, object]  # the caller's own keys for the body

    def of_query(self, query: str) -> RerankRequest:
        api = self.api if isinstance(self.api, RerankApi) else None
        return RerankRequest(api, query, self.model, self.provider, self.params, self.extra)


class PairJob(BatchJob[float]):
    """A job of pairs."""

    def _lengths(self) -> list[int]:
        return [len(first) + len(second) for first, second in cast("Sequence[Pair]", self.texts)]


class QueryJob(BatchJob[float]):
    """A job of the texts that go with one query; `places` are theirs in the caller's input."""

    def __init__(self, query: str, texts: Sequence[str], places: Sequence[int]) -> None:
        super().__init__(texts)
        self.query = query
        self.places = places

    def indices(self, positions: list[int]) -> list[int]:
        return [self.places[position] for position in positions]


def plan_scoring(
    request: PairRequest, session: ServerSession, server: ServerInfo | None, pairs: Sequence[Pair]
) -> tuple[Task[float], Sequence[PairJob | QueryJob]]:
    """Return what scores pairs on a server, and the jobs that there are to do."""
    api = _choose(request, session, server)
    if api is not None:
        return PairTask(api, request, session, server), [PairJob(pairs)]
    places: dict[str, list[int]] = {}
    for place, (query, _) in enumerate(pairs):
        places.setdefault(query, []).append(place)
    tasks = {query: RerankTask(request.of_query(query), session, server) for query in places}
    jobs = [
        QueryJob(query, [pairs[place][1] for place in found], found)
        for query, found in places.items()
    ]
    return QueryTask(tasks), jobs


def in_order(jobs: Sequence[PairJob | QueryJob], count: int) -> list[float]:
    """Return the scores of all jobs in the order of the caller's pairs."""
    scores: list[float] = [0.0] * count
    for job in jobs:
        results = cast("list[float]", job.results)
        for place, score in zip(job.indices([*range(len(results))]), results, strict=True):
            scores[place] = score
    return scores


def _choose(
    request: PairRequest, session: ServerSession, server: ServerInfo | None
) -> PairApi | None:
    """Return the protocol of pairs; None where the server has none, but perhaps reranks."""
    if session.url.router:
        return None
    if request.api is not None:
        return request.api if isinstance(request.api, PairApi) else None
    if server is not None and server.tei in ("reranker", "classifier"):
        return PairApi.PREDICT
    return PairApi.SCORE if server is not None and server.profile.scores_pairs else None


class PairTask(PlainTask):
    noun = "Pair"

    def __init__(
        self,
        api: PairApi,
        request: PairRequest,
        session: ServerSession,
        server: ServerInfo | None,
    ) -> None:
        self._api = api
        self._session = session
        self._guessed = request.model is None
        named = server or ServerInfo(OPENAI_COMPATIBLE)
        model = named.model_for(request.model) if api is PairApi.SCORE else None
        self._protocol_request = PairProtocolRequest(
            api, named, request.params, model, request.extra
        )
        self.can_truncate = "truncate" in pair_fields(api, named)
        self.overhead = self._protocol_request.overhead

    def build_request(self, batch: Batch[float]) -> Request:
        texts = cast("Sequence[Pair]", batch.job.texts)
        pairs = [texts[position] for position in batch.positions]
        body = self._protocol_request.pairs_body(pairs, batch.body)
        self._session.note_use(self._api.value, None)
        return Request("POST", self._session.url.url(pair_route(self._api)), body)

    def read(self, batch: Batch[float], body: bytes) -> Sequence[float] | Failure:
        return read_pair_scores(self._api, body, batch.indices)

    def learn_fallback(self, _batch: Batch[float], error: EasyLLMError) -> bool:
        """Return False: every server has one route."""
        note_stale(self._session, error, guessed=self._guessed)
        return False


class QueryTask(PlainTask):
    """Reranks the texts of each query by a task of its own."""

    noun = "Pair"

    def __init__(self, tasks: Mapping[str, RerankTask]) -> None:
        self._tasks = tasks
        self.can_truncate = all(task.can_truncate for task in tasks.values())
        self.overhead = max(task.overhead for task in tasks.values())

    def _of(self, batch: Batch[float]) -> RerankTask:
        return self._tasks[cast("QueryJob", batch.job).query]

    def build_request(self, batch: Batch[float]) -> Request:
        return self._of(batch).build_request(batch)

    def read(self, batch: Batch[float], body: bytes) -> Sequence[float] | Failure:
        return self._of(batch).read(batch, body)

    def learn_fallback(self, batch: Batch[float], error: EasyLLMError) -> bool:
        return self._of(batch).learn_fallback(batch, error)
