"""Sessions with the models of this process, one model for each set of settings."""

from __future__ import annotations

import os
import threading
import weakref

from .._servers.in_process import IN_PROCESS
from .._servers.profile import ServerInfo
from .._servers.session import SESSIONS, ServerSession
from .._servers.urls import ServerURL
from .embedding import EmbeddingModel
from .model import PipelineModel
from .settings import LocalSettings
from .transport import LocalTransport

EMBEDDING_BATCH = 32
"""Texts that a local embedding model takes at once: sentence-transformers' own default."""

_loaded: dict[object, LocalTransport] = {}
# A pipeline belongs to the caller, and is kept as long as somebody uses it.
_of_pipelines: weakref.WeakValueDictionary[object, LocalTransport] = weakref.WeakValueDictionary()
_lock = threading.Lock()

# A lock that is copied while another thread holds it is held for ever in the copy.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


def local_session(settings: LocalSettings, *, embeddings: bool = False) -> ServerSession:
    """Return this process's session with a local model; objects with equal settings share it."""

    def open_session() -> ServerSession:
        server = ServerInfo(
            IN_PROCESS,
            model=settings.model,
            max_batch=EMBEDDING_BATCH,
            tei="embedding" if embeddings else None,
        )
        return ServerSession(ServerURL("local:"), open_model(settings, embeddings), server)

    return SESSIONS.share((IN_PROCESS.name, embeddings, settings.key), open_session, keep=False)


def open_model(settings: LocalSettings, embeddings: bool = False) -> LocalTransport:
    """Return the transport to a model, which loads with the first request.

    It stays loaded until the transport is closed, for objects that are made anew for each call.
    """
    known = _loaded if settings.pipeline is None else _of_pipelines
    key = (embeddings, settings.key)
    with _lock:
        found = known.get(key)
        if found is None:
            model = EmbeddingModel(settings) if embeddings else PipelineModel(settings)
            found = LocalTransport(model, settings.batch_size, lambda: _forget(key))
            known[key] = found
        return found


def _forget(key: object) -> None:
    with _lock:
        _loaded.pop(key, None)
