"""The recording of the demo, as a picture that moves."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from demo.languages import ENGLISH, KOREAN, LANGUAGES
from demo.record import COLUMNS, IMAGES, PICTURES, WIDTH, Recorder, picture
from demo.screen import cells

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def recorder():
    recorder = Recorder(KOREAN)
    recorder.progress("모델이 읽는 중", 0.25)
    recorder.line("1. 대화 & <더>", "title")
    recorder.write("   < 다온시의 시장은 ", "said")
    recorder.progress("모델이 쓰는 중")
    recorder.write("Dana 김서연", "said")
    recorder.line()
    recorder.line("   > " + "아주 긴 줄 " * 20, "sent")
    recorder.progress("", 1)
    return recorder


def rows(svg: str) -> dict[str, list[ET.Element]]:
    """The pieces of each row of the screen, by its place."""
    found: dict[str, list[ET.Element]] = {}
    [screen] = [g for g in ET.fromstring(svg).iter(f"{SVG}g") if g.get("class") == "roll"]
    for text in screen.iter(f"{SVG}text"):
        found.setdefault(str(text.get("y")), []).append(text)
    return found


def lines(svg: str) -> list[str]:
    """The rows of the screen as texts."""
    return [" ".join(str(text.text) for text in row) for row in rows(svg).values()]


def test_a_picture_has_all_that_was_written(recorder):
    shown = lines(picture(recorder.events, KOREAN))
    assert shown[:3] == ["$ make demo LANG=ko", "1. 대화 & < 더 >", "< 다온시의 시장은 Dana 김서연"]
    assert " ".join(row.removeprefix("> ") for row in shown[3:]) == " ".join(["아주 긴 줄"] * 20)


def test_letters_stand_in_a_terminals_columns(recorder):
    for row in rows(picture(recorder.events, KOREAN)).values():
        at = 0.0
        for text in row:
            assert float(text.get("x")) >= at
            width = float(text.get("textLength"))
            assert width == pytest.approx(cells(text.text) * WIDTH)
            assert ("wide" in text.get("class", "")) == bool(re.search("[가-힣]", text.text))
            at = float(text.get("x")) + width
        assert at <= COLUMNS * WIDTH + 0.1


def test_the_line_of_progress_is_a_part_of_the_picture(recorder):
    svg = picture(recorder.events, KOREAN)
    assert "모델이 읽는 중</text>" in svg
    assert "모델이 쓰는 중</text>" in svg
    assert re.findall(r"scaleX\(([\d.]+)\)", svg) == ["0", "0.25", "1"]


def test_a_picture_moves_only_where_movement_is_welcome(recorder):
    style = picture(recorder.events, ENGLISH).split("<style>")[1].split("</style>")[0]
    still = style.split("@media (prefers-reduced-motion: no-preference)")[0]
    assert "animation" not in still
    assert ".cover, .cursor, .foot { visibility: hidden }" in still


@pytest.mark.parametrize("code", PICTURES)
def test_the_pictures_of_the_documentation_are_recordings(code):
    shown = [
        re.sub(r"\s", "", line) for line in lines((IMAGES / PICTURES[code]).read_text("utf-8"))
    ]
    language = LANGUAGES[code]
    for part in (language.chat, language.tool_calls, language.structured, language.retrieval):
        title = re.sub(r"\s", "", part.title)
        assert any(title in line for line in shown), part.title
