"""Fixtures for every test."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FrameType

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
HERE = Path(__file__).parent


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.default_int_handler(number, frame)


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Keep `asyncio.run` from replacing the handler of interruptions in every test.

    While it does, `signal` makes an error's text of the handler that it replaces, and that text
    repeats the whole answer of the task: a seventh of the time of tests that await answers.
    """
    if signal.getsignal(signal.SIGINT) in {signal.default_int_handler, signal.SIG_IGN}:
        signal.signal(signal.SIGINT, _interrupt)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Share out among xdist's workers the compiling of test modules, which every one imports."""
    worker = getattr(session.config, "workerinput", None)
    if worker is None or sys.dont_write_bytecode:
        return
    number, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    places = [Path(place.partition("::")[0]).absolute() for place in session.config.args]
    modules = {module for place in places for module in place.rglob("test_*.py")}
    # A worker that stands in for one that died has a higher number, and finds all compiled.
    for module in sorted(modules)[number::count] if number < count else []:
        with suppress(Exception):  # the collection says what is wrong
            import_module(".".join(module.relative_to(HERE.parent).with_suffix("").parts))


def pytest_collection_finish() -> None:
    """Keep thousands of tests out of what the garbage collector looks at again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def fake_server() -> Iterator[FakeServer]:
    """A running byte-level server, closed after the test."""
    with FakeServer() as server:
        yield server


@pytest.fixture(autouse=True)
def forget_servers() -> None:
    """Meet every server for the first time: its port may have been another test's before."""
    SESSIONS.forget()
