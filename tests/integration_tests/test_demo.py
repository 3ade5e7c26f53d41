"""`make demo` as a newcomer runs it: by itself, and against a real server."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # Neither a token or a language of one's own, nor what a make that runs these tests tells
    # the make below it.
    left_out = ("HF_", "HUGGING", "MAKE", "LANG", "LC_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
    return subprocess.run(
        ["make", "--no-print-directory", "demo", *arguments],
        cwd=ROOT,
        env={**kept, "HF_HOME": "/nonexistent", "HOME": "/nonexistent", **environment},
        capture_output=True,
        encoding="utf-8",
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


def test_demo_runs_in_korean():
    done = run_demo("LANG=ko")
    assert (done.returncode, done.stderr) == (0, "")
    assert "의 오프라인 모델(계정도 네트워크도 GPU도 필요 없음)에게 묻습니다.\n" in done.stdout


def test_demo_runs_on_a_real_server(transformers_server):
    # A model that has learned nothing: it keeps to no format, and gets to the end all the same.
    done = run_demo(BASE_URL=transformers_server.base_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Asking the model at {transformers_server.base_url}.\n" in done.stdout
    assert done.stdout.count("\n   Answer: ") >= 3
