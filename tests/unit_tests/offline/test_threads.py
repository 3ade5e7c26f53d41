"""A small model computes with one thread, unless the user wants otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
from langchain_easyllm.offline._extra import needs_extra
import os
with needs_extra():
    print(os.environ.get("OPENBLAS_NUM_THREADS"))
print(os.environ.get("OPENBLAS_NUM_THREADS"))
"""


@pytest.mark.parametrize(
    ("code", "own", "seen"),
    [
        (CODE, {}, ["1", "None"]),
        (CODE, {"OPENBLAS_NUM_THREADS": "3"}, ["3", "3"]),
        ("import numpy" + CODE, {}, ["None", "None"]),  # too late to say so
    ],
    ids=["first", "own-number", "after-numpy"],
)
def test_blas_is_told_so_as_numpy_loads_and_nobody_else(code, own, seen):
    kept = {key: value for key, value in os.environ.items() if key != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | own, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == seen
