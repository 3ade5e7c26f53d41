"""The ways to embed."""

from __future__ import annotations

import pytest

from ...support.embedding_modes import MANY, WAYS


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Each way to embed."""
    return str(request.param)


@pytest.fixture(params=MANY)
def many(request: pytest.FixtureRequest) -> str:
    """Each way to embed many texts."""
    return str(request.param)


@pytest.fixture(params=("documents", "adocuments"))
def both(request: pytest.FixtureRequest) -> str:
    """Sync and async."""
    return str(request.param)
