"""Draw the curves of a run: the loss of each skill, and what is right on the way.

    python training/plots.py --run runs/chat --to training/curves.svg

It reads `log.jsonl`, which training writes, and `figures.jsonl`, which `evaluate.py` writes.
"""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import re

import matplotlib as mpl
from formats import FORMATS

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

INK, SOFT, CARD = "#1f2437", "#5c6276", "#fbfbfd"
COLOURS = {
    "chat": "#8a90a6",
    "unknown": "#c3a6d8",
    "react": "#3949ab",
    "react-json": "#7986cb",
    "reading": "#d1495b",
    "tool-call": "#2e9d6a",
    "agent-calls": "#d99a1c",
    "structured": "#3aa6b9",
}
SMOOTHED = 0.9


def losses(axes: Axes, run: pathlib.Path) -> None:
    """Draw the loss of a skill's answers by tokens seen, smoothed."""
    points = collections.defaultdict(list)
    for line in (run / "log.jsonl").read_text().splitlines():
        told = json.loads(line)
        for task, loss in told["loss"].items():
            before = points[task][-1][1] if points[task] else loss
            points[task].append((told["tokens"] / 1e6, SMOOTHED * before + (1 - SMOOTHED) * loss))
    for task, colour in COLOURS.items():
        axes.plot(*zip(*points[task], strict=True), color=colour, label=task, linewidth=1.6)
    axes.set_yscale("log")
    axes.set_title("Loss of an answer's token", loc="left", fontsize=10, fontweight="bold")


def shares(axes: Axes, run: pathlib.Path, language: str) -> None:
    """Draw the share of right answers by tokens seen, over the formats of the training."""
    counted = collections.defaultdict(lambda: [0, 0])
    for line in (run / "figures.jsonl").read_text().splitlines():
        told = json.loads(line)
        if told["language"] == language and told["format"] in FORMATS:
            sums = counted[told["skill"], told["tokens"]]
            sums[0] += told["right"]
            sums[1] += told["asked"]
    for task, colour in COLOURS.items():
        points = sorted(
            (tokens / 1e6, 100 * right / asked)
            for (skill, tokens), (right, asked) in counted.items()
            if skill == task
        )
        axes.plot(*zip(*points, strict=True), "o-", color=colour, linewidth=1.6, markersize=3)
    axes.set_ylim(0, 102)
    name = {"en": "English", "ko": "Korean"}[language]
    axes.set_title(f"Right, held out, percent: {name}", loc="left", fontsize=10, fontweight="bold")


def main() -> None:
    """Write the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=pathlib.Path, required=True)
    parser.add_argument("--to", type=pathlib.Path, required=True)
    options = parser.parse_args()
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    losses(left, options.run)
    shares(middle, options.run, "en")
    shares(right, options.run, "ko")
    for axes in figure.axes:
        axes.set_facecolor(CARD)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=0, labelsize=9, labelcolor=INK)
        axes.grid(color="#e4e7ef", linewidth=0.8)
        axes.set_xlabel("million tokens", fontsize=9, color=SOFT)
    figure.legend(loc="outside lower center", ncols=8, frameon=False, fontsize=9, labelcolor=INK)
    figure.savefig(options.to, facecolor=CARD, metadata={"Date": None})
    options.to.write_text(re.sub(r" +$", "", options.to.read_text(), flags=re.MULTILINE))


if __name__ == "__main__":
    main()
