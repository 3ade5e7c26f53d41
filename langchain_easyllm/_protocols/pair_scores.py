"""Scores of pairs of texts: TEI's `/predict` and vLLM's `/score`.

Sources: TEI's OpenAPI document; the request and response models of vLLM's score API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from .._servers.profile import ServerInfo, same
from ..errors import ConfigurationError, ProtocolError
from .events import Failure
from .json import parse_json, quoted, shown
from .rerank import read_scores, score_number
from .texts import BatchBody, Pair, body_parts, to_json, translate_fields


class PairApi(StrEnum):
    """Protocol of a request that scores pairs of any two texts."""

    PREDICT = "predict"
    SCORE = "score"


def pair_route(api: PairApi) -> str:
    return f"/{api.value}"


def pair_fields(api: PairApi, server: ServerInfo) -> Mapping[str, str]:
    """Return the server's name of each neutral field."""
    if api is PairApi.PREDICT:
        return same("truncate", "truncation_direction", "raw_scores")
    return server.profile.rerank


@dataclass(slots=True)
class PairProtocolRequest(BatchBody):
    """One kind of request; the pairs of each batch are put into it."""

    api: PairApi
    server: ServerInfo
    params: Mapping[str, object] = field(default_factory=dict)
    model: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fields, missing = translate_fields(self.params, pair_fields(self.api, self.server))
        if missing:
            raise ConfigurationError(
                f"{missing}={self.params[missing]!r} cannot be expressed on the {self.api.value} "
                f"api of this server ({self.server.profile}): drop it. model_kwargs sends any key "
                "as it is."
            )
        if self.api is PairApi.PREDICT:
            self._head, self._tail = body_parts("inputs", {**fields, **self.extra})
            return
        model = {"model": self.model} if self.model else {}
        body_parts("text_1", self.extra)  # which may not hold the texts
        self._head, self._tail = body_parts("text_2", {**model, **fields, **self.extra})

    def pairs_body(self, pairs: Sequence[Pair], encoded: bytes) -> bytes:
        """Return the body for one batch of pairs; `encoded` is their JSON, with commas between."""
        if self.api is PairApi.PREDICT:
            return self.body(encoded)
        first, second = (b",".join(map(to_json, texts)) for texts in zip(*pairs, strict=True))
        # vLLM has two lists of texts in place of a list of pairs.
        return b'{"text_1":[' + first + b"]," + self._head[1:] + second + self._tail


def read_pair_scores(api: PairApi, body: bytes, indices: Sequence[int]) -> list[float] | Failure:
    """Read the scores of one batch, in the order of its pairs (`indices`, for errors)."""
    if api is PairApi.SCORE:
        return read_scores(body, indices, "pair")
    value = parse_json(body)
    if isinstance(value, Mapping) and value.get("error"):
        return Failure(body)
    rows = value if isinstance(value, list) else None
    if rows is None or not all(isinstance(row, list) and row for row in rows):
        raise ProtocolError(
            f"The answer holds no predictions but {quoted(body, 100)}: check base_url and api."
        )
    if len(rows) != len(indices):
        raise ProtocolError(f"The server scored {len(rows)} pairs of {len(indices)}.")
    return [_score(row, index) for row, index in zip(rows, indices, strict=True)]


_RELEVANT = "LABEL_1"
"""What a model with two classes, none of them named, says of a pair that fits."""


def _score(row: list[object], index: int) -> float:
    by_label: dict[str, object] = {
        item["label"]: item.get("score")
        for item in row
        if isinstance(item, Mapping) and isinstance(item.get("label"), str)
    }
    if len(by_label) != len(row):
        raise ProtocolError(
            f"The predictions for pair {index} are {shown(row)}, where labels and scores belong: "
            "check base_url and api."
        )
    if len(by_label) == 1:
        [score] = by_label.values()
    elif by_label.keys() == {"LABEL_0", _RELEVANT}:
        score = by_label[_RELEVANT]
    else:
        names = ", ".join(sorted(by_label))
        raise ProtocolError(
            f"The model has several classes ({names}), and a cross-encoder one score: serve a "
            "reranker."
        )
    return score_number(score, f"pair {index}")
