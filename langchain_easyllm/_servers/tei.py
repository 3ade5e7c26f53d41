"""Text Embeddings Inference. Source: its OpenAPI document, version 1.9."""

from __future__ import annotations

from .profile import CLIENT_SIDE, EMBEDDING_FIELDS, EmbeddingProfile, VersionRoute, same

TEI_EMBEDDINGS = EmbeddingProfile(
    "tei",
    {
        "embed": same(*EMBEDDING_FIELDS),
        # The OpenAI route has no other fields, and always normalizes.
        "embeddings": {"normalize": CLIENT_SIDE, "dimensions": "dimensions"},
    },
    normalizes=True,
)

TEI_VERSION = VersionRoute("/info", concurrency_key="max_concurrent_requests")
