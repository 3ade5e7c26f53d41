"""Starts the server and a process per target, and lets the targets take turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .figures import Figure

# A tracer or a proxy that happens to be set would be measured with the client.
UNSET = ("LANGSMITH_", "LANGCHAIN_", "HF_", "HUGGINGFACE", "OPENAI_", "HTTP_PROXY", "http_proxy")


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(UNSET)}
    return kept | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def _start(python: str, module: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, "-m", f"benchmarks.{module}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(),
    )


@contextmanager
def serving() -> Iterator[dict[str, int]]:
    """Run the loopback server; yields the port of each variant."""
    server = _start(sys.executable, "server")
    yield json.loads(server.stdout.readline())
    server.stdin.close()
    server.wait()


@dataclass
class Worker:
    """The process of one target.

    Attributes:
        absent: Why the target cannot take part, or an empty string.
    """

    name: str
    process: subprocess.Popen[str]
    absent: str = field(init=False)

    def __post_init__(self) -> None:
        """Wait until the target is imported."""
        self.absent = str(self._read().get("absent", ""))

    def _read(self) -> dict[str, object]:
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"absent": "its process ended", "failed": "it ended"}

    def run(self, figure: str, reps: int = 1) -> dict[str, object]:
        """Run `reps` repetitions of `figure` and return the answer."""
        if self.process.poll() is not None:
            return {"failed": "its process has ended"}
        print(
            json.dumps({"figure": figure, "reps": reps}),
            file=self.process.stdin,
            flush=True,
        )
        return self._read()


@dataclass
class Result:
    """What a figure's targets took.

    Attributes:
        values: Every repetition, by target.
        notes: Why a target has no values, by target.
    """

    figure: Figure
    values: dict[str, list[float]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def medians(self) -> dict[str, float]:
        """The median of each target that has values."""
        return {name: median(values) for name, values in self.values.items()}


class Driver:
    """The loopback server and the workers; use as a context manager.

    Args:
        cores: Cores that server and workers share, and that thread pools are sized for.
        pythons: An interpreter for a target that needs one of its own.
    """

    def __init__(self, cores: int, pythons: dict[str, str]) -> None:
        self.cores = cores
        self.pythons = pythons
        self.workers: dict[str, Worker] = {}

    def __enter__(self) -> Driver:
        """Start the server."""
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-self.cores :])
        self.server = _start(sys.executable, "server")
        self.ports = self.server.stdout.readline()
        return self

    def __exit__(self, *exception: object) -> None:
        """End every process."""
        for process in (self.server, *(worker.process for worker in self.workers.values())):
            process.stdin.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()

    def worker(self, name: str) -> Worker:
        """Return the target's process, started at first use."""
        if name not in self.workers:
            python = self.pythons.get(name, sys.executable)
            process = _start(python, "worker", name, self.ports, str(self.cores))
            self.workers[name] = Worker(name, process)
        return self.workers[name]

    def measure(self, figure: Figure, names: Iterable[str], *, quick: bool) -> Result:
        """Run a figure: one round to warm up, then rounds in which the targets take turns."""
        result = Result(figure)
        names = [name for name in figure.targets if name in names]
        for name in names:
            if self.worker(name).absent:
                result.notes[name] = "absent"
        rounds = min(2, figure.rounds) if quick else figure.rounds
        reps = max(2, figure.reps // 4) if quick and figure.reps > 1 else figure.reps
        # Memory is the same each time; what takes seconds a round does without where time is short.
        warm = figure.rounds > 1 and (figure.reps > 1 or not quick)
        for number in range(-warm, rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                if name not in result.notes:
                    self._round(result, name, 1 if number < 0 else reps, keep=number >= 0)
        return result

    def _round(self, result: Result, name: str, reps: int, *, keep: bool) -> None:
        answer = self.worker(name).run(result.figure.name, reps)
        if "values" in answer:
            if keep:
                result.values.setdefault(name, []).extend(answer["values"])
        else:
            result.notes[name] = str(answer.get("failed") or answer.get("absent"))
            result.values.pop(name, None)
