"""Sparse vectors: TEI's `/embed_sparse`. Source: TEI's OpenAPI document."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

import orjson

from .._servers.profile import same
from ..errors import ConfigurationError, ProtocolError
from .events import Failure
from .json import parse_json, quoted, shown
from .texts import BatchBody, body_parts, translate_fields

ROUTE = "/embed_sparse"

SPARSE_FIELDS = ("truncate", "truncation_direction", "prompt_name")
"""Fields of sparse vectors as this package names them, and as TEI does."""


class SparseVector(NamedTuple):
    """A vector of which nearly every number is 0: the others, and their places."""

    indices: list[int]
    """The places, ascending: ids of tokens, for most models."""

    values: list[float]
    """The numbers at these places."""


@dataclass(slots=True)
class SparseProtocolRequest(BatchBody):
    """One kind of request; the texts of each batch are put into it."""

    params: Mapping[str, object] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fields, _ = translate_fields(self.params, same(*SPARSE_FIELDS))
        self._head, self._tail = body_parts("inputs", {**fields, **self.extra})


def read_sparse_vectors(body: bytes, indices: Sequence[int]) -> list[SparseVector] | Failure:
    """Read the vectors of one batch, in the order of its texts (`indices`, for errors)."""
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = parse_json(body)
    if isinstance(value, Mapping) and value.get("error"):
        return Failure(body)
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        raise ProtocolError(
            f"The answer holds no sparse vectors but {quoted(body, 100)}: check base_url."
        )
    if len(value) != len(indices):
        raise ProtocolError(
            f"The server answered {len(value)} sparse vectors to {len(indices)} texts: check "
            "base_url."
        )
    return [_vector(row, index) for row, index in zip(value, indices, strict=True)]


def _vector(row: list[object], index: int) -> SparseVector:
    found: dict[int, float] = {}
    for item in row:
        at = item.get("index") if isinstance(item, Mapping) else None
        number = item.get("value") if isinstance(item, Mapping) else None
        if type(at) is not int or at < 0 or at in found:
            raise ProtocolError(
                f"The sparse vector of text {index} holds {shown(item)}, where a place of its own "
                "and a number belong: check base_url."
            )
        if not isinstance(number, float | int) or not math.isfinite(number):
            raise ProtocolError(
                f"The sparse vector of text {index} has {shown(number)} at place {at}, where a "
                "finite number belongs: the model on the server may be broken."
            )
        found[at] = float(number)
    places = sorted(found.items(), key=itemgetter(0))
    return SparseVector([at for at, _ in places], [number for _, number in places])


def no_sparse_vectors(who: str) -> ConfigurationError:
    return ConfigurationError(
        f"{who} makes no sparse vectors: set base_url to Text Embeddings Inference with a SPLADE "
        "model (`--pooling splade`)."
    )
