"""What the benchmarks of jobs have in common: each run of a job is a process of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

Run = Callable[[str, str, str], None]
"""A job: the server's URL, the file that it reads and the one that it writes."""


def job_options(
    module: str, description: str | None, runs: Mapping[str, Run], **switches: str
) -> argparse.Namespace:
    """Return a benchmark's arguments; a process that `child_command` started does its run and ends.

    Args:
        module: The benchmark's module.
        description: What it measures.
        runs: Its jobs by name.
        switches: Further switches, each with its description.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="keep the values in results.json")
    for name, meaning in switches.items():
        parser.add_argument(f"--{name}", action="store_true", help=meaning)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, *where = options.child
        runs[name](*where)
        sys.exit()
    return options


def child_command(module: str, name: str, url: str, source: Path, target: Path) -> list[str]:
    """Return the command that does a run of a benchmark."""
    return [sys.executable, "-m", module, "--child", name, url, str(source), str(target)]
