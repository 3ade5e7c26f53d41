"""The pictures are what the code draws: run `python -m tests.site_pictures` after a change."""

from __future__ import annotations

from ..site_pictures import ASSETS, PICTURES


def test_the_pictures_are_up_to_date() -> None:
    for name, draw in PICTURES.items():
        assert (ASSETS / name).read_text(encoding="utf-8") == draw(), name
