"""The command in this process: what it prints, and its exit code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from langchain_easyllm.__main__ import main


class Doctor:
    """Calls the command."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.errors = ""

    def __call__(self, *arguments: object) -> tuple[int, str]:
        code = main(["doctor", *map(str, arguments)])
        printed = self._capsys.readouterr()
        self.errors = printed.err
        return code, printed.out

    def json(self, *arguments: object) -> dict[str, Any]:
        """Return the report of `--json`."""
        code, printed = self("--json", *arguments)
        report = json.loads(printed)
        assert report["exit_code"] == code
        return report

    def states(self, *arguments: object) -> dict[str, str]:
        """Return how each check ended."""
        return {one["name"]: one["state"] for one in self.json(*arguments)["checks"]}


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    """The command `langchain-easyllm doctor`."""
    return Doctor(capsys)
