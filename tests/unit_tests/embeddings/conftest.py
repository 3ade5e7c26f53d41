"""The invocation modes of embeddings."""

from __future__ import annotations

import pytest

from ...support.embedding_modes import BATCH_MODES, MODES


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Each mode."""
    return str(request.param)


@pytest.fixture(params=BATCH_MODES)
def batch_mode(request: pytest.FixtureRequest) -> str:
    """Each mode for many texts."""
    return str(request.param)


@pytest.fixture(params=("documents", "adocuments"))
def sync_or_async(request: pytest.FixtureRequest) -> str:
    """Sync and async."""
    return str(request.param)
