"""Fixtures for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .wire_server import WireServer


@pytest.fixture
def wire_server() -> Iterator[WireServer]:
    """A running byte-level server, closed after the test."""
    with WireServer() as server:
        yield server
