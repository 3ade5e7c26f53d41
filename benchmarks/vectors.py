"""The loopback server's answers to embedding requests: one vector for every text, made once.

A text costs the server next to nothing: an answer to so many texts is made when it is first asked
for, and kept. Nothing is refused for its size, as one of the peers sends everything at once.
"""

from __future__ import annotations

import base64
import struct
from functools import lru_cache

TEI_INFO = {
    "model_id": "m",
    "model_sha": None,
    "model_dtype": "float16",
    "model_type": {"embedding": {"pooling": "mean"}},
    "max_concurrent_requests": 512,
    "max_input_length": 512,
    "max_batch_tokens": 16384,
    "max_batch_requests": None,
    "max_client_batch_size": 32,
    "auto_truncate": False,
    "tokenization_workers": 4,
    "version": "1.9.0",
}
"""What makes a client take the server for Text Embeddings Inference, with its limit of 32 texts."""

SENTENCE = "The quick brown fox jumps over the lazy dog, and then it does so once more."


def texts_of(count: int) -> list[str]:
    """Return `count` short texts."""
    return [f"{number}. {SENTENCE}" for number in range(count)]


def count_texts(body: bytes) -> int:
    """Return how many texts a request has, without parsing it."""
    return body.count(SENTENCE.encode())


def vector_of(dim: int) -> list[float]:
    """Return the vector of every text: float32 numbers as a model writes them."""
    numbers = [((place * 7919) % 2003 - 1001) / 40013 for place in range(dim)]
    return list(struct.unpack(f"<{dim}f", struct.pack(f"<{dim}f", *numbers)))


@lru_cache(maxsize=64)
def plain_vectors(dim: int, count: int) -> bytes:
    """Return TEI's answer, `[[...], ...]`, in the digits that tell float32 numbers apart."""
    one = b"[" + b",".join(b"%.9g" % number for number in vector_of(dim)) + b"]"
    return b"[" + b",".join([one] * count) + b"]"


@lru_cache(maxsize=64)
def openai_vectors(dim: int, count: int, *, packed: bool) -> bytes:
    """Return OpenAI's answer, with the vectors as base64 or as numbers."""
    if packed:
        raw = struct.pack(f"<{dim}f", *vector_of(dim))
        one = b'"' + base64.b64encode(raw) + b'"'
    else:
        one = plain_vectors(dim, 1)[1:-1]
    data = b",".join(
        b'{"object":"embedding","embedding":%b,"index":%d}' % (one, index) for index in range(count)
    )
    tail = b'],"model":"m","usage":{"prompt_tokens":%d,"total_tokens":%d}}' % (count, count)
    return b'{"object":"list","data":[' + data + tail


def answer(dim: int, route: bytes, body: bytes) -> bytes | None:
    """Return the body of an answer; None for a route that does not embed."""
    if route in (b"POST /embed", b"POST /"):
        return plain_vectors(dim, count_texts(body))
    if route == b"POST /v1/embeddings":
        return openai_vectors(dim, count_texts(body), packed=b'"base64"' in body)
    return None
