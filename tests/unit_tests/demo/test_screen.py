"""The demo's screens: columns, and colours only where somebody sees them."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.live import Live

from demo.languages import ENGLISH, KOREAN
from demo.screen import Screen, cells, folded, has_colours, open_screen, shortened
from demo.terminal import Terminal


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("abc", 3),
        ("다온시", 6),
        ("다온 city", 9),
        ("Ａ", 2),
        ("e\u0301", 1),  # an accent above
        ("\u200d", 0),
    ],
)
def test_columns(text, columns):
    assert cells(text) == columns


@pytest.mark.parametrize(
    ("text", "width", "wanted"),
    [
        ("abcdefghij", 10, "abcdefghij"),
        ("abcdefghijk", 10, "abcdef ..."),
        ("다온시의 인구", 13, "다온시의 인구"),
        ("다온시의 인구", 12, "다온시의 ..."),
        ("다온시의 인구", 11, "다온시 ..."),
    ],
)
def test_a_long_line_is_cut(text, width, wanted):
    assert shortened(text, width) == wanted
    assert cells(wanted) <= width


@pytest.mark.parametrize(
    ("line", "width", "wanted"),
    [
        ("", 20, [""]),
        ("   < one two three", 14, ["   < one two", "   < three"]),
        ("   다온시의 시장은 누구인가요?", 20, ["   다온시의 시장은", "   누구인가요?"]),
        ("   > 가나다라마바사", 13, ["   > 가나다라", "   > 마바사"]),
        ("one twothreefour", 8, ["one", "twothree", "four"]),
        ("  > one", 40, ["  > one"]),
    ],
)
def test_a_long_line_is_folded(line, width, wanted):
    assert folded(line, width) == wanted


@given(st.text("ab가 나<>", max_size=60), st.integers(min_value=20, max_value=40))
def test_folding_loses_nothing(line, width):
    rows = folded(line, width)
    indent = re.match(r" *(?:[<>] )?", line)[0]
    if cells(indent) < width - 1:
        assert all(cells(row.rstrip()) <= width for row in rows)
    joined = "".join(row.removeprefix(indent) for row in rows)
    assert joined.replace(" ", "") == line.removeprefix(indent).replace(" ", "")


@pytest.mark.parametrize(
    ("environment", "colours"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),  # empty means unset
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_colours_are_for_terminals_that_have_them(environment, colours):
    assert has_colours(environment) is colours


class Window(io.TextIOWrapper):
    """An output that says that it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": "xterm", "NO_COLOR": "1"}])
def test_plain_text_has_no_escape_codes(environment, monkeypatch):
    window = Window()
    monkeypatch.setattr("sys.stdout", window)
    monkeypatch.setenv("COLUMNS", "44")
    with open_screen(KOREAN, environment) as screen:
        assert (type(screen), screen.width) == (Screen, 44)
        screen.progress("읽는 중", 0.5)
        screen.write("   < 다온", "said")
        screen.write("시\n", "said")
    assert window.text() == "   < 다온시\n"


def test_a_pipe_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    with open_screen(ENGLISH, {"TERM": "xterm"}) as screen:
        screen.line("text", "title")
        assert (type(screen), screen.width) == (Screen, 105)
    assert capsys.readouterr().out == "text\n"


def test_letters_that_an_output_lacks_are_question_marks(monkeypatch):
    window = Window("latin-1")
    monkeypatch.setattr("sys.stdout", window)
    with open_screen(KOREAN, {"TERM": "dumb"}) as screen:
        screen.line("é 다온")
    assert window.text() == "é ??\n"


def seen(written: str) -> list[str]:
    """The rows that a terminal shows after what was written: colours left out, moves obeyed."""
    rows, row, column = [""], 0, 0
    for code, parameters, final, char in re.findall(r"(\x1b\[([?\d;]*)([a-zA-Z]))|(.|\n)", written):
        if code:
            if final == "A":
                row -= int(parameters or 1)
            elif (parameters, final) == ("2", "K"):
                rows[row] = ""
        elif char == "\r":
            column = 0
        elif char == "\n":
            row, column = row + 1, 0
            rows += [""] * (row - len(rows) + 1)
        else:
            rows[row] = f"{rows[row].ljust(column)[:column]}{char}{rows[row][column + 1 :]}"
            column += 1
    return rows


def test_a_terminal_has_colours_and_is_left_with_the_text_alone(monkeypatch):
    window = Window()
    monkeypatch.setattr("sys.stdout", window)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "50", "LINES": "20"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)

    def interrupted() -> None:
        with open_screen(KOREAN, {"TERM": "xterm-256color"}) as screen:
            assert (type(screen), screen.width) == (Terminal, 50)
            screen.progress("모델이 쓰는 중", 0.5)
            screen.line("1. 대화", "title")
            screen.write("   < 다온", "said")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "모델이 쓰는 중" in window.text()
    assert [row for row in seen(window.text()) if row.strip()] == ["1. 대화", "   < 다온"]
    assert window.text().count("\x1b[?25l") == window.text().count("\x1b[?25h") == 1  # the cursor


@pytest.fixture
def terminal():
    """Writes on a terminal by a function: what is seen meanwhile, and what is left."""

    def run(use, language=ENGLISH, width=60) -> tuple[list[str], list[str], str]:
        file = io.StringIO()
        console = Console(
            file=file, width=width, force_terminal=True, color_system="standard",
            highlight=False, legacy_windows=False, _environ={"TERM": "xterm"},
        )  # fmt: skip
        screen = Terminal(language, console)
        with Live(screen, console=console, transient=True, auto_refresh=False) as live:
            use(screen)
            live.refresh()
            meanwhile = seen(file.getvalue())
            screen.finish()
            live.refresh()
        return meanwhile, seen(file.getvalue()), file.getvalue()

    return run


def test_a_terminal_shows_progress_below_what_is_written(terminal):
    def use(screen: Screen) -> None:
        screen.line("1. Title", "title")
        screen.progress("the model reads", 0.5)
        screen.write("   < I", "said")
        screen.write(" know", "said")

    meanwhile, left, written = terminal(use)
    assert meanwhile[:2] == ["1. Title", "   < I know"]
    assert meanwhile[2].split()[-3:] == ["the", "model", "reads"]
    assert [row for row in left if row.strip()] == ["1. Title", "   < I know"]
    assert "\x1b[1;36m1. Title" in written
    assert "\x1b[32m   < I know" in written
    assert " " * 6 + "\x1b[0m\x1b[100m" in written  # half of the bar


@pytest.mark.parametrize("width", [24, 40, 79])
def test_narrow_terminals_lose_nothing(width, terminal):
    text = "   < 다온시의 시장은 김서연이다. The mayor of Stonebridge is Dana Quinn, a lawyer.\n"

    def use(screen: Screen) -> None:
        screen.progress("문서를 임베딩하는 중, 아주 오래 걸리는 일", 0.3)
        for char in text:
            screen.write(char, "said")

    meanwhile, left, _ = terminal(use, KOREAN, width)
    assert all(cells(row.rstrip()) <= width for row in meanwhile)
    rows = [row for row in left if row.strip()]
    assert " ".join(row.strip().removeprefix("< ") for row in rows) == text[5:].strip()
    assert all(row.startswith("   < ") for row in rows)
