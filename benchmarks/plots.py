"""Draw the plots of the documentation from what was kept: `python -m benchmarks.plots`.

Each has a light background of its own, so that it can be read in dark schemes too.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

from . import results
from .figures import LOADS
from .published import TARGETS, medians, text_of

mpl.use("Agg")
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IMAGES = Path(__file__).parents[1] / "docs" / "images"
CARD, INK, SOFT = "#fbfbfd", "#1f2437", "#5c6276"
COLOURS = {
    "ours": "#3949ab",
    "huggingface": "#d99a1c",
    "openai": "#2e9d6a",
    "raw": "#8a90a6",
    "floor": "#c3c8d6",
}
BARS = {
    "benchmarks": (
        ("chat_stream", "A stream of 500 tokens"),
        ("chat_invoke", "A short call"),
        ("batch_chat", "200 calls by batch, server: 50 ms"),
    ),
    "embeddings": (
        ("embed_2048_384", "2,048 texts, 384 dimensions"),
        ("embed_2048_384wait20", "the same, server: 20 ms"),
        ("embed_20000_1024wait20", "20,000 of 1,024, server: 20 ms"),
    ),
    "memory": (
        ("peak_chat", "Peak of a stream of 20,000 tokens"),
        ("open_chat", "An open stream"),
        ("peak_embed", "Peak of 20,000 embeddings"),
    ),
    "concurrency": (
        ("ainvoke_1000", "1,000 calls at once"),
        ("astream_100x200", "100 streams of 200 tokens"),
        ("agent_40", "An agent's step with 40 tools"),
    ),
}


def bars(axes: Axes, name: str, title: str, rows: list[str]) -> None:
    """Draw a bar for each target, in the row that is its own in all groups."""
    values, unit = medians(name), results.load()["figures"][name]["unit"]
    for row, target in enumerate(rows):
        if not (value := values.get(target)):
            continue
        axes.barh(row, value, color=COLOURS[target], height=0.72)
        look = {"fontsize": 9, "fontweight": "bold" if target == "ours" else "normal"}
        axes.text(value, row, f" {text_of(value, unit)}", va="center", color=INK, **look)
    axes.set_yticks(range(len(rows)), [TARGETS[target] for target in rows])
    axes.set_xlim(0, max(values.values()) * 1.3)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_title(title, loc="left", fontsize=9.5, fontweight="bold", color=INK)


def clean(figure: Figure) -> None:
    """Leave out lines that say nothing."""
    for axes in figure.axes:
        axes.set_facecolor(CARD)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=0, labelsize=9, labelcolor=INK)
        for spine in axes.spines.values():
            spine.set_color("#b6bccb")


def save(figure: Figure, name: str) -> None:
    """Write a plot as SVG and as PNG."""
    clean(figure)
    for kind in ("svg", "png"):
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(IMAGES / f"{name}.{kind}", facecolor=CARD, dpi=144, metadata=metadata)
    svg = IMAGES / f"{name}.svg"
    svg.write_text(re.sub(r" +$", "", svg.read_text("utf-8"), flags=re.MULTILINE), "utf-8")
    plt.close(figure)


def rows_of_bars(name: str) -> None:
    """Draw three groups of bars beside each other."""
    measured = [medians(figure) for figure, _ in BARS[name]]
    rows = [target for target in TARGETS if any(values.get(target) for values in measured)]
    size = (10, 0.85 + 0.3 * len(rows))
    figure, places = plt.subplots(1, 3, figsize=size, layout="constrained")
    figure.get_layout_engine().set(wspace=0.04)
    for place, (axes, (figure_name, title)) in enumerate(zip(places, BARS[name], strict=True)):
        bars(axes, figure_name, title, rows)
        if place:
            axes.set_yticks([])
    note = f"{'Memory' if name == 'memory' else 'Time'}: less is better. {where(BARS[name])}."
    figure.supxlabel(note, fontsize=8, color=SOFT, x=0.99, ha="right")
    save(figure, name)


def where(measured: tuple[tuple[str, str], ...]) -> str:
    """Name the peers' versions of a plot."""
    kept = results.load()
    runs = [kept["runs"][kept["figures"][name]["run"]] for name, _ in measured]
    named = {
        f"{TARGETS[peer]} {run['versions'][TARGETS[peer]]}"
        for run in runs
        for peer in ("huggingface", "openai")
    }
    return ", ".join(sorted(named))


def growth() -> None:
    """Draw calls a second by how many are open, and rows a second by the number of servers."""
    kept = results.load()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    for target in ("raw", "openai", "huggingface", "ours"):
        rates = [count / medians(f"load_{count}")[target] for count in LOADS]
        left.plot(LOADS, rates, "o-", color=COLOURS[target], label=TARGETS[target], linewidth=2)
    left.plot(LOADS, [count / 0.05 for count in LOADS], ":", color=SOFT, label="no client at all")
    left.set(xscale="log", yscale="log", xticks=LOADS, xticklabels=[f"{n:,}" for n in LOADS])
    left.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    left.set_xlabel(
        "calls open at once (a server that answers after 50 ms)", color=SOFT, fontsize=9
    )
    left.set_title("Calls a second", loc="left", fontsize=10, fontweight="bold", color=INK)
    counts = (1, 2, 4)
    for name, colour in (("aembed_documents", "#7b3fa0"), ("abatch of chats", COLOURS["ours"])):
        rates = kept["jobs"]["replicas"]["rates"][name]
        right.plot(
            counts, [rates[str(n)] for n in counts], "o-", color=colour, label=name, linewidth=2
        )
    right.plot(counts, [160 * n for n in counts], ":", color=SOFT, label="what the servers can do")
    right.set(xticks=counts, ylim=(0, None))
    right.set_xlabel("servers of 8 requests at a time, 50 ms each", color=SOFT, fontsize=9)
    right.set_title("Rows a second", loc="left", fontsize=10, fontweight="bold", color=INK)
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8.5, labelcolor=INK)
        axes.grid(color="#e4e7ef", linewidth=0.8)
        axes.minorticks_off()
    save(figure, "growth")


def main() -> None:
    """Draw everything."""
    plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "plots", "text.color": INK}
    plt.rcParams["font.family"] = "DejaVu Sans"
    IMAGES.mkdir(exist_ok=True)
    for name in BARS:
        rows_of_bars(name)
    growth()


if __name__ == "__main__":
    main()
