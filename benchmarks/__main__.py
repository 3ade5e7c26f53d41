"""Measure everything: `python -m benchmarks [--only NAME] [--quick] [--json FILE]`."""

from __future__ import annotations

import argparse
from fnmatch import fnmatch
from pathlib import Path

from . import report, results
from .driver import Driver
from .figures import FIGURES
from .targets import TARGETS


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="a figure; `*` works")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--quick", action="store_true", help="two short rounds of each figure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value there")
    parser.add_argument(
        "--keep",
        nargs="?",
        const="figures",
        choices=("figures", "busy"),
        help="keep the medians in results.json (`busy`: beside those of a quiet machine)",
    )
    parser.add_argument("--cores", type=int, default=2, help="cores to run on (default 2)")
    parser.add_argument("--list", action="store_true", help="name the figures and leave")
    parser.add_argument(
        "--transformers-python",
        metavar="PATH",
        help="an interpreter that has transformers, where this one has not",
    )
    return parser.parse_args()


def main() -> None:
    """Run the figures that were asked for and print a line for each."""
    options = arguments()
    wanted = options.only or ["*"]
    figures = [f for f in FIGURES if any(fnmatch(f.name, pattern) for pattern in wanted)]
    if not figures:
        raise SystemExit(f"no figure is named {' or '.join(wanted)}; see --list")
    if options.list:
        for figure in figures:
            print(f"{figure.name:24} {figure.label}")
        return
    pythons = {"transformers": options.transformers_python} if options.transformers_python else {}
    facts = report.machine() | {"cores": options.cores, "quick": options.quick}
    print(f"Python {facts['python']}, {options.cores} cores, load {facts['load'][0]:.1f}")
    print(report.line(report.HEADER))
    measured = []
    with Driver(options.cores, pythons) as driver:
        for figure in figures:
            measured.append(driver.measure(figure, options.targets, quick=options.quick))
            print(report.line(report.row(measured[-1])), flush=True)
        heavy = {
            name: worker.run("heavy_modules").get("values", [])
            for name, worker in driver.workers.items()
            if not worker.absent
        }
        absent = {name: w.absent for name, w in driver.workers.items() if w.absent}
    facts["heavy_modules"] = heavy
    for name, modules in heavy.items():
        print(f"import of {name} loads: {', '.join(modules) or 'none of the heavy packages'}")
    for name, reason in absent.items():
        print(f"{name} is absent: {reason}")
    for result in measured:
        for name, note in result.notes.items():
            if note != "absent":
                print(f"{result.figure.name}, {name}: {note}")
    if options.json:
        report.save(options.json, measured, facts)
    if options.keep:
        results.keep(measured, facts, options.keep)


if __name__ == "__main__":
    main()
