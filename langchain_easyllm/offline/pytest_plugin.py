"""Fixtures for users' own tests: `pytest_plugins = ["langchain_easyllm.offline.pytest_plugin"]`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .faults import Faults
    from .server import OfflineServer

__all__ = ["offline_faults", "offline_server"]


@pytest.fixture(scope="session")
def offline_server() -> Iterator[OfflineServer]:
    """A server with the bundled models, for the whole session."""
    from .server import offline_server as serve  # noqa: PLC0415 - only where it is asked for

    with serve() as server:
        yield server


@pytest.fixture
def offline_faults(offline_server: OfflineServer) -> Iterator[Faults]:
    """The misbehaviour of `offline_server`, which ends with the test."""
    yield offline_server.faults
    offline_server.faults.clear()
