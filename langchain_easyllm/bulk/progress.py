"""A line on stderr that shows how far a job is."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from time import monotonic
from typing import TextIO

from .._http.request_limit import traffic
from .._progress import has_widgets, in_notebook, is_watched
from .classification import describe
from .engine import JobProgress

_INTERVAL = 0.5
_WINDOW = 60
"""Moments that the speed is measured over: the last half minute."""

Show = Callable[[str, JobProgress], None]


@contextmanager
def shown(progress: JobProgress, wanted: bool | None) -> Iterator[None]:
    """Show the progress while the block lasts; None for a terminal or a notebook only."""
    if not (is_watched() if wanted is None else wanted):
        yield
        return
    with _display() as show:
        line = Line(progress)
        ended = threading.Event()

        def follow() -> None:
            while not ended.wait(_INTERVAL):
                show(line.text(), progress)

        thread = threading.Thread(target=follow, name="easyllm-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            show(line.text(), progress)


class Line:
    """What the line says."""

    def __init__(self, progress: JobProgress) -> None:
        self._progress = progress
        self._moments: deque[tuple[float, int]] = deque([(monotonic(), 0)], maxlen=_WINDOW)
        self._refused = traffic()[1]

    def text(self) -> str:
        progress = self._progress
        now = monotonic()
        then, before = self._moments[0]
        rate = (progress.done - before) / max(now - then, 0.001)
        self._moments.append((now, progress.done))
        in_flight, refused = traffic()
        of = "" if progress.total is None else f"/{progress.total:,}"
        said = [
            f"{progress.done:,}{of} rows",
            f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s",
            *self._prospects(rate),
            f"{progress.in_flight or in_flight} in flight",
            f"{refused - self._refused} refused",
            f"{progress.failed:,} errors",
        ]
        if tokens := progress.input_tokens + progress.output_tokens:
            said.append(f"{tokens:,} tokens")
        return " · ".join(said)

    def _prospects(self, rate: float) -> list[str]:
        """Return the time left, or what is waited for."""
        progress = self._progress
        if (failure := progress.failure()) is not None:
            return [f"waiting for the server: {describe(failure)[:80]}"]
        if progress.total and rate > 0:
            return [f"{_duration((progress.total - progress.done) / rate)} left"]
        return []


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


@contextmanager
def _display() -> Iterator[Show]:
    try:
        from rich.console import Console  # noqa: PLC0415 - optional
        from rich.progress import BarColumn, TextColumn  # noqa: PLC0415 - optional
        from rich.progress import Progress as Bar  # noqa: PLC0415 - optional

        if in_notebook() and not has_widgets():
            raise ModuleNotFoundError(name="ipywidgets")  # rich would warn of it
    except ImportError:
        yield _plain(sys.stderr)
        sys.stderr.write("\n")
        return
    columns = BarColumn(bar_width=20), TextColumn("{task.description}", markup=False)
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)

        def show(text: str, progress: JobProgress) -> None:
            bar.update(task, description=text, total=progress.total, completed=progress.done)

        yield show


def _plain(stream: TextIO) -> Show:
    longest = 0

    def show(text: str, _: JobProgress) -> None:
        nonlocal longest
        width = get_terminal_size().columns - 1  # a line that wraps could not be written over
        text = text if len(text) <= width else text[: width - 1] + "…"
        stream.write("\r" + text.ljust(longest))
        stream.flush()
        longest = len(text)

    return show
