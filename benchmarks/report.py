"""Turns results into a table to read and a JSON file to keep."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .driver import Result

COLUMNS = ("ours", "huggingface", "openai", "raw", "floor", "jinja", "transformers")
PACKAGES = (
    "langchain",
    "langchain-core",
    "langchain-huggingface",
    "langchain-openai",
    "huggingface_hub",
    "openai",
    "aiohttp",
    "pydantic",
    "orjson",
)


def value_text(value: float, unit: str) -> str:
    """Return a value with the unit that suits its size."""
    if unit == "B":
        return f"{value / 1024:.0f} KiB"
    if unit != "s":
        return f"{value:.1f}"
    for factor, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= factor:
            return f"{value / factor:.3g} {name}"
    return f"{value / 1e-6:.3g} us"


def _reached_text(result: Result) -> tuple[str, str]:
    rule, medians = result.figure.rule, result.medians
    reached = rule.reached(medians)
    if reached is None:
        return "-", "-"
    number = value_text(reached, "s") if rule.in_seconds else f"{reached:.2f}"
    return number, "holds" if rule.holds(reached, medians) else "MISSED"


def row(result: Result) -> list[str]:
    """Return a figure's cells: name, medians, what was reached and wanted, whether it holds."""
    medians = result.medians
    cells = []
    for name in COLUMNS:
        if name in medians:
            cells.append(value_text(medians[name], result.figure.unit))
        else:
            cells.append("absent" if result.notes.get(name) == "absent" else "")
        if name in result.notes and name not in medians and cells[-1] == "":
            cells[-1] = "failed"
    reached, verdict = _reached_text(result)
    return [result.figure.name, *cells, reached, result.figure.rule.wanted(medians), verdict]


HEADER = ["figure", *COLUMNS, "reached", "to reach", ""]
WIDTHS = [18, 9, 11, 9, 9, 9, 9, 12, 8, 20, 6]


def line(cells: list[str]) -> str:
    """Return cells as one line of the table."""
    first, *rest = zip(cells, WIDTHS, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])


def machine() -> dict[str, object]:
    """Return what the run ran on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
        "versions": versions,
    }


def save(path: Path, results: list[Result], facts: dict[str, object]) -> None:
    """Write every value of a run to `path`."""
    figures = {
        result.figure.name: {
            "label": result.figure.label,
            "unit": result.figure.unit,
            "medians": result.medians,
            "reached": result.figure.rule.reached(result.medians),
            "to_reach": result.figure.rule.wanted(result.medians),
            "verdict": _reached_text(result)[1],
            "notes": result.notes,
            "values": result.values,
        }
        for result in results
    }
    path.write_text(json.dumps({"facts": facts, "figures": figures}, indent=1) + "\n")
