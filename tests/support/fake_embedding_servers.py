"""Whole embedding and reranking servers, after the servers' own documents.

    serve_tei(fake_server)
    serve_openai(fake_server, owned_by="vllm")

What they answer follows from the texts alone, so that a test knows what each text's vector is.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import cast

from .fake_errors import error
from .fake_server import Answer, FakeServer, Received, Reply
from .fake_text_servers import info_tei, models

__all__ = [
    "DIM",
    "base64_vector",
    "openai_route",
    "predict_route",
    "rank_route",
    "score_of",
    "score_route",
    "serve_openai",
    "serve_tei",
    "sparse_of",
    "sparse_route",
    "tei_route",
    "vector_of",
    "vectors_of",
]

DIM = 6
Json = dict[str, object]


def vector_of(text: str, dim: int = DIM) -> list[float]:
    """The vector of a text: numbers that float32 holds exactly."""
    digest = blake2b(text.encode(), digest_size=2 * dim).digest()
    return [number / 4096 for number in struct.unpack(f"<{dim}h", digest)]


def vectors_of(texts: Sequence[str]) -> list[list[float]]:
    """The vectors of texts."""
    return [vector_of(text) for text in texts]


def score_of(query: str, text: str) -> float:
    """How well a text fits a query."""
    return vector_of(query + "\0" + text, 1)[0]


def _texts(given: object) -> list[str]:
    return [given] if isinstance(given, str) else cast("list[str]", given)


def _refusal(texts: Sequence[str], limit: int, longest: int, *, truncate: bool) -> Reply | None:
    if len(texts) > limit:
        words = f"batch size {len(texts)} > maximum allowed batch size {limit}"
        return Reply({"error": words, "error_type": "Validation"}, status=422)
    if not all(texts):
        return error("tei-empty")
    if not truncate and any(len(text.split()) >= longest for text in texts):
        return error("tei-too-long")
    return None


def _dimensions(body: Json) -> int:
    return cast("int", body.get("dimensions", DIM))


def tei_route(limit: int = 32, longest: int = 512) -> Answer:
    """TEI's `/embed`: at most `limit` texts, each of fewer than `longest` words."""

    def answer(request: Received) -> Reply:
        body = cast("Json", request.json)
        texts = _texts(body["inputs"])
        refusal = _refusal(texts, limit, longest, truncate=bool(body.get("truncate")))
        return refusal or Reply([vector[: _dimensions(body)] for vector in vectors_of(texts)])

    return answer


def base64_vector(vector: Sequence[float]) -> str:
    """A vector as OpenAI's base64."""
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def openai_route(
    limit: int = 32,
    longest: int = 512,
    *,
    base64: bool = True,
    order: Callable[[list[Json]], list[Json]] = list,
) -> Answer:
    """OpenAI's `/v1/embeddings`, with or without base64; `order` may shuffle the vectors."""

    def answer(request: Received) -> Reply:
        body = cast("Json", request.json)
        texts = _texts(body["input"])
        if refusal := _refusal(texts, limit, longest, truncate=False):
            return refusal
        as_base64 = base64 and body.get("encoding_format") == "base64"
        vectors = [vector[: _dimensions(body)] for vector in vectors_of(texts)]
        data: list[Json] = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64_vector(vector) if as_base64 else vector,
            }
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        model = body.get("model") or "tiny"
        return Reply({"object": "list", "data": order(data), "model": model, "usage": usage})

    return answer


def rank_route(limit: int = 32) -> Answer:
    """Every `/rerank` there is: TEI's, Jina's and the Hub's, distinguished by the body."""

    def answer(request: Received) -> Reply:
        body = cast("Json", request.json)
        given = cast("Json", body.get("inputs", body))
        query = str(given["query"])
        texts = _texts(given.get("texts", given.get("documents")))
        if refusal := _refusal(texts, limit, 512, truncate=bool(body.get("truncate"))):
            return refusal
        scores = [(score_of(query, text), index) for index, text in enumerate(texts)]
        ranked = sorted(scores, reverse=True)
        if "documents" in body:
            results = [{"index": i, "relevance_score": s} for s, i in ranked]
            return Reply({"model": "tiny", "results": results})
        return Reply([{"index": i, "score": s} for s, i in ranked])

    return answer


def predict_route(limit: int = 32, longest: int = 512) -> Answer:
    """TEI's `/predict`: at most `limit` pairs, each of fewer than `longest` words."""

    def answer(request: Received) -> Reply:
        body = cast("Json", request.json)
        pairs = cast("list[list[str]]", body["inputs"])
        joined = [" ".join(pair) for pair in pairs]
        if refusal := _refusal(joined, limit, longest, truncate=bool(body.get("truncate"))):
            return refusal
        raw = 100 * bool(body.get("raw_scores"))
        scores = [score_of(query, text) + raw for query, text in pairs]
        return Reply([[{"score": score, "label": "LABEL_0"}] for score in scores])

    return answer


def score_route(limit: int = 2048) -> Answer:
    """vLLM's `/score`: two lists of as many texts."""

    def answer(request: Received) -> Reply:
        body = cast("Json", request.json)
        first, second = _texts(body["text_1"]), _texts(body["text_2"])
        if refusal := _refusal(first, limit, 512, truncate=False):
            return refusal
        data = [
            {"index": index, "object": "score", "score": score_of(query, text)}
            for index, (query, text) in enumerate(zip(first, second, strict=True))
        ]
        usage = {"prompt_tokens": 9, "total_tokens": 9}
        return Reply({"id": "embd-1", "object": "list", "model": "tiny", "data": data, **usage})

    return answer


def sparse_of(text: str) -> dict[int, float]:
    """The sparse vector of a text: a number for each of its words."""
    found: dict[int, float] = {}
    for word in text.lower().split():
        token = int.from_bytes(blake2b(word.strip("?.!,").encode(), digest_size=2).digest())
        found[token] = found.get(token, 0.0) + 0.5
    return found


def sparse_route(limit: int = 32, longest: int = 512) -> Answer:
    """TEI's `/embed_sparse`: at most `limit` texts, each of fewer than `longest` words."""

    def answer(request: Received) -> Reply:
        body = cast("Json", request.json)
        texts = _texts(body["inputs"])
        if refusal := _refusal(texts, limit, longest, truncate=bool(body.get("truncate"))):
            return refusal
        vectors = [sparse_of(text) for text in texts]
        return Reply([[{"index": i, "value": x} for i, x in one.items()] for one in vectors])

    return answer


def serve_tei(server: FakeServer, kind: str = "embedding", limit: int = 32, **info: object) -> None:
    """Make `server` Text Embeddings Inference with a model of this kind."""
    server.on("GET", "/info", info_tei(kind, max_client_batch_size=limit, **info))
    if kind == "embedding":
        server.on("POST", "/embed", tei_route(limit))
        server.on("POST", "/embed_sparse", sparse_route(limit))
        server.on("POST", "/v1/embeddings", openai_route(limit))
    if kind in ("reranker", "classifier"):
        server.on("POST", "/predict", predict_route(limit))
    if kind == "reranker":
        server.on("POST", "/rerank", rank_route(limit))


def serve_openai(server: FakeServer, owned_by: str = "vllm", limit: int = 2048) -> None:
    """Make `server` an OpenAI-style one with an embedding model and a reranker."""
    server.on("GET", "/info", error("fastapi-not-found"))
    server.on("GET", "/v1/models", models("tiny", owned_by=owned_by))
    server.on("POST", "/v1/embeddings", openai_route(limit))
    server.on("POST", "/v1/rerank", rank_route(limit))
    server.on("POST", "/score", score_route(limit))
