"""`make demo` as a newcomer runs it: by itself, and against a real server."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_demo(**environment: str) -> subprocess.CompletedProcess[str]:
    # Neither a token of one's own, nor what a make that runs these tests tells the make below it.
    left_out = ("HF_", "HUGGING", "MAKE")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
    return subprocess.run(
        ["make", "--no-print-directory", "demo"],
        cwd=ROOT,
        env={**kept, "HF_HOME": "/nonexistent", "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_demo_runs_by_itself():
    done = run_demo()
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nAsking the offline model at http://127.0.0.1:" in f"\n{done.stdout}"
    assert "34 raised to the 0.43 power is 4.5555." in done.stdout


def test_demo_answers_one_question():
    done = run_demo(ASK="Who is Ida Lowell's friend?")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Answer: Ida Lowell's friend is Karim Singh." in done.stdout


def test_demo_runs_on_a_real_server(transformers_server):
    # A model that has learned nothing: it keeps to no format, and gets to the end all the same.
    done = run_demo(BASE_URL=transformers_server.base_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Asking the model at {transformers_server.base_url}.\n" in done.stdout
    assert done.stdout.count("\n   Answer: ") == 3
