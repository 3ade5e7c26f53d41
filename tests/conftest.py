"""Fixtures for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from langchain_easyllm._servers.session import SESSIONS

from .support.fake_server import FakeServer

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")
pytest_plugins = ["langchain_easyllm.offline.pytest_plugin"]


@pytest.fixture
def fake_server() -> Iterator[FakeServer]:
    """A running byte-level server, closed after the test."""
    with FakeServer() as server:
        yield server


@pytest.fixture(autouse=True)
def forget_servers() -> None:
    """Meet every server for the first time: its port may have been another test's before."""
    SESSIONS.forget()
