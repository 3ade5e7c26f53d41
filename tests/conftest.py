"""Fixtures for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from langchain_easyllm._servers.session import SESSIONS

from .support.fake_server import FakeServer

# A busy machine is no failure: no test has a deadline. The same examples are met every time, but
# `HYPOTHESIS_PROFILE=random` meets twice as many others, `HYPOTHESIS_PROFILE=long` forty times.
settings.register_profile("same", deadline=None, derandomize=True, database=None, max_examples=50)
settings.register_profile("random", deadline=None)
settings.register_profile("long", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
# The processes that tests start import the same again and again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
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
