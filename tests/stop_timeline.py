"""What a stream holds back for a stop sequence: a table and a picture of the code's own."""

from __future__ import annotations

from html import escape
from pathlib import Path

from langchain_easyllm._protocols.stop_sequences import StopCutter

__all__ = ["PICTURE", "held_back_table", "picture"]

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "stop-timeline.svg"
STOP = "\nObservation"
FOUND = ["Action", ": search", "\n", "Obs", "ervation", ": 41"]
RELEASED = ["Look", " at", "\n", "Ob", "ject", " 7"]


def steps(tokens: list[str]) -> list[tuple[str, str, str, bool]]:
    """Each token, the chunk that it brings, the text held back, and whether the stop is found."""
    cutter, seen, rows = StopCutter((STOP,)), "", []
    for token in tokens:
        chunk = cutter.feed(token)
        seen = (seen + token)[len(chunk) :] if not cutter.found else ""
        rows.append((token, chunk, seen, cutter.found))
    return rows


def _code(text: str) -> str:
    return f"`{text!r}`".replace("'", '"') if text else ""


def held_back_table() -> str:
    """Both examples, a row for each token."""
    lines = ["| token from the server | chunk of the stream | held back |", "| --- | --- | --- |"]
    for number, tokens in enumerate((FOUND, RELEASED)):
        if number:
            lines.append("| | | |")
        for token, chunk, held, found in steps(tokens):
            shown = _code(chunk) or ("end of the answer" if found else "")
            lines.append(f"| {_code(token)} | {shown} | {_code(held)} |")
            if found:
                break
    return "\n".join(lines)


_STYLE = """text { font: 14px ui-monospace, monospace; fill: #222 }
.title { font: 600 15px system-ui, sans-serif }
.label { font: 13px system-ui, sans-serif; fill: #555 }
rect { rx: 5 } .paper { fill: #fff } .token { fill: #e3e8ef } .chunk { fill: #bfe5c7 }
.held { fill: #ffe2a8 } .stop { fill: #f7c4c0 }"""


def _box(kind: str, x: int, y: int, text: str) -> list[str]:
    shown = escape(text.replace("\n", "\\n").replace(" ", "\u00b7"))
    return [
        f'<rect class="{kind}" x="{x}" y="{y}" width="96" height="28"/>',
        f'<text x="{x + 48}" y="{y + 19}" text-anchor="middle">{shown}</text>',
    ]


def _panel(title: str, tokens: list[str], top: int) -> list[str]:
    lines = [f'<text class="title" x="20" y="{top}">{escape(title)}</text>']
    for number, label in enumerate(("server sends", "held back", "stream yields")):
        lines.append(f'<text class="label" x="20" y="{top + 34 + 38 * number}">{label}</text>')
    for number, (token, chunk, held, found) in enumerate(steps(tokens)):
        x = 130 + 106 * number
        late = found and not chunk and number and steps(tokens)[number - 1][3]
        lines += _box("stop" if late else "token", x, top + 15, token)
        if held:
            lines += _box("held", x, top + 53, held[-11:])
        if chunk:
            lines += _box("chunk", x, top + 91, chunk)
        elif found:
            lines += _box("stop", x, top + 91, "unread" if late else "end")
    return lines


def picture() -> str:
    """The picture: both examples over time."""
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 780 320" role="img" '
        'aria-label="What a stream holds back for a stop sequence">',
        f"<style>{_STYLE}</style>",
        '<rect class="paper" width="780" height="320"/>',
        *_panel("The stop sequence \\nObservation arrives in three tokens", FOUND, 30),
        *_panel("The text turns out to be something else", RELEASED, 190),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
