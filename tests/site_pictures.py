"""Draw the documentation's pictures of boxes: `python -m tests.site_pictures`.

Each has a light background of its own, so that it can be read in the dark scheme, and on GitHub.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from .unit_tests.test_architecture import BESIDE, FLOORS

__all__ = ["PICTURES"]

ASSETS = Path(__file__).parents[1] / "docs" / "assets"
FONT = 'font-family="system-ui, -apple-system, Segoe UI, Noto Sans, sans-serif"'
INK, SOFT, LINE, CARD = "#1f2437", "#4d5366", "#8a90a6", "#fbfbfd"
GREY, BLUE, GREEN, AMBER = (
    ("#f1f2f6", LINE),
    ("#e4e7f7", "#3949ab"),
    ("#dff2e7", "#2e7d52"),
    ("#fdf1d3", "#9a6700"),
)
SMALL = 12.0


class Drawing:
    """An SVG picture in the making."""

    def __init__(self, width: int, height: int, title: str) -> None:
        size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        arrow = f'<path d="M0 0 8 4 0 8z" fill="{LINE}"/>'
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" {FONT}>',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto">{arrow}</marker></defs>',
            f'<rect width="{width}" height="{height}" rx="8" fill="{CARD}"/>',
        ]

    def box(
        self,
        where: tuple[float, float, float, float],
        lines: str,
        colours: tuple[str, str] = GREY,
        size: float = 14,
    ) -> None:
        """Draw a box with a heading and smaller lines, parted by newlines."""
        x, y, width, height = where
        fill, stroke = colours
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" '
            f'fill="{fill}" stroke="{stroke}" stroke-width="1.2"/>'
        )
        head, *rest = lines.split("\n")
        step = SMALL + 5
        top = y + height / 2 - (size + len(rest) * step) / 2 + size * 0.85
        self.text(x + width / 2, top, head, size, INK, ' font-weight="600"')
        for number, line in enumerate(rest, start=1):
            self.text(x + width / 2, top + number * step, line)

    def text(
        self, x: float, y: float, text: str, size: float = SMALL, colour: str = SOFT, more: str = ""
    ) -> None:
        """Write a line around a point."""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="middle" font-size="{size:g}"'
            f'{more} fill="{colour}">{escape(text)}</text>'
        )

    def arrow(self, *points: tuple[float, float]) -> None:
        """Draw an arrow along points."""
        path = " L".join(f"{x:g} {y:g}" for x, y in points)
        line = f'fill="none" stroke="{LINE}" stroke-width="1.6"'
        self.parts.append(f'<path d="M{path}" {line} marker-end="url(#a)"/>')

    def done(self) -> str:
        return "\n".join([*self.parts, "</svg>", ""])


def overview() -> str:
    """What the package stands between."""
    picture = Drawing(760, 300, "Your LangChain code calls every server through langchain-easyllm")
    picture.box((20, 105, 150, 90), "Your code\nchains, agents,\nretrievers")
    does = (
        "prompts, stop sequences\ntools, structured output\nretries, cold starts\nstreams, errors"
    )
    picture.box((235, 75, 210, 150), f"langchain-easyllm\n{does}\none set of field names", BLUE)
    picture.arrow((170, 150), (235, 150))
    servers = (
        "Your servers\nvLLM, TGI, TEI, llama.cpp, Ollama, ...",
        "Inference Providers\nrouted by Hugging Face",
        "Inference Endpoints\nwith scale to zero",
        "In your process\ntransformers, or the offline model",
    )
    for number, lines in enumerate(servers):
        y = 18 + 72 * number
        picture.box((500, y, 240, 50), lines, GREEN)
        picture.arrow((445, 150), (472, 150), (472, y + 25), (500, y + 25))
    return picture.done()


def tools() -> str:
    """How tools reach a model."""
    picture = Drawing(780, 250, "Tools are sent natively, or described in the prompt")
    picture.box((20, 95, 130, 60), "bind_tools\nyour functions")
    picture.box((205, 95, 150, 60), "Does the server\ntake tools?", AMBER)
    picture.arrow((150, 125), (205, 125))
    picture.box((430, 30, 165, 66), "Native tools\nthe server's own fields", BLUE)
    picture.box((430, 154, 165, 66), "In the prompt\nthe model's own format", BLUE)
    picture.arrow((280, 95), (280, 63), (430, 63))
    picture.text(355, 54, "yes")
    picture.arrow((280, 155), (280, 187), (430, 187))
    picture.text(355, 205, "no, or a text route")
    picture.box((650, 85, 112, 80), "tool_calls\nchecked,\nwith ids", GREEN)
    picture.arrow((595, 63), (622, 63), (622, 110), (650, 110))
    picture.arrow((595, 187), (622, 187), (622, 140), (650, 140))
    return picture.done()


def floors() -> str:
    """The folders and modules, floor by floor, as the test of imports has them."""
    height, gap = 48, 12
    picture = Drawing(
        920,
        40 + (height + gap) * len(FLOORS),
        "The floors of the package: each imports only its own floor and those below it",
    )
    colours = (GREEN, GREEN, AMBER, BLUE, BLUE, BLUE, BLUE, BLUE, GREY)
    for number, floor in enumerate(reversed(FLOORS)):
        y = 20 + (height + gap) * number
        # Modules that say little on a map are left out.
        names = sorted(name for name in floor if name not in {"_version", "_lazy", "_nearest"})
        weights = [len(name) + 2 for name in names]
        room = 760 - gap * (len(names) - 1)
        size = min(13.0, round(room / sum(weights) / 0.72, 1))
        x = 20.0
        for name, weight in zip(names, weights, strict=True):
            width = room * weight / sum(weights)
            picture.box((x, y, width, height), name, colours[min(number, 8)], size)
            x += width + gap
    picture.arrow((798, 30), (798, 10 + (height + gap) * len(FLOORS)))
    picture.box((815, 20, 85, 2 * height), f"{next(iter(BESIDE))}\nbeside\nthe floors", AMBER)
    picture.text(857, 160, "imports")
    picture.text(857, 176, "go down")
    return picture.done()


PICTURES = {"overview.svg": overview, "tools.svg": tools, "design.svg": floors}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (ASSETS / name).write_text(draw(), encoding="utf-8")
