"""Scripts in a Python of their own that warns of all that it can."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

__all__ = ["MAY_FORK", "ROOT", "assert_silent"]

ROOT = Path(__file__).parents[2]

MAY_FORK = ("-W", "ignore::DeprecationWarning:__main__")
"""Options for a script that forks with threads: newer Pythons warn of it."""


def assert_silent(
    *parts: str,
    options: tuple[str, ...] = (),
    arguments: tuple[str, ...] = (),
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Run a script, and assert that it ends well and prints nothing.

    Args:
        parts: Its parts; each may be indented.
        options: Python's own, beside those that make it strict.
        arguments: What is in `sys.argv` behind the script.
        environment: Its environment.
    """
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "error",
            *options,
            "-c",
            "".join(map(dedent, parts)),
            *arguments,
        ],
        cwd=ROOT,
        # All that is run is Python: checks of what C code does to memory would cost a fifth more.
        env={**environment, "PYTHONMALLOC": "pymalloc"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
