"""`make demo` as a newcomer runs it, against a real server."""

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


def test_demo_runs_on_a_real_server(transformers_server):
    done = run_demo(BASE_URL=transformers_server.base_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1. A streamed chat" in done.stdout
    assert "2. An agent's step" in done.stdout
    assert done.stdout.count("pieces, first after") == 2
    assert "Observation:" not in done.stdout


def test_demo_says_what_to_set_when_there_is_no_server():
    done = run_demo()
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 3
    assert "HF_TOKEN" in done.stdout
    assert "BASE_URL" in done.stdout


def test_demo_fails_readably_when_nobody_listens():
    done = run_demo(BASE_URL="http://127.0.0.1:9")
    assert done.returncode != 0
    assert "ConnectionError" in done.stderr
    assert "Traceback" not in done.stderr
