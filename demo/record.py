"""Record the demo as a picture that moves: `python -m demo.record [FILE]`.

The demo runs in a terminal (a pty), and what it writes is kept with its times. The SVG has all
lines as text, and a cover of the background's colour that leaves the lines step by step, as they
were written. Where nothing moves (reduced motion, an old viewer), the first screen is shown.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from xml.sax.saxutils import escape

TARGET = Path(__file__).parents[1] / "docs" / "images" / "demo.svg"
COLUMNS, ROWS = 106, 30
WIDTH, HEIGHT = 7.8, 18  # of a character
MARGIN, BAR = 20, 34
SECONDS = 32.0
"""How long the picture takes; the demo itself is too fast to read."""
PAUSE = 0.3
"""What a longer pause becomes, in which a model is loaded."""
END = 4.0
SHORTEST = 0.04
BACKGROUND, INK = "#1d2130", "#cdd2e0"
LOOKS = (
    ("heading", r"\d\. "),
    ("answer", r"   (< |Answer:)"),
    ("sent", r"   (>|Sent)"),
    ("tool", r"   \w+\("),
    ("note", r"   \["),
)
STYLE = f"""
text {{ font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  fill: {INK}; white-space: pre }}
.heading {{ fill: #fff; font-weight: 700 }} .answer {{ fill: #8fe0ac }} .sent {{ fill: #98a0b8 }}
.tool {{ fill: #f2cc7d }} .note, .bar {{ fill: #7f88a3 }}
.cover, .cursor {{ visibility: hidden }}
@media (prefers-reduced-motion: no-preference) {{
  .cover, .cursor {{ visibility: visible }}
  .roll {{ animation: roll TOTALs step-end infinite }}
  .pen {{ animation: pen TOTALs step-end infinite }}
}}
"""

Event = tuple[float, str]


def record(command: list[str]) -> list[Event]:
    """Run a command in a terminal; return what it wrote, with the seconds since the last piece."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    events = []
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        last = time.perf_counter()
        with suppress(OSError):  # what Linux says at the end of a terminal
            while data := os.read(ours, 4096):
                now = time.perf_counter()
                events.append((now - last, data.decode("utf-8", "replace").replace("\r", "")))
                last = now
    os.close(ours)
    if process.returncode:
        raise SystemExit("".join(text for _, text in events))
    return events


def steps(events: list[Event]) -> tuple[list[str], list[tuple[float, int, int]], float]:
    """Return the lines; when the pen reached which row and column; and how much time was stretched.

    Pieces that come in one moment are one step.
    """
    waits = [min(wait, PAUSE) for wait, _ in events]
    stretch = (SECONDS - END) / sum(waits)
    text, now, path = "$ make demo\n", 0.0, [(0.0, 1, 0)]
    for wait, (_, piece) in zip(waits, events, strict=True):
        now += wait * stretch
        text = wrapped(text + re.sub(r"\x1b\[[0-9;]*m", "", piece))
        row = text.count("\n")
        at = now, row, len(text) - text.rfind("\n") - 1
        if path[1:] and now - path[-1][0] < SHORTEST:
            at = path.pop()[0], *at[1:]
        path.append(at)
    return text.rstrip("\n").split("\n"), path, stretch


def wrapped(text: str) -> str:
    """Break lines where a terminal does."""
    return re.sub(rf"(.{{{COLUMNS}}})(?=.)", r"\1\n", text)


def keyframes(name: str, places: Iterator[tuple[float, str]]) -> str:
    """Return an animation that jumps from place to place."""
    found, last = [], ""
    for seconds, place in places:
        if place != last:
            found.append(f"{100 * seconds / SECONDS:.2f}%{{transform:translate({place})}}")
            last = place
    return f"@keyframes {name}{{{''.join(found)}}}"


def _pixels(value: float) -> str:
    return f"{value:g}px" if value else "0"


def picture(events: list[Event]) -> str:
    """Return the SVG of a recording."""
    lines, path, stretch = steps(events)
    width, height = 2 * MARGIN + COLUMNS * WIDTH, BAR + ROWS * HEIGHT + MARGIN
    pen = keyframes(
        "pen", ((at, f"{_pixels(round(x * WIDTH, 1))},{_pixels(y * HEIGHT)}") for at, y, x in path)
    )
    roll = keyframes(
        "roll", ((at, f"0,{_pixels(-max(y - ROWS + 1, 0) * HEIGHT)}") for at, y, _ in path)
    )
    title = f"make demo, no account, no network, no GPU; shown {stretch:.0f} times slower"
    body = []
    for row, line in enumerate(lines):
        if line:
            look = next((name for name, start in LOOKS if re.match(start, line)), "")
            known = f' class="{look}"' if look else ""
            words, space = line.strip(), len(line) - len(line.lstrip())
            where = f'x="{space * WIDTH:g}" y="{row * HEIGHT + 13}"'
            length = f'textLength="{len(words) * WIDTH:g}"'  # whatever the viewer's font
            body.append(f"<text{known} {where} {length}>{escape(words)}</text>")
    end = len(lines) * HEIGHT + ROWS * HEIGHT
    cover = f"M0 0H{width:g}V{end}H-{width:g}V{HEIGHT}H0z"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" '
            f'width="{width:g}" height="{height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE.replace('TOTAL', f'{SECONDS:g}')}{pen}{roll}</style>",
            f'<rect width="{width:g}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
            '<g fill="#565f7a"><circle cx="20" cy="17" r="5"/><circle cx="37" cy="17" r="5"/>'
            '<circle cx="54" cy="17" r="5"/></g>',
            f'<text class="bar" x="{width / 2:g}" y="21" text-anchor="middle">'
            f"{escape(title)}</text>",
            f'<svg x="{MARGIN}" y="{BAR}" width="{width - 2 * MARGIN:g}" height="{ROWS * HEIGHT}">',
            '<g class="roll">',
            *body,
            f'<g class="pen"><path class="cover" fill="{BACKGROUND}" d="{cover}"/>'
            f'<rect class="cursor" width="{WIDTH}" height="{HEIGHT - 2}" fill="{INK}"/></g>',
            "</g></svg></svg>",
            "",
        ]
    )


def main() -> None:
    """Record the demo and write the picture."""
    target = Path(sys.argv[1]) if sys.argv[1:] else TARGET
    events = record([sys.executable, "-u", "-m", "demo"])
    target.write_text(picture(events), encoding="utf-8")
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
