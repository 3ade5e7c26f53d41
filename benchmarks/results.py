"""The measured values that the documentation shows: `results.json`, which `--keep` writes.

Each run is a row of `runs`: its versions, its load, its cores. A figure names its run, so that what
was measured again replaces what was there, and the rest stays as it was. `busy` has figures of a
machine with other work, beside those of a quiet one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from . import report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .driver import Result

FILE = Path(__file__).with_name("results.json")


def load() -> dict[str, dict[str, dict[str, object]]]:
    """Return what was kept: `runs`, `figures`, `busy` and `jobs`, each by name."""
    kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return {kind: kept.get(kind, {}) for kind in ("runs", "figures", "busy", "jobs")}


def _save(kept: dict[str, dict[str, dict[str, object]]]) -> None:
    used = {entry["run"] for kind in ("figures", "busy", "jobs") for entry in kept[kind].values()}
    kept["runs"] = {name: run for name, run in kept["runs"].items() if name in used}
    FILE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _run(kept: dict[str, dict[str, dict[str, object]]], facts: Mapping[str, object]) -> str:
    number = max((int(name) for name in kept["runs"]), default=0) + 1
    kept["runs"][str(number)] = dict(facts)
    return str(number)


def keep(results: list[Result], facts: Mapping[str, object], kind: str = "figures") -> None:
    """Keep the medians of a run; as "busy", beside those of a quiet machine."""
    kept = load()
    run = _run(kept, facts)
    for result in results:
        if "ours" in result.medians:
            kept[kind][result.figure.name] = {
                "run": run,
                "label": result.figure.label,
                "unit": result.figure.unit,
                "medians": {name: float(f"{v:.4g}") for name, v in result.medians.items()},
                "reached": result.figure.rule.reached(result.medians),
                "to_reach": result.figure.rule.wanted(result.medians),
            }
    _save(kept)


def keep_job(name: str, values: Mapping[str, object]) -> None:
    """Keep what a job's benchmark found, such as that of several servers."""
    kept = load()
    kept["jobs"][name] = {"run": _run(kept, report.machine()), **values}
    _save(kept)
