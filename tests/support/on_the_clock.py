"""Tests that hold seconds against each other on a machine that others use as well."""

from __future__ import annotations

import pytest

ON_THE_CLOCK = pytest.mark.flaky(reruns=2)
"""For a test whose bounds are fractions of a second: a machine that stops for half a second makes
one run of it late, a fault makes all three late."""
