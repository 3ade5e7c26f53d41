"""Record the demo as pictures that move: `python -m demo.record [LANGUAGE ...]`.

The demo writes on a screen that keeps each piece with its time. The SVG has all lines as text, and
a cover of the background's colour that leaves the lines step by step, as they were written; below
them is the line of progress. Where nothing moves (reduced motion, an old viewer), the first lines
are shown.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from .languages import LANGUAGES, Language
from .screen import Screen, cells, folded
from .tour import run

__all__ = ["Event", "Recorder", "picture", "record"]

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PICTURES = {"en": "demo.svg", "ko": "demo.ko.svg"}
COMMANDS = {"en": "$ make demo\n", "ko": "$ make demo LANG=ko\n"}
COLUMNS, ROWS = 106, 30
WIDTH, HEIGHT = 7.8, 18  # of a character
MARGIN, BAR, FOOT = 20, 34, 30
FULL = 120
"""Pixels of the bar when all is done."""
SECONDS = 40.0
"""How long the picture takes; the demo itself is too fast to read."""
PAUSE = 0.3
"""What a longer pause becomes, in which a model is loaded."""
END = 4.0
SHORTEST = 0.04
RUNS = re.compile(
    r"[\u1100-\uffdc]+(?: [\u1100-\uffdc]+)*|[^\s\u1100-\uffdc]+(?: +[^\s\u1100-\uffdc]+)*"
)
"""Letters that are all two columns wide or all one: a font's own widths are no such grid."""
BACKGROUND, INK = "#1d2130", "#cdd2e0"
STYLE = f"""
text {{ font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "D2Coding",
  "NanumGothicCoding", "Noto Sans Mono CJK KR", monospace; fill: {INK}; white-space: pre }}
.title {{ fill: #7fd4e8; font-weight: 700 }} .question {{ fill: #fff; font-weight: 700 }}
.said {{ fill: #8fe0ac }} .answer {{ fill: #8fe0ac; font-weight: 700 }} .sent {{ fill: #98a0b8 }}
.tool {{ fill: #f2cc7d }} .note, .bar, .doing {{ fill: #7f88a3 }}
.wide {{ font-size: 15px }} .cover, .cursor, .foot {{ visibility: hidden }}
@media (prefers-reduced-motion: no-preference) {{
  .cover, .cursor, .foot {{ visibility: visible }}
  .roll {{ animation: roll TOTALs step-end infinite }}
  .pen {{ animation: pen TOTALs step-end infinite }}
  .full {{ animation: full TOTALs step-end infinite }}
  .doing {{ animation: doing TOTALs step-end infinite }}
}}
"""


@dataclass(frozen=True)
class Event:
    """What the demo did at once.

    Attributes:
        wait: Seconds since the event before.
        text: What was written.
        style: Of the text.
        doing: What the line of progress said from then on.
        done: How much of the demo was done, from 0 to 1.
    """

    wait: float
    text: str
    style: str
    doing: str
    done: float


@dataclass(frozen=True)
class Step:
    """Where the pen was at a time, and what the line of progress was."""

    seconds: float
    row: int
    column: int
    doing: str
    done: float


class Recorder(Screen):
    """A screen that keeps what is written, with the times."""

    def __init__(self, language: Language) -> None:
        super().__init__(language, COLUMNS)
        self.events: list[Event] = []
        self._last = time.perf_counter()
        self._doing, self._done = "", 0.0

    def write(self, text: str, style: str = "") -> None:
        """Keep a piece of text."""
        now = time.perf_counter()
        self.events.append(Event(now - self._last, text, style, self._doing, self._done))
        self._last = now

    def progress(self, doing: str, done: float | None = None) -> None:
        """Keep a change of the line of progress."""
        self._doing, self._done = doing, self._done if done is None else done
        self.write("")


def record(language: Language) -> list[Event]:
    """Run the tour; return what it wrote."""
    recorder = Recorder(language)
    run(recorder)
    return recorder.events


def laid_out(
    events: Iterable[Event], command: str
) -> tuple[list[tuple[str, str]], list[Step], float]:
    """Return the lines with their styles; each step; and how much time was stretched.

    Pieces that come in one moment are one step.
    """
    events = list(events)
    waits = [min(event.wait, PAUSE) for event in events]
    stretch = (SECONDS - END) / (sum(waits) or 1)
    lines: list[tuple[str, str]] = [(line, "") for line in command.splitlines()]
    line, style, now = "", "", 0.0
    path = [Step(0.0, len(lines), 0, "", 0.0)]
    for wait, event in zip(waits, events, strict=True):
        now += wait * stretch
        *whole, line = (line + event.text).split("\n")
        style = event.style if event.text.strip("\n") else style
        lines += [(row, style) for each in whole for row in folded(each, COLUMNS)]
        last = folded(line, COLUMNS)
        at, row = now, len(lines) + len(last) - 1
        if path[1:] and now - path[-1].seconds < SHORTEST:
            at = path.pop().seconds
        path.append(Step(at, row, cells(last[-1]), event.doing, event.done))
    return [*lines, *((row, style) for row in folded(line, COLUMNS) if row)], path, stretch


def keyframes(name: str, places: Iterable[tuple[float, str]]) -> str:
    """Return an animation that jumps from one transform to the next."""
    found, last = [], ""
    for seconds, place in places:
        if place != last:
            found.append(f"{100 * seconds / SECONDS:.2f}%{{transform:{place}}}")
            last = place
    return f"@keyframes {name}{{{''.join(found)}}}"


def _move(x: float, y: float) -> str:
    return f"translate({_pixels(round(x, 1))},{_pixels(y)})"


def _pixels(value: float) -> str:
    return f"{value:g}px" if value else "0"


def _rows(lines: list[tuple[str, str]]) -> list[str]:
    """Return the lines as elements, in the columns of a terminal whatever the viewer's font."""
    found = []
    for row, (line, style) in enumerate(lines):
        for part in RUNS.finditer(line):
            names = f"{style}{' wide' * (cells(part[0][0]) > 1)}".strip()
            look = f' class="{names}"' if names else ""
            where = f'x="{cells(line[: part.start()]) * WIDTH:g}" y="{row * HEIGHT + 13}"'
            length = f'textLength="{cells(part[0]) * WIDTH:g}"'
            found.append(f"<text{look} {where} {length}>{escape(part[0])}</text>")
    return found


def picture(events: Iterable[Event], language: Language) -> str:
    """Return the SVG of a recording."""
    lines, path, stretch = laid_out(events, COMMANDS[language.code])
    doings = list(dict.fromkeys(step.doing for step in path))
    width, height = 2 * MARGIN + COLUMNS * WIDTH, BAR + ROWS * HEIGHT + FOOT
    animations = (
        keyframes("pen", ((s.seconds, _move(s.column * WIDTH, s.row * HEIGHT)) for s in path)),
        keyframes(
            "roll", ((s.seconds, _move(0, -max(s.row - ROWS + 1, 0) * HEIGHT)) for s in path)
        ),
        keyframes("full", ((s.seconds, f"scaleX({s.done:.3g})") for s in path)),
        keyframes("doing", ((s.seconds, _move(0, -doings.index(s.doing) * HEIGHT)) for s in path)),
    )
    title = escape(language.picture.format(times=stretch))
    end = (len(lines) + ROWS) * HEIGHT
    cover = f"M0 0H{width:g}V{end}H-{width:g}V{HEIGHT}H0z"
    foot = BAR + ROWS * HEIGHT + 8
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" '
            f'width="{width:g}" height="{height}" role="img">',
            f"<title>{title}</title>",
            f"<style>{STYLE.replace('TOTAL', f'{SECONDS:g}')}{''.join(animations)}</style>",
            f'<rect width="{width:g}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
            '<g fill="#565f7a"><circle cx="20" cy="17" r="5"/><circle cx="37" cy="17" r="5"/>'
            '<circle cx="54" cy="17" r="5"/></g>',
            f'<text class="bar" x="{width / 2:g}" y="21" text-anchor="middle">{title}</text>',
            f'<svg x="{MARGIN}" y="{BAR}" width="{width - 2 * MARGIN:g}" height="{ROWS * HEIGHT}">',
            '<g class="roll">',
            *_rows(lines),
            f'<g class="pen"><path class="cover" fill="{BACKGROUND}" d="{cover}"/>'
            f'<rect class="cursor" width="{WIDTH}" height="{HEIGHT - 2}" fill="{INK}"/></g>',
            "</g></svg>",
            f'<svg class="foot" x="{MARGIN}" y="{foot}" width="{width - 2 * MARGIN:g}" '
            f'height="{HEIGHT}"><rect y="4" width="{FULL}" height="10" fill="#3a4158"/>'
            f'<rect class="full" y="4" width="{FULL}" height="10" fill="#7fd4e8"/>'
            '<g class="doing">',
            *(
                f'<text class="note" x="{FULL + 12}" y="{row * HEIGHT + 13}">{escape(doing)}</text>'
                for row, doing in enumerate(doings)
            ),
            "</g></svg></svg>",
            "",
        ]
    )


def main() -> None:
    """Record the demo in the languages that are named, or in all."""
    for code in sys.argv[1:] or PICTURES:
        target = IMAGES / PICTURES[code]
        target.write_text(picture(record(LANGUAGES[code]), LANGUAGES[code]), encoding="utf-8")
        print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
