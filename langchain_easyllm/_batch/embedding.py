"""Embedding requests: which protocol, which body, and what becomes of the answers. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from .._http.models import Request
from .._protocols.embeddings import (
    EmbeddingApi,
    EmbeddingProtocolRequest,
    Pooling,
    Vector,
    embed_fields,
    embed_route,
    hub_route,
    normalized,
    read_vectors,
    to_floats,
)
from .._protocols.events import Failure
from .._servers.openai_compatible import OPENAI_COMPATIBLE
from .._servers.profile import ServerInfo
from .._servers.session import ServerSession
from .._servers.urls import ROUTER
from ..errors import BadRequestError, ConfigurationError, EasyLLMError, NotFoundError, ProtocolError
from .scheduler import Batch, BatchJob

__all__ = ["ArrayJob", "EmbeddingRequest", "EmbeddingTask", "depends_on_server", "import_numpy"]


if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

__all__ = ["ArrayJob", "EmbeddingRequest", "EmbeddingTask", "depends_on_server", "import_numpy"]

_ROUTES = frozenset({"/feature-extraction", "/pipeline/feature-extraction"})


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """What an embeddings object wants of a server.

    Attributes:
        api: The protocol, or None to choose it by the server.
        model: The caller's model name, or None.
        provider: Inference Providers selection, or None.
        params: Neutral embedding fields (`EMBEDDING_FIELDS`), None where unset.
        extra: The caller's own keys for the body.
        pooling: How to make one vector of one per token.
    """

    api: EmbeddingApi | None
    model: str | None
    provider: str | None
    params: Mapping[str, object]
    extra: Mapping[str, object]
    pooling: Pooling | None


def depends_on_server(ask: EmbeddingRequest, session: ServerSession, *, many: bool) -> bool:
    """Whether the requests depend on which server will answer them.

    Args:
        ask: What is wanted.
        session: Where it is wanted from.
        many: Whether there may be more texts than one, and nobody said how many make a request.
    """
    if session.url.router:
        return False
    # Elsewhere it decides on the protocol, on field names, a name for the model, or the route.
    return ask.api is not EmbeddingApi.EMBED or many


class EmbeddingTask:
    """Makes the requests of one call and reads their answers.

    Args:
        ask: What is wanted.
        session: Where it is wanted from.
        server: Which server that is; None where nobody asked.
        as_floats: Whether vectors are wanted as lists of floats, however they came.

    Attributes:
        call: What the next request is made of.

    Raises:
        ConfigurationError: If the request cannot be expressed on this server.
    """

    what = "Text"

    def __init__(
        self,
        ask: EmbeddingRequest,
        session: ServerSession,
        server: ServerInfo | None,
        *,
        as_floats: bool,
    ) -> None:
        self._ask = ask
        self._session = session
        self._server = server
        self._as_floats = as_floats
        self._missing: EasyLLMError | None = None
        wanted = ask.params.get("dimensions")
        self._dims: dict[str, object] = {"dim": wanted} if wanted else {}
        self.call = self._new_call()

    @property
    def overhead(self) -> int:
        """Bytes of a request's body without any text."""
        return self.call.overhead

    def request(self, batch: Batch[Vector]) -> Request:
        """Return the request for a batch."""
        call = batch.tag = self.call
        return Request("POST", self._url(call.api), call.body(batch.body))

    def read(self, batch: Batch[Vector], body: bytes) -> list[Vector] | Failure:
        """Return the vectors of a batch, in its order; or a failure that the answer reports.

        Raises:
            ProtocolError: If the answer makes no sense.
        """
        vectors = read_vectors(body, batch.indices, self._ask.pooling)
        if isinstance(vectors, Failure):
            return vectors
        self._check_lengths(vectors, batch.indices)
        if isinstance(batch.tag, EmbeddingProtocolRequest) and batch.tag.normalizes_locally:
            return [normalized(vector) for vector in vectors]
        return [to_floats(vector) for vector in vectors] if self._as_floats else vectors

    def other_way(self, batch: Batch[Vector], error: EasyLLMError) -> bool:
        """Whether a refused batch has another way, which the next request for it takes."""
        if batch.tag is not self.call:
            return True  # another batch has found it already
        unsupported = self._session.capabilities.unsupported
        if isinstance(error, NotFoundError):
            if self._missing is not None:
                unsupported.discard(EmbeddingApi.EMBEDDINGS.value)
                self._session.recheck()
                raise self._missing  # neither route is there: the usual one is what to speak of
            if (
                self._ask.api is None
                and self.call.api is EmbeddingApi.EMBEDDINGS
                and self._may_be_tei()
            ):
                unsupported.add(EmbeddingApi.EMBEDDINGS.value)
                self._missing = error
        elif isinstance(error, BadRequestError) and self.call.base64:
            words = (error.body or error.message).lower()
            if "encoding_format" in words or "base64" in words:
                unsupported.add("base64")
        other = self._new_call()
        if (other.api, other.base64) == (self.call.api, self.call.base64):
            if isinstance(error, NotFoundError):
                self._session.recheck()  # by now it may be another server: the next call looks
                unsupported.discard(
                    EmbeddingApi.EMBEDDINGS.value
                )  # its substitute is missing as well
            return False
        self.call = other
        return True

    def _may_be_tei(self) -> bool:
        server = self._server
        return not self._session.url.router and bool(
            server is None or server.tei or not server.known
        )

    def _new_call(self) -> EmbeddingProtocolRequest:
        ask, server = self._ask, self._server
        api = self._choose()
        named = server or ServerInfo(OPENAI_COMPATIBLE)
        return EmbeddingProtocolRequest(
            api=api,
            params=ask.params,
            server=server,
            model=named.model_for(ask.model) if api is EmbeddingApi.EMBEDDINGS else None,
            extra=ask.extra,
            base64=api is EmbeddingApi.EMBEDDINGS
            and "base64" not in self._session.capabilities.unsupported,
        )

    def _choose(self) -> EmbeddingApi:
        ask, address, server = self._ask, self._session.url, self._server
        if address.router:
            return self._choose_at_router()
        if ask.api:
            return ask.api
        if address.route in _ROUTES:
            return EmbeddingApi.FEATURE_EXTRACTION
        if server is not None:
            _check_serves(server)
            if not server.known and address.is_dedicated:
                return EmbeddingApi.FEATURE_EXTRACTION
        if EmbeddingApi.EMBEDDINGS.value in self._session.capabilities.unsupported:
            return EmbeddingApi.EMBED
        # TEI has both; its OpenAI route sends base64, but knows fewer fields.
        if server and server.tei and not _fits(EmbeddingApi.EMBEDDINGS, server, ask.params):
            return EmbeddingApi.EMBED
        return EmbeddingApi.EMBEDDINGS

    def _choose_at_router(self) -> EmbeddingApi:
        own = self._ask.provider in (None, "hf-inference")
        if self._session.url.root != ROUTER:
            own = False  # a provider's own root below the router's
        elif self._ask.provider in ("auto", "fastest", "cheapest"):
            raise ConfigurationError(
                f"provider={self._ask.provider!r} chooses for chat only: name the provider that "
                "embeds this model, or leave provider out for Hugging Face's own."
            )
        fits = EmbeddingApi.FEATURE_EXTRACTION if own else EmbeddingApi.EMBEDDINGS
        if self._ask.api not in (None, fits):
            raise ConfigurationError(
                f"api={self._ask.api.value!r} is not to be had there: this provider speaks "
                f"{fits.value!r}. Leave api at 'auto', or set base_url to your own server."
            )
        return fits

    def _url(self, api: EmbeddingApi) -> str:
        address = self._session.url
        if address.router and address.root == ROUTER:
            return ROUTER + hub_route(self._ask.provider, self._ask.model or "")
        if api is EmbeddingApi.FEATURE_EXTRACTION:
            if address.route in _ROUTES:
                return address.url(address.route or "/")
            if self._server and self._server.tei:
                api = EmbeddingApi.EMBED  # the same protocol, on a route that is its own
        return address.url(embed_route(api))

    def _check_lengths(self, vectors: Sequence[Vector], indices: Sequence[int]) -> None:
        for vector, index in zip(vectors, indices, strict=True):
            size = len(vector) // 4 if type(vector) is bytes else len(vector)
            if size == self._dims.setdefault("dim", size):
                continue
            wanted = self._ask.params.get("dimensions")
            raise ProtocolError(
                f"The vector of text {index} has {size} dimensions where {self._dims['dim']} "
                + (
                    "were asked for: the server passes over dimensions, leave it out."
                    if wanted
                    else "are right for the others: the address may lead to different models."
                )
            )


def _check_serves(server: ServerInfo) -> None:
    if server.tei not in (None, "embedding"):
        raise ConfigurationError(
            f"The server has a {server.tei}, which does not embed: "
            + ("use EasyLLMRerank." if server.tei == "reranker" else "check base_url.")
        )
    if server.profile.generates_only and not server.tei:
        raise ConfigurationError(
            "The server is Text Generation Inference, which does not embed: set base_url to a "
            "server with an embedding model (Text Embeddings Inference, say)."
        )


def _fits(api: EmbeddingApi, server: ServerInfo, params: Mapping[str, object]) -> bool:
    try:
        embed_fields(api, server, params)
    except ConfigurationError:
        return False
    return True


class ArrayJob(BatchJob[Vector]):
    """A job whose results are the rows of one float32 array."""

    def __init__(
        self,
        texts: Sequence[str],
        first: int = 0,
        on_progress: Callable[[int], object] | None = None,
    ) -> None:
        super().__init__(texts, first, on_progress)
        self.results = []
        self._numpy = import_numpy()
        self.array: Array = self._numpy.empty((0, 0), dtype="float32")

    def put(self, batch: Batch[Vector], results: Sequence[Vector]) -> None:
        """Take the vectors of a batch: each goes to its row at once."""
        np = self._numpy
        packed = [vector for vector in results if type(vector) is bytes]
        if len(packed) == len(results):
            rows = np.frombuffer(b"".join(packed), dtype="float32").reshape(len(packed), -1)
        else:
            with np.errstate(over="ignore"):
                rows = np.asarray([to_floats(vector) for vector in results], dtype="float32")
            self._check_finite(rows, batch.indices)
        if not self.array.size:
            self.array = np.empty((len(self.texts), rows.shape[1]), dtype="float32")
        self.array[batch.places] = rows
        self.count(batch)

    def drop(self) -> None:
        """Let go of the texts and of all results."""
        super().drop()
        self.array = self._numpy.empty((0, 0), dtype="float32")

    def _check_finite(self, rows: Array, indices: Sequence[int]) -> None:
        finite = self._numpy.isfinite(rows).all(axis=1)
        if not finite.all():
            raise ProtocolError(
                f"The vector of text {indices[int(finite.argmin())]} has a number beyond float32: "
                "embed_documents gives it as it is, but the model on the server may be broken."
            )


def import_numpy() -> ModuleType:
    """Return numpy, which only arrays need.

    Raises:
        ConfigurationError: If it is not installed.
    """
    try:
        import numpy as np  # noqa: PLC0415 - as said
    except ImportError as error:
        raise ConfigurationError(
            'Arrays need numpy: pip install "numpy". embed_documents gives lists without it.'
        ) from error
    return np
