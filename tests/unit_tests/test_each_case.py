"""A table of cases as one test: every row runs, and every row that fails is named."""

from __future__ import annotations

import asyncio
import inspect
import os
from typing import Any

import pytest

from ..support.cases import each_case
from ..support.fake_server import FakeServer


def test_every_row_runs_and_every_one_that_fails_is_named() -> None:
    seen = []

    @each_case("number", [1, 2, 3, 4])
    def even(number: int) -> None:
        seen.append(number)
        assert number % 2 == 0, f"{number} is odd"

    with pytest.raises(
        BaseExceptionGroup, match=r"2 of 4 rows failed:\n  number=1: Assert"
    ) as caught:
        even()
    assert seen == [1, 2, 3, 4]
    assert "number=3: AssertionError" in str(caught.value)
    errors = [(str(error), error.__notes__) for error in caught.value.exceptions]
    assert [(said.split("\n")[0], notes) for said, notes in errors] == [
        ("1 is odd", ["The row: number=1"]),
        ("3 is odd", ["The row: number=3"]),
    ]


def test_what_is_not_raised_is_a_failure() -> None:
    @each_case("error", [KeyError, None])
    def fails(error: type[Exception] | None) -> None:
        with pytest.raises(KeyError):
            {None: 1}[error]

    with pytest.raises(BaseExceptionGroup, match="1 of 2 rows failed:\n  error=None: Failed"):
        fails()


def test_hundreds_that_fail_are_named_and_some_are_shown() -> None:
    @each_case("number", range(300))
    def fails(number: int) -> None:
        assert not number >= 0

    with pytest.raises(BaseExceptionGroup, match="300 of 300") as caught:
        fails()
    assert str(caught.value).count("AssertionError") == 300
    assert len(caught.value.exceptions) == 10


def test_all_combinations_in_any_order_with_marks() -> None:
    seen = set()

    @each_case(("a", "b"), [(1, 2), pytest.param(3, 4, id="three")])
    @pytest.mark.parametrize("mode", ["sync"])
    @each_case("c", "xy", ids=["the x", "the y"])
    def test(a: int, b: int, c: str, mode: str) -> None:
        seen.add((a, b, c, mode))
        assert a != 3

    assert [*inspect.signature(test).parameters] == ["mode"]
    assert [mark.name for mark in test.pytestmark] == ["parametrize"]
    with pytest.raises(BaseExceptionGroup, match=r"  three the x: A.*\n  three the y: A"):
        test(mode="sync")
    assert seen == {(a, b, c, "sync") for a, b in [(1, 2), (3, 4)] for c in "xy"}


def test_a_coroutine_function_is_awaited_for_every_row() -> None:
    seen = []

    @each_case("number", [1, 2])
    async def awaits(number: int) -> None:
        await asyncio.sleep(0)
        seen.append(number)
        assert number == 1

    assert inspect.iscoroutinefunction(awaits)
    with pytest.raises(BaseExceptionGroup, match="1 of 2"):
        asyncio.run(awaits())
    assert seen == [1, 2]


def test_a_server_and_a_patched_environment_are_new_for_each_row() -> None:
    servers = []

    @each_case("name", ["EASYLLM_A", "EASYLLM_B"])
    def test(fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        servers.append(fake_server)
        assert not {"EASYLLM_A", "EASYLLM_B"} & {*os.environ}
        monkeypatch.setenv(name, "1")

    test()
    assert len({id(server) for server in servers}) == 2
    assert "EASYLLM_B" not in os.environ


@pytest.mark.parametrize(
    ("names", "rows", "said"),
    [
        ("number", [], "without rows"),
        ("number", [pytest.param(1, marks=pytest.mark.skip)], "a mark"),
        ("other", [1], "an argument that the test has not"),
    ],
)
def test_a_table_that_tests_nothing_is_refused(names: str, rows: list[Any], said: str) -> None:
    def test(number: int) -> None:
        """Nothing."""

    with pytest.raises(AssertionError, match=said):
        each_case(names, rows)(test)
