"""The local models of this process: one for each set of settings."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

from .embedding import EmbeddingModel
from .model import PipelineModel
from .settings import LocalSettings
from .transport import LocalModel, LocalTransport

_loaded: dict[object, LocalTransport] = {}
# A pipeline belongs to the caller, and is kept as long as somebody uses it.
_of_pipelines: weakref.WeakValueDictionary[object, LocalTransport] = weakref.WeakValueDictionary()
_lock = threading.Lock()

# A lock that is copied while another thread holds it is held for ever in the copy.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


def open_model(settings: LocalSettings) -> LocalTransport:
    """Return the transport to a language model, which loads with the first request.

    It stays loaded until the transport is closed, for objects that are made anew for each call.
    """
    return _open(PipelineModel, settings)


def open_embeddings(settings: LocalSettings) -> LocalTransport:
    """Return the transport to an embedding model; see `open_model`."""
    return _open(EmbeddingModel, settings)


def _open(kind: Callable[[LocalSettings], LocalModel], settings: LocalSettings) -> LocalTransport:
    known = _loaded if settings.pipeline is None else _of_pipelines
    key = (kind, settings.key)
    with _lock:
        found = known.get(key)
        if found is None:
            model = kind(settings)
            found = LocalTransport(model, settings.batch_size, lambda: _forget(key))
            known[key] = found
        return found


def _forget(key: object) -> None:
    with _lock:
        _loaded.pop(key, None)
