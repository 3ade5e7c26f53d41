"""The session with a model in this process: a server that is known from the start."""

from __future__ import annotations

from .._servers.in_process import IN_PROCESS
from .._servers.profile import ServerInfo
from .._servers.session import SESSIONS, ServerSession
from .._servers.urls import ServerURL
from .registry import open_embeddings, open_model
from .settings import LocalSettings

EMBEDDING_BATCH = 32
"""Texts that a local embedding model takes at once: sentence-transformers' own default."""


def local_session(settings: LocalSettings, *, embeddings: bool = False) -> ServerSession:
    """Return this process's session with a local model; objects with equal settings share it."""

    def open_session() -> ServerSession:
        transport = open_embeddings(settings) if embeddings else open_model(settings)
        server = ServerInfo(
            IN_PROCESS,
            model=settings.model,
            max_batch=EMBEDDING_BATCH,
            tei="embedding" if embeddings else None,
        )
        return ServerSession(ServerURL("local:"), transport, server)

    return SESSIONS.share((IN_PROCESS.name, embeddings, settings.key), open_session, keep=False)
