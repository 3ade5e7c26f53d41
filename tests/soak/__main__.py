"""Run the soak: `python -m tests.soak [--seconds N] [--calls N] [--targets ...]`."""

from __future__ import annotations

import argparse
import sys
import time
from importlib.util import find_spec

from .answers import FAULTS
from .calls import OUTCOMES, easyllm_kit, openai_kit
from .load import Load, Report, soak
from .server import running_server

KITS = {"easyllm": easyllm_kit, "openai": openai_kit}
MODULES = {"easyllm": "langchain_easyllm", "openai": "langchain_openai"}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="of the load (default 120)")
    parser.add_argument("--calls", type=int, default=10_000, help="plain calls (default 10,000)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of every random choice")
    parser.add_argument("--targets", nargs="+", choices=KITS, default=list(KITS))
    return parser.parse_args()


def _row(cells: list[object]) -> str:
    return f"| {cells[0]:28} | " + " | ".join(f"{cell:>9}" for cell in cells[1:]) + " |"


def _print_calls(report: Report) -> None:
    tally = report.tally
    rate = tally.total() / report.seconds
    print(f"\n{report.name}: {tally.total():,} calls in {report.seconds:.0f} s ({rate:.0f}/s)\n")
    print(_row(["fault of the first attempt", "calls", *OUTCOMES]))
    print(_row(["---", *["--:"] * (len(OUTCOMES) + 1)]))
    for fault in dict.fromkeys([*FAULTS, *(key[0] for key in tally.counts)]):
        cells = [tally.total(outcome, fault=fault) for outcome in OUTCOMES]
        print(_row([fault, sum(cells), *cells]))
    print(_row(["all", tally.total(), *(tally.total(outcome) for outcome in OUTCOMES)]))
    for example in tally.examples[:5]:
        print(f"  {example}")


def _print_handles(report: Report) -> None:
    plain = f"{report.load.plain_calls:,} plain calls"
    print(f"\nHeld with the clients closed: warmed up; after the load; after {plain}\n")
    for field in ("files", "threads", "tasks", "objects", "blocks", "mebibytes"):
        states = (report.warm, report.after_load, report.after_plain)
        print(f"  {field:10}" + "".join(f"{getattr(state, field):12,.0f}" for state in states))
    print(f"\n{plain} left {report.traced / 1024:,.0f} KiB of traced memory")


def main() -> None:
    """Run what was asked for; the exit status is 1 where this package did something wrong."""
    options = _arguments()
    print(f"seed {options.seed}")
    load = Load(options.seconds, plain_calls=options.calls, seed=options.seed)
    warm_up = Load(max(options.seconds / 8, 3), seed=options.seed)
    failed = False
    for name in options.targets:
        if find_spec(MODULES[name]) is None:
            print(f"\n{MODULES[name]} is not installed: left out.")
            continue
        with running_server() as url:
            report = soak(KITS[name](url), load, warm_up)
        _print_calls(report)
        _print_handles(report)
        for problem in report.problems:
            print(f"\n{report.name}: {problem}")
        failed |= name == "easyllm" and bool(report.problems)
    sys.exit(failed)


if __name__ == "__main__":
    main()
