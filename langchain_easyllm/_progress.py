"""Progress bars, with whichever library is installed: tqdm, else rich, else lines of text.

Nothing is shown by default where nobody watches: a log file, a pipe.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from time import monotonic
from typing import Any, Protocol

from ._extras import needs_libraries

_INTERVAL = 0.1
"""Seconds between two lines of text."""


class Bar(Protocol):
    """A progress bar."""

    def update(self, count: int) -> object:
        """Count that many more."""

    def note(self, text: str) -> None:
        """Show a text behind the numbers."""

    def close(self) -> None:
        """Leave the bar as it is."""


def is_watched() -> bool:
    """Whether what is written to stderr is seen while it changes: a terminal, or a notebook."""
    return in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def has_widgets() -> bool:
    """Whether a notebook has what tqdm and rich draw with; both warn where it is missing."""
    return find_spec("ipywidgets") is not None


def open_bar(total: int | None, unit: str, description: str = "") -> Bar:
    """Open a bar; `total` is None where nobody knows how many come."""
    if sys.stderr is None:  # closed; tqdm fails there, and keeps a lock of its own
        return _Lines(total, unit, description)
    for kind, library in ((_TqdmBar, "tqdm"), (_RichBar, "rich")):
        try:
            return kind(total, unit, description)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != library:
                raise
    return _Lines(total, unit, description)


def need_bars() -> None:
    """Raise an error that says what to install if no library for bars is there."""
    if find_spec("rich") is None:
        with needs_libraries({"tqdm"}, "Progress bars", "embeddings"):
            import tqdm  # noqa: F401, PLC0415 - optional


class _TqdmBar:
    def __init__(self, total: int | None, unit: str, description: str) -> None:
        if in_notebook() and has_widgets():
            from tqdm.notebook import tqdm  # noqa: PLC0415 - optional
        else:
            from tqdm.std import tqdm  # noqa: PLC0415 - optional
        self._bar: Any = tqdm(total=total, unit=f" {unit}", desc=description or None)
        self.update = self._bar.update
        self.close = self._bar.close

    def note(self, text: str) -> None:
        self._bar.set_postfix_str(text, refresh=False)


class _RichBar:
    def __init__(self, total: int | None, unit: str, description: str) -> None:
        from rich import progress  # noqa: PLC0415 - optional
        from rich.console import Console  # noqa: PLC0415 - optional

        if in_notebook() and not has_widgets():
            raise ModuleNotFoundError(name="rich")
        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn(f"{unit} {{task.fields[note]}}", markup=False),
            progress.TimeRemainingColumn(),
        )
        self._bar = progress.Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task(description, total=total, note="")
        self.close = self._bar.stop
        self._bar.start()

    def update(self, count: int) -> None:
        self._bar.update(self._task, advance=count)

    def note(self, text: str) -> None:
        self._bar.update(self._task, note=text)


class _Lines:
    """One line of text that is written over."""

    def __init__(self, total: int | None, unit: str, description: str) -> None:
        self._head = f"{description}: " if description else ""
        self._of = "" if total is None else f"/{total:,}"
        self._unit = unit
        self._done = self._width = 0
        self._note = ""
        self._written = 0.0

    def update(self, count: int) -> None:
        self._done += count
        if monotonic() - self._written >= _INTERVAL:
            self._write()

    def note(self, text: str) -> None:
        self._note = text

    def close(self) -> None:
        self._write("\n")

    def _write(self, end: str = "") -> None:
        self._written = monotonic()
        if sys.stderr is None:
            return
        note = f", {self._note}" if self._note else ""
        line = f"{self._head}{self._done:,}{self._of} {self._unit}{note}"
        sys.stderr.write("\r" + line.ljust(self._width) + end)
        sys.stderr.flush()
        self._width = len(line)
