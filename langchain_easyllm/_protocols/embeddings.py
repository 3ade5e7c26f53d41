"""Embedding requests and their responses: routes, bodies, vectors."""

from __future__ import annotations

import math
import sys
from array import array
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter, mul
from typing import Literal, cast
from urllib.parse import quote

import orjson

from .._servers.inference_providers import HUB_EMBEDDINGS
from .._servers.openai_compatible import OPENAI_COMPATIBLE
from .._servers.profile import EmbeddingProfile, ServerInfo
from .._servers.tei import TEI_EMBEDDINGS
from ..errors import ConfigurationError, ProtocolError
from .events import Failure
from .json import parse_json_leniently, quoted, shown
from .texts import BatchBody, body_parts, translate_fields


class EmbeddingApi(StrEnum):
    """Protocol of an embedding request."""

    EMBED = "embed"
    EMBEDDINGS = "embeddings"
    FEATURE_EXTRACTION = "feature-extraction"


def _profile(api: EmbeddingApi, server: ServerInfo | None) -> EmbeddingProfile:
    if api is EmbeddingApi.FEATURE_EXTRACTION:
        return HUB_EMBEDDINGS
    if api is EmbeddingApi.EMBED or (server and server.tei):
        return TEI_EMBEDDINGS
    return (server.profile if server else OPENAI_COMPATIBLE).embedding


@dataclass(slots=True)
class EmbeddingProtocolRequest(BatchBody):
    """One kind of embedding request; the texts of each batch are put into it."""

    api: EmbeddingApi
    params: Mapping[str, object]  # neutral fields that are set (`EMBEDDING_FIELDS`)
    server: ServerInfo | None = None  # what is known of the server; None if nothing
    model: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    base64: bool = True  # whether vectors may come as base64, which is smaller and cheaper to read

    def __post_init__(self) -> None:
        body = embed_fields(self.api, self.server, self.params)
        key = "input" if self.api is EmbeddingApi.EMBEDDINGS else "inputs"
        if self.api is EmbeddingApi.EMBEDDINGS:
            if self.model:
                body["model"] = self.model
            if self.base64:
                body["encoding_format"] = "base64"
        self._head, self._tail = body_parts(key, {**body, **self.extra})

    @property
    def normalizes_locally(self) -> bool:
        """Whether the vectors are to be brought to length 1 in this process."""
        trusted = _profile(self.api, self.server).normalizes
        return self.params.get("normalize") is True and not trusted


def embed_fields(
    api: EmbeddingApi, server: ServerInfo | None, params: Mapping[str, object]
) -> dict[str, object]:
    profile = _profile(api, server)
    fields, missing = translate_fields(params, profile.apis[api])
    if missing:
        raise ConfigurationError(_inexpressible(missing, params[missing], api, profile))
    return fields


def can_truncate(api: EmbeddingApi, server: ServerInfo | None) -> bool:
    """Whether a server has a field that cuts long texts off, on whichever route."""
    return any("truncate" in fields for fields in _profile(api, server).apis.values())


_INSTEAD = {"prompt_name": "write the prompt itself as query_prompt and document_prompt"}


def _inexpressible(name: str, value: object, api: EmbeddingApi, profile: EmbeddingProfile) -> str:
    instead = _INSTEAD.get(name, "drop it")
    if EmbeddingApi.EMBED in profile.apis:
        instead = f"use api='embed' (or 'auto'), or {instead}"
    return (
        f"{name}={value!r} cannot be expressed on the {api.value} api of this server "
        f"({profile.name}): {instead}. model_kwargs sends any key as it is."
    )


def embed_route(api: EmbeddingApi) -> str:
    return {EmbeddingApi.EMBED: "/embed", EmbeddingApi.EMBEDDINGS: "/v1/embeddings"}.get(api, "/")


# Inference Providers that embed, below the router: all but the first speak OpenAI's protocol.
_PROVIDER_ROUTES = {"deepinfra": "/deepinfra/v1/openai/embeddings"}


def hub_route(provider: str | None, model: str, task: str = "feature-extraction") -> str:
    """Return the route of a model below the Inference Providers' router.

    A provider of None is Hugging Face's own, the only one that has tasks.
    """
    if provider in (None, "hf-inference"):
        return f"/hf-inference/models/{quote(model, safe='/')}/pipeline/{task}"
    name = quote(str(provider), safe="")
    return _PROVIDER_ROUTES.get(name, f"/{name}/v1/embeddings")


Pooling = Literal["mean", "cls"]
"""How one vector is made of one per token: their mean, or the first."""

Vector = list[float] | bytes
"""One vector, as floats or, where it came as base64, as float32 in this machine's byte order."""


_CHECK = "check base_url and api"


class UnusableVectors(Exception):  # noqa: N818 - some vectors are good
    """Vectors of which some have nothing to compare by.

    `problems` are by places in the batch; `vectors` are the others, in their order.
    """

    def __init__(self, vectors: list[Vector], problems: dict[int, str]) -> None:
        super().__init__(problems)
        self.vectors = vectors
        self.problems = problems


class _UnusableVector(Exception):  # noqa: N818 - the problem of one vector
    pass


def read_vectors(
    body: bytes, indices: Sequence[int], pooling: Pooling | None
) -> list[Vector] | Failure:
    """Read the vectors of one batch, in the order of its texts.

    Raises:
        UnusableVectors: If some are all zeros, or hold what is no finite number.
        ProtocolError: If it cannot be read otherwise.
    """
    strict = True
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        value, strict = parse_json_leniently(body), False
    if isinstance(value, Mapping) and value.get("error"):
        return Failure(body)
    rows = _rows(value)
    if rows is None:
        raise ProtocolError(f"The answer holds no vectors but {quoted(body, 100)}: {_CHECK}.")
    if len(rows) != len(indices):
        if len(indices) == 1 and rows and isinstance(rows[0], float | int):
            rows = [rows]  # some servers leave the outer list out for a single text
        else:
            raise ProtocolError(
                f"The server answered {len(rows)} vectors to {len(indices)} texts: {_CHECK}"
                + (", or set batch_size=1 if it takes one at a time." if len(indices) > 1 else ".")
            )
    vectors: list[Vector] = []
    problems: dict[int, str] = {}
    for place, (row, index) in enumerate(zip(rows, indices, strict=True)):
        try:
            vector = _vector(row, index, pooling)
            if not strict:  # orjson lets no infinite number through, the lenient parser does
                _check_finite(to_floats(vector))
            vectors.append(vector)
        except _UnusableVector as problem:
            problems[place] = str(problem)
    if problems:
        raise UnusableVectors(vectors, problems)
    return vectors


def _rows(value: object) -> list[object] | None:
    """Return what an answer holds for each text, in their order."""
    if isinstance(value, Mapping):
        if isinstance(data := value.get("data"), list):
            return _in_order(data)
        value = value.get("embeddings")
    return value if isinstance(value, list) else None


def _in_order(data: list[object]) -> list[object]:
    items = [item for item in data if isinstance(item, Mapping) and "embedding" in item]
    if len(items) != len(data):
        raise ProtocolError(f"The answer's data holds something that is no embedding: {_CHECK}.")
    numbers = [item.get("index") for item in items]
    order = [at if number is None else number for at, number in enumerate(numbers)]
    if order != list(range(len(items))):
        if not all(isinstance(at, int) for at in order) or sorted(order) != [*range(len(items))]:
            raise ProtocolError(f"The answer numbers its vectors {shown(order, 100)}.")
        items = [item for _, item in sorted(zip(order, items, strict=True), key=itemgetter(0))]
    return [item["embedding"] for item in items]


def _vector(row: object, index: int, pooling: Pooling | None) -> Vector:
    if type(row) is str:
        return _decode_base64(row, index)
    if not isinstance(row, list) or not row:
        raise ProtocolError(
            f"The vector of text {index} is {shown(row)!r}, where a list of numbers belongs: "
            f"{_CHECK}."
        )
    if isinstance(row[0], list):
        row = _pooled(row, index, pooling)
    kinds = set(map(type, row))
    if not kinds <= {float, int}:
        wrong = next(at for at, number in enumerate(row) if type(number) not in (float, int))
        raise _no_number(wrong, row[wrong])
    if not row[0] and not any(row):
        raise _all_zeros()
    if kinds == {float}:
        return cast("list[float]", row)
    try:
        return [float(cast("float", number)) for number in row]
    except OverflowError:  # an integer beyond all floats
        largest = max(range(len(row)), key=lambda at: abs(cast("float", row[at])))
        raise _no_number(largest, row[largest]) from None


def _decode_base64(text: str, index: int) -> bytes:
    """Decode base64 of little-endian float32."""
    try:
        data = a2b_base64(text)
    except (Base64Error, ValueError) as error:
        raise ProtocolError(f"The vector of text {index} is no base64 ({error}).") from error
    if not data or len(data) % 4:
        raise ProtocolError(f"The vector of text {index} has {len(data)} bytes, no float32s.")
    # NaN and infinity are all ones in the exponent, most of which is in the last byte of four.
    last = data[3::4]
    if b"\x7f" in last or b"\xff" in last:
        _check_finite(_native(data))
    if not data[0] and not any(_native(data)):
        raise _all_zeros()
    return data if sys.byteorder == "little" else _native(data).tobytes()


def _native(data: bytes) -> array[float]:
    numbers = array("f", data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _check_finite(numbers: Iterable[float]) -> None:
    for at, number in enumerate(numbers):
        if not math.isfinite(number):
            raise _no_number(at, number)


def _no_number(at: int, value: object) -> _UnusableVector:
    return _UnusableVector(
        f"has {shown(value)} at place {at}, where a finite number belongs: the model on the "
        "server may be broken, or its number format too small for it."
    )


def _all_zeros() -> _UnusableVector:
    # Its cosine with any other is 0 / 0: vector stores fail on it, or rank it at random.
    return _UnusableVector(
        "is all zeros, which is near to nothing: the model may know no word of the text. Leave "
        "the text out, or use a model that knows its language."
    )


def _pooled(row: list[object], index: int, pooling: Pooling | None) -> list[object]:
    """Make one vector of one per token."""
    tokens = row
    inner = row[0] if len(row) == 1 else None
    if isinstance(inner, list) and inner and isinstance(inner[0], list):
        tokens = inner
    vectors = [token for token in tokens if isinstance(token, list) and token]
    if len(vectors) != len(tokens) or len(set(map(len, vectors))) != 1:
        raise ProtocolError(f"The vectors of the tokens of text {index} have different lengths.")
    if len(vectors) == 1 or pooling == "cls":
        return vectors[0]
    if pooling is None:
        raise ProtocolError(
            f"The server answers one vector per token ({len(vectors)} for text {index}): set "
            "pooling='mean' or 'cls', whichever the model was trained with."
        )
    try:
        return [math.fsum(column) / len(vectors) for column in zip(*vectors, strict=True)]
    except (OverflowError, TypeError, ValueError) as error:
        raise ProtocolError(f"The vectors of text {index}'s tokens hold no numbers.") from error


def to_floats(vector: Vector) -> list[float]:
    return array("f", vector).tolist() if type(vector) is bytes else cast("list[float]", vector)


def normalized(vector: Vector) -> list[float]:
    """Return a vector brought to length 1; one of length 0 stays as it is."""
    numbers = to_floats(vector)
    length = math.sqrt(math.fsum(map(mul, numbers, numbers)))
    return [number / length for number in numbers] if length else numbers
