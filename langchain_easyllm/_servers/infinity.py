"""Infinity, a server of embeddings and rerankers. Source: its source code, version 0.0.78.

Its routes have no `/v1` before them unless it was started with `--url-prefix /v1`.
"""

from __future__ import annotations

from .profile import EmbeddingProfile, ServerProfile, VersionRoute

INFINITY = ServerProfile(
    name="infinity",
    owned_by=("infinity",),
    chat=None,
    completions=None,
    generate=None,
    version_route=VersionRoute("/v1/openapi.json", "info.version"),
    embedding=EmbeddingProfile("infinity"),
)
