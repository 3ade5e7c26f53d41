"""A process without anybody's token, and the fixtures that run one test in many ways."""

from __future__ import annotations

import pytest

from ..face.conftest import _nobody
from .asking import MANY, WAYS

__all__ = ["_nobody"]


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
