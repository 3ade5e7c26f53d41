"""A terminal with colours, and a line of progress below what is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from .languages import Language
from .screen import Screen, folded, shortened

__all__ = ["STYLES", "Terminal", "open_terminal"]

STYLES = {
    "title": "bold cyan",
    "question": "bold",
    "sent": "bright_black",
    "said": "green",
    "tool": "yellow",
    "answer": "bold green",
    "note": "dim",
}
BAR = 12
"""Columns of the bar: coloured spaces, whose width is the same on every terminal."""


class Terminal(Screen):
    """Writes in colours. A line that is not finished yet is shown above the line of progress.

    Args:
        language: The reader's language.
        console: Where to write.
    """

    def __init__(self, language: Language, console: Console) -> None:
        super().__init__(language, console.width)
        self._console = console
        self._line = self._style = ""
        self._doing, self._done = "", 0.0
        self._spinner = Spinner("line")

    def write(self, text: str, style: str = "") -> None:
        """Write a piece of text, whole lines for good."""
        if text.strip("\n"):  # the end of a line has no style of its own
            self._style = style
        # The rest first: each line that is printed draws what is below it again.
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._console.print(self._text(line))

    def progress(self, doing: str, done: float | None = None) -> None:
        """Change the line of progress."""
        self._doing = doing
        self._done = self._done if done is None else done

    def finish(self) -> None:
        """Write what is left of a line that nobody finished."""
        if self._line:
            self.write("\n", self._style)
        self._doing = ""

    def __rich__(self) -> RenderableType:
        """Return what changes still: the line that is written, and the progress."""
        parts: list[RenderableType] = [self._text(self._line)] if self._line else []
        if self._doing:
            full = round(self._done * BAR)
            bar = Text.assemble((" " * full, "on cyan"), (" " * (BAR - full), "on bright_black"))
            row = Table.grid(padding=(0, 1))
            doing = Text(shortened(self._doing, self.width - BAR - 4), "dim", no_wrap=True)
            row.add_row(bar, self._spinner, doing)
            parts.append(row)
        return Group(*parts)

    def _text(self, line: str) -> Text:
        style = STYLES.get(self._style, "")
        return Text("\n".join(folded(line, self.width)), style, no_wrap=True, overflow="ignore")


@contextmanager
def open_terminal(language: Language, width: int) -> Iterator[Screen]:
    """Yield the terminal that the standard output is; afterwards only the text is left."""
    console = Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=True)
    screen = Terminal(language, console)
    with Live(screen, console=console, transient=True, refresh_per_second=12) as live:
        try:
            yield screen
        finally:
            screen.finish()
            live.refresh()
