"""Agents ask the same in every mode."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ...support.offline_model import remembered_answers


@pytest.fixture(scope="package", autouse=True)
def _remembered() -> Iterator[None]:
    with remembered_answers():
        yield
