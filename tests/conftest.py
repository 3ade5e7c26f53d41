"""Fixtures for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from langchain_easyllm import _connection

from .wire_server import WireServer


@pytest.fixture
def wire_server() -> Iterator[WireServer]:
    """A running byte-level server, closed after the test."""
    with WireServer() as server:
        yield server
    # Its port may be another test's before long, and the package keeps what it last talked to.
    _connection.forget_recent()
