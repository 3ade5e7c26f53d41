"""Embedding requests: which protocol, which body, and the reading of responses. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from .._extras import needs_libraries
from .._http.models import Request
from .._protocols.embeddings import (
    EmbeddingApi,
    EmbeddingProtocolRequest,
    Pooling,
    UnusableVectors,
    Vector,
    can_truncate,
    embed_fields,
    embed_route,
    hub_route,
    normalized,
    read_vectors,
    to_floats,
)
from .._protocols.events import Failure
from .._protocols.texts import beginning
from .._servers.capabilities import refuses_model
from .._servers.openai_compatible import OPENAI_COMPATIBLE
from .._servers.profile import ServerInfo
from .._servers.session import ServerSession
from .._servers.urls import ROUTER
from ..errors import (
    BadRequestError,
    ConfigurationError,
    EasyLLMError,
    NotFoundError,
    ProtocolError,
    ServerError,
)
from .scheduler import Batch, BatchJob, UnusableResults

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]


_ROUTES = frozenset({"/feature-extraction", "/pipeline/feature-extraction"})


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    api: EmbeddingApi | None  # None to choose it by the server
    model: str | None
    provider: str | None
    params: Mapping[str, object]  # `EMBEDDING_FIELDS`, None where unset
    extra: Mapping[str, object]  # the caller's own keys for the body
    pooling: Pooling | None


class EmbeddingTask:
    noun = "Text"

    def __init__(
        self, request: EmbeddingRequest, session: ServerSession, server: ServerInfo | None
    ) -> None:
        self._request = request
        self._session = session
        self._server = server
        self._missing: EasyLLMError | None = None
        wanted = request.params.get("dimensions")
        self._dimensions = wanted if isinstance(wanted, int) else None
        self._current = self._protocol_request()

    @property
    def can_truncate(self) -> bool:
        return can_truncate(self._current.api, self._server)

    @property
    def overhead(self) -> int:
        return self._current.overhead

    @property
    def dimensions(self) -> int | None:
        """How many numbers a vector has: those that were asked for, or those of the first one."""
        return self._dimensions

    def build_request(self, batch: Batch[Vector]) -> Request:
        request = batch.tag = self._current
        self._session.note_use(request.api.value, request.model or self._request.model)
        return Request("POST", self._url(request.api), request.body(batch.body))

    def read(self, batch: Batch[Vector], body: bytes) -> list[Vector] | Failure:
        indices = batch.indices
        try:
            vectors = read_vectors(body, indices, self._request.pooling)
        except UnusableVectors as partly:
            problems = partly.problems
            good = [index for place, index in enumerate(indices) if place not in problems]
            errors = {place: _unusable(batch, place, problems[place]) for place in problems}
            raise UnusableResults(self._finished(partly.vectors, good, batch), errors) from None
        if isinstance(vectors, Failure):
            return vectors
        return self._finished(vectors, indices, batch)

    def _finished(
        self, vectors: list[Vector], indices: Sequence[int], batch: Batch[Vector]
    ) -> list[Vector]:
        self._check_lengths(vectors, indices)
        if isinstance(batch.tag, EmbeddingProtocolRequest) and batch.tag.normalizes_locally:
            return [normalized(vector) for vector in vectors]
        return vectors

    def refuses_form(self, error: EasyLLMError) -> bool:
        words = (error.body or error.message).lower()
        return isinstance(error, BadRequestError | ServerError) and (
            "encoding_format" in words or "base64" in words
        )

    def learn_fallback(self, batch: Batch[Vector], error: EasyLLMError) -> bool:
        current = self._current
        if batch.tag is not current:
            return True  # another batch has found it already
        unsupported = self._session.capabilities.unsupported
        if isinstance(error, NotFoundError):
            if self._missing is not None:
                unsupported.discard(EmbeddingApi.EMBEDDINGS.value)
                self._session.recheck()
                raise self._missing  # neither route is there: name the usual one
            server = self._server
            may_be_tei = server is None or server.tei or not server.known
            usual = self._request.api is None and current.api is EmbeddingApi.EMBEDDINGS
            if usual and may_be_tei and not self._session.url.router:
                unsupported.add(EmbeddingApi.EMBEDDINGS.value)
                self._missing = error
        elif current.base64 and self.refuses_form(error):
            unsupported.add("base64")
        other = self._protocol_request()
        if (other.api, other.base64) == (current.api, current.base64):
            stale = self._request.model is None and refuses_model(error)
            if stale or isinstance(error, NotFoundError):
                self._session.recheck()  # by now it may be another server: the next call finds out
                unsupported.discard(EmbeddingApi.EMBEDDINGS.value)  # so is its substitute
            return False
        self._current = other
        return True

    def _protocol_request(self) -> EmbeddingProtocolRequest:
        request, server = self._request, self._server
        api = self._choose()
        named = server or ServerInfo(OPENAI_COMPATIBLE)
        return EmbeddingProtocolRequest(
            api=api,
            params=request.params,
            server=server,
            model=named.model_for(request.model) if api is EmbeddingApi.EMBEDDINGS else None,
            extra=request.extra,
            base64=api is EmbeddingApi.EMBEDDINGS
            and "base64" not in self._session.capabilities.unsupported,
        )

    def _choose(self) -> EmbeddingApi:
        request, address, server = self._request, self._session.url, self._server
        if address.router:
            return self._choose_at_router()
        if request.api:
            return request.api
        if address.route in _ROUTES:
            return EmbeddingApi.FEATURE_EXTRACTION
        if server is not None:
            _check_serves(server)
            if not server.known and address.is_dedicated:
                return EmbeddingApi.FEATURE_EXTRACTION
        if EmbeddingApi.EMBEDDINGS.value in self._session.capabilities.unsupported:
            return EmbeddingApi.EMBED
        # TEI has both; its OpenAI route sends base64, but knows fewer fields.
        if server and server.tei and not _fits(EmbeddingApi.EMBEDDINGS, server, request.params):
            return EmbeddingApi.EMBED
        return EmbeddingApi.EMBEDDINGS

    def _choose_at_router(self) -> EmbeddingApi:
        own = self._request.provider in (None, "hf-inference")
        if self._session.url.root != ROUTER:
            own = False  # a provider's own root below the router's
        elif self._request.provider in ("auto", "fastest", "cheapest"):
            raise ConfigurationError(
                f"provider={self._request.provider!r} chooses for chat only: name the provider "
                "that embeds this model, or leave provider out for Hugging Face's own."
            )
        fits = EmbeddingApi.FEATURE_EXTRACTION if own else EmbeddingApi.EMBEDDINGS
        if self._request.api not in (None, fits):
            raise ConfigurationError(
                f"api={self._request.api.value!r} is not available there: this provider has "
                f"{fits.value!r}. Leave api at 'auto', or set base_url to your own server."
            )
        return fits

    def _url(self, api: EmbeddingApi) -> str:
        address = self._session.url
        if address.router and address.root == ROUTER:
            return ROUTER + hub_route(self._request.provider, self._request.model or "")
        if api is EmbeddingApi.FEATURE_EXTRACTION:
            if address.route in _ROUTES:
                return address.url(address.route or "/")
            if self._server and self._server.tei:
                api = EmbeddingApi.EMBED  # the same protocol on a route of its own
        adds_v1 = self._server is None or self._server.adds_v1
        return address.url(embed_route(api), adds_v1=adds_v1)

    def _check_lengths(self, vectors: Sequence[Vector], indices: Sequence[int]) -> None:
        wanted = self._request.params.get("dimensions")
        for vector, index in zip(vectors, indices, strict=True):
            size = len(vector) // 4 if type(vector) is bytes else len(vector)
            self._dimensions = self._dimensions or size
            if size != self._dimensions:
                raise ProtocolError(
                    f"The vector of text {index} has {size} dimensions where {self._dimensions} "
                    + (
                        "were requested: the server ignores dimensions, leave it out."
                        if wanted
                        else "are right for the others: the URL may lead to different models."
                    )
                )


def _unusable(batch: Batch[Vector], place: int, problem: str) -> ProtocolError:
    text = beginning(batch.job.texts[batch.positions[place]])
    return ProtocolError(f"The vector of text {batch.indices[place]} ({text}) {problem}")


def _check_serves(server: ServerInfo) -> None:
    if server.tei not in (None, "embedding"):
        raise ConfigurationError(
            f"The server has a {server.tei}, which does not embed: "
            + ("use EasyLLMRerank." if server.tei == "reranker" else "check base_url.")
        )
    if server.profile.generates_only and not server.tei:
        raise ConfigurationError(
            f"The server is {server.profile.name}, which does not embed: set base_url to a "
            "server with an embedding model (Text Embeddings Inference, say)."
        )


def _fits(api: EmbeddingApi, server: ServerInfo, params: Mapping[str, object]) -> bool:
    try:
        embed_fields(api, server, params)
    except ConfigurationError:
        return False
    return True


class ListJob(BatchJob[Vector]):
    """A job whose results are lists of floats, whatever the server sent; or errors."""

    @property
    def lists(self) -> list[list[float]]:
        """The vectors, and the errors in their places."""
        for position, error in (self.errors or {}).items():
            self.results[position] = cast("Any", error)
        return cast("list[list[float]]", self.results)

    def put(self, batch: Batch[Vector], results: Sequence[Vector]) -> None:
        super().put(batch, [to_floats(vector) for vector in results])


class ArrayJob(BatchJob[Vector]):
    """A job whose results are the rows of one float32 array."""

    def __init__(
        self,
        texts: Sequence[str],
        first: int = 0,
        on_progress: Callable[[int], object] | None = None,
        errors: dict[int, EasyLLMError] | None = None,
    ) -> None:
        super().__init__(texts, first, on_progress, errors)
        self.results = []
        with needs_libraries({"numpy"}, "Arrays (embed_documents gives lists)", "embeddings"):
            import numpy as np  # noqa: PLC0415 - optional
        self._numpy = np
        self.array: Array = self._numpy.empty((0, 0), dtype="float32")

    def rows(self, dimensions: int | None) -> Array:
        """Return the vectors; with `errors`, rows of NaN in the places of those that failed.

        Where all have failed they are as wide as the others are known to be, else empty.
        """
        if self.errors is None:
            return self.array
        from .array_errors import ArrayWithErrors  # noqa: PLC0415 - numpy is optional

        array = self.array
        if not array.size:
            array = self._numpy.empty((len(self.texts), dimensions or 0), "float32")
        array[list(self.errors)] = self._numpy.nan
        return ArrayWithErrors(array, self.errors)

    def put(self, batch: Batch[Vector], results: Sequence[Vector]) -> None:
        np = self._numpy
        binary = [vector for vector in results if type(vector) is bytes]
        if len(binary) == len(results):
            rows = np.frombuffer(b"".join(binary), dtype="float32").reshape(len(binary), -1)
        else:
            with np.errstate(over="ignore"):
                rows = np.asarray([to_floats(vector) for vector in results], dtype="float32")
            batch, rows = self._within_float32(batch, rows)
        if not batch.positions:
            return
        if not self.array.size:
            self.array = np.empty((len(self.texts), rows.shape[1]), dtype="float32")
        self.array[batch.positions] = rows
        self.count(batch)

    def drop(self) -> None:
        super().drop()
        self.array = self._numpy.empty((0, 0), dtype="float32")

    def _within_float32(self, batch: Batch[Vector], rows: Array) -> tuple[Batch[Vector], Array]:
        """Return what float32 can hold; the rest is noted, or raised if nobody wants errors."""
        np = self._numpy
        good = np.isfinite(rows).all(axis=1) & rows.any(axis=1)
        if good.all():
            return batch, rows
        errors: dict[int, EasyLLMError] = {}
        for place in np.flatnonzero(~good).tolist():
            what = "a number beyond" if rows[place].any() else "only numbers too small for"
            error = _unusable(
                batch,
                place,
                f"has {what} float32: embed_documents gives it as it is, but the model on the "
                "server may be broken.",
            )
            error.index = batch.indices[place]
            errors[place] = error
        if self.errors is None:
            raise errors[min(errors, key=batch.indices.__getitem__)]
        return self.reject(batch, errors), rows[good]
