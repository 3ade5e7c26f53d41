"""Reranking: routes, bodies and answers of Text Embeddings Inference, Jina's protocol and the Hub.

Sources: TEI's OpenAPI document; vLLM's and llama.cpp's `/v1/rerank`, which follow Jina AI's API;
the text-ranking pipeline of Hugging Face's own provider.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

from .._servers.profile import ServerInfo, same
from ..errors import ConfigurationError, ProtocolError
from .events import Failure
from .json import parse_json, quoted, shown
from .texts import BatchBody, body_parts, translate_fields


class RerankApi(StrEnum):
    """Protocol of a reranking request."""

    TEI = "tei"
    JINA = "jina"
    HUB = "text-ranking"


_FIELDS: Mapping[RerankApi, Mapping[str, str]] = {
    RerankApi.TEI: same("truncate", "truncation_direction", "raw_scores"),
    RerankApi.HUB: {},
}


def rerank_fields(api: RerankApi, server: ServerInfo) -> Mapping[str, str]:
    """Return the server's name of each neutral field; Jina's protocol differs by the server."""
    return _FIELDS.get(api, server.profile.rerank)


@dataclass(slots=True)
class RerankProtocolRequest(BatchBody):
    """One query; the texts of each batch are put into it."""

    api: RerankApi
    query: str
    server: ServerInfo
    params: Mapping[str, object] = field(default_factory=dict)
    model: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fields = self._fields()
        if self.api is RerankApi.HUB:
            before, after = body_parts("inputs", {**fields, **self.extra})
            head, tail = body_parts("texts", {"query": self.query})
            # An object, where others have a list.
            self._head, self._tail = before[:-1] + head, tail + after[1:]
        elif self.api is RerankApi.TEI:
            body = {"query": self.query, **fields, **self.extra}
            self._head, self._tail = body_parts("texts", body)
        else:
            model = {"model": self.model} if self.model else {}
            body = {**model, "query": self.query, **fields, **self.extra}
            self._head, self._tail = body_parts("documents", body)

    def _fields(self) -> dict[str, object]:
        fields, missing = translate_fields(self.params, rerank_fields(self.api, self.server))
        if missing:
            named = f" of this server ({self.server.profile})" if self.api is RerankApi.JINA else ""
            raise ConfigurationError(
                f"{missing}={self.params[missing]!r} cannot be expressed on the {self.api.value} "
                f"api{named}: drop it. model_kwargs sends any key as it is."
            )
        return fields


def rerank_route(api: RerankApi) -> str:
    return {RerankApi.TEI: "/rerank", RerankApi.JINA: "/v1/rerank"}.get(api, "/")


def read_scores(
    body: bytes, indices: Sequence[int], noun: str = "document"
) -> list[float] | Failure:
    """Read the scores of one batch, in the order of its texts (`indices`, for errors).

    TEI and the Hub answer `[{"index", "score"}]`, others `{"results": [{"index",
    "relevance_score"}]}`.
    """
    value = parse_json(body)
    if isinstance(value, Mapping):
        if value.get("error"):
            return Failure(body)
        value = value.get("results", value.get("data"))
    if not isinstance(value, list) or not all(map(_is_rank, value)):
        raise ProtocolError(
            f"The answer holds no scores but {quoted(body, 100)}: check base_url and api."
        )
    scores = {item["index"]: item.get("relevance_score", item.get("score")) for item in value}
    if len(value) != len(indices) or scores.keys() != set(range(len(indices))):
        raise ProtocolError(
            f"The server scored {len(value)} texts of {len(indices)}, or one of them twice."
        )
    return [score_number(scores[at], f"{noun} {index}") for at, index in enumerate(indices)]


def _is_rank(item: object) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("index"), int)


def score_number(score: object, what: str) -> float:
    """Return the score of a text, once it is a finite number."""
    try:
        finite = type(score) in (float, int) and math.isfinite(cast("float", score))
    except OverflowError:  # an integer beyond all floats
        finite = False
    if not finite:
        raise ProtocolError(
            f"The score of {what} is {shown(score)}, where a finite number belongs: the "
            "model on the server may be broken."
        )
    return float(cast("float", score))
