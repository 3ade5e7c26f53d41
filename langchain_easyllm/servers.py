"""What `server_info()` of a model, of embeddings or of a reranker returns."""

from __future__ import annotations

from ._servers.details import ServerDetails

__all__ = ["ServerDetails"]
