"""The local models of this process: each is loaded once for the settings it is loaded with."""

from __future__ import annotations

import threading
import weakref

from .batching import Batcher
from .model import PipelineModel
from .settings import LocalSettings
from .transport import LocalTransport

__all__ = ["open_model"]


_loaded: dict[object, LocalTransport] = {}
# A pipeline is its maker's, and lives as long as somebody uses it.
_around: weakref.WeakValueDictionary[object, LocalTransport] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def open_model(settings: LocalSettings) -> LocalTransport:
    """Return this process's way to a model. The model loads with the first request.

    It stays loaded, for objects that are made anew for each call, until the way is closed.
    """
    known = _loaded if settings.pipeline is None else _around
    key = settings.key
    with _lock:
        found = known.get(key)
        if found is None:
            model = PipelineModel(settings)
            batcher = Batcher(model.run, settings.batch_size)
            found = known[key] = LocalTransport(model, batcher, lambda: _forget(key))
        return found


def _forget(key: object) -> None:
    with _lock:
        _loaded.pop(key, None)
