"""The pictures of the documentation that are drawn from the code's own results."""

from __future__ import annotations

from ..stop_timeline import FOUND, PICTURE, RELEASED, picture, steps


def test_the_picture_of_stop_sequences_is_the_codes() -> None:
    assert picture() == PICTURE.read_text(encoding="utf-8"), "run: make tables"


def test_both_answers_of_the_picture_are_what_their_titles_say() -> None:
    assert "".join(chunk for _, chunk, _, _ in steps(FOUND)) == "Action: search"
    assert "".join(chunk for _, chunk, _, _ in steps(RELEASED)) == "".join(RELEASED)
