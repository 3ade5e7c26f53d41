"""What the page about other clients says of this package is what a run gives."""

from __future__ import annotations

import pytest

from benchmarks.peer_cases import CASES, Case, cold_seconds
from benchmarks.peer_clients import CLIENTS

from .site import ROOT

PAGE = (ROOT / "docs" / "peers.md").read_text(encoding="utf-8")
QUICK = [case for case in CASES if case.run is not cold_seconds]
"""How often a cold server is tried in six seconds is another number each time."""


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.run.__name__)
def test_the_page_has_what_this_package_does(case: Case) -> None:
    assert f"\n| {case.title} | {case.run(CLIENTS[0])} | " in PAGE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.run.__name__)
def test_the_page_describes_the_case(case: Case) -> None:
    assert f"- **{case.title}**: " in PAGE
