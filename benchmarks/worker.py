"""One target in a process of its own: reads figure names, writes values, a line of JSON each."""

from __future__ import annotations

import json
import os
import sys
from typing import TextIO

from .figures import FIGURES
from .scenarios import Bench, heavy_modules
from .targets import TARGETS, UnsupportedError

SCENARIOS = {figure.name: figure.scenario for figure in FIGURES}


def answer(bench: Bench, request: dict[str, object]) -> dict[str, object]:
    """Run what `request` names; return its values, or why there are none."""
    try:
        if request["figure"] == "heavy_modules":
            return {"values": heavy_modules(bench.target)}
        return {"values": SCENARIOS[request["figure"]](bench, request["reps"])}
    except UnsupportedError:
        return {"absent": "has no such thing"}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def serve(bench: Bench, requests: TextIO, answers: TextIO) -> None:
    """Answer each line until there are no more."""
    for line in requests:
        print(json.dumps(answer(bench, json.loads(line))), file=answers, flush=True)
    bench.close()


def main(name: str, ports: str, cores: str) -> None:
    """Import the target, say how that went, then serve."""
    # Thread pools are sized by this; affinity alone leaves it at the machine's count.
    os.cpu_count = lambda: int(cores)
    # What a target prints must not end up between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    target = TARGETS[name]
    try:
        target.check()
        hello: dict[str, object] = {"ready": True}
    except ImportError as error:
        hello = {"absent": f"{type(error).__name__}: {error}"}
    print(json.dumps(hello), file=answers, flush=True)
    if "ready" in hello:
        serve(Bench(target, json.loads(ports)), sys.stdin, answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
