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

import orjson

from ..errors import ConfigurationError, ProtocolError
from .events import Failure
from .json import parse_json_leniently
from .texts import body_parts

__all__ = ["RerankApi", "RerankProtocolRequest", "read_scores", "rerank_route"]


class RerankApi(StrEnum):
    """Protocol of a reranking request."""

    TEI = "tei"
    JINA = "jina"
    HUB = "text-ranking"


@dataclass(slots=True)
class RerankProtocolRequest:
    """One query; the texts of each batch are put into it.

    Args:
        params: Neutral fields that are set (`truncate`, `truncation_direction`).
        extra: The caller's own keys, merged into the body last.

    Raises:
        ConfigurationError: For a field that this protocol cannot express.
    """

    api: RerankApi
    query: str
    params: Mapping[str, object] = field(default_factory=dict)
    model: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    _head: bytes = b""
    _tail: bytes = b""

    def __post_init__(self) -> None:
        """Make the parts of the body that every batch has in common."""
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
        given = {name: value for name, value in self.params.items() if value is not None}
        if self.api is RerankApi.TEI:
            if "truncation_direction" in given:
                given["truncation_direction"] = str(given["truncation_direction"]).capitalize()
            return given
        body: dict[str, object] = {}
        if self.api is RerankApi.JINA and given.pop("truncate", None):
            body["truncate_prompt_tokens"] = -1  # vLLM: to as many as the model takes
        for name, value in given.items():
            if value not in (False, "right"):  # what asks for what happens anyway needs no name
                raise ConfigurationError(
                    f"{name}={value!r} cannot be expressed on the {self.api.value} api: drop it. "
                    "model_kwargs sends any key as it is."
                )
        return body

    @property
    def overhead(self) -> int:
        """Bytes of a body without any text."""
        return len(self._head) + len(self._tail)

    def body(self, texts: bytes) -> bytes:
        """Return the body for one batch of texts, already JSON, with commas between them."""
        return self._head + texts + self._tail


def rerank_route(api: RerankApi) -> str:
    """Return the route of a protocol below a server's root."""
    return {
        RerankApi.TEI: "/rerank",
        RerankApi.JINA: "/v1/rerank",
        RerankApi.HUB: "/",
    }[api]


def read_scores(body: bytes, indices: Sequence[int]) -> list[float] | Failure:
    """Read the scores of one batch, in the order of its texts.

    Args:
        body: The response: `[{"index", "score"}]` (TEI, the Hub) or `{"results": [{"index",
            "relevance_score"}]}` (Jina's).
        indices: The index of each text in the caller's list, for errors.

    Raises:
        ProtocolError: If they are not one finite number per text.
    """
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = parse_json_leniently(body)
    if isinstance(value, Mapping):
        if value.get("error"):
            return Failure(body)
        value = value.get("results", value.get("data"))
    if not isinstance(value, list) or not all(map(_is_rank, value)):
        raise ProtocolError(
            f"The answer holds no scores but {body[:100].decode('utf-8', 'replace')!r}: check "
            "base_url and api."
        )
    scores = {item["index"]: item.get("relevance_score", item.get("score")) for item in value}
    if len(value) != len(indices) or scores.keys() != set(range(len(indices))):
        raise ProtocolError(
            f"The server scored {len(value)} texts of {len(indices)}, or one of them twice."
        )
    return [_number(scores[at], index) for at, index in enumerate(indices)]


def _is_rank(item: object) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("index"), int)


def _number(score: object, index: int) -> float:
    if type(score) not in (float, int) or not math.isfinite(cast("float", score)):
        raise ProtocolError(
            f"The score of document {index} is {score!r}, where a finite number belongs: the model "
            "on the server may be broken."
        )
    return float(cast("float", score))
