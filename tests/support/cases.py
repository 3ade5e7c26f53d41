"""A table of cases as one test.

`pytest.mark.parametrize` makes a test of each row: some milliseconds of pytest's own, in the
process that runs it and in those that only collect it. For rows of which each takes less than that,
`each_case` runs them all in one test. It says of every row that fails which one it is and how it
failed, and goes on with the next.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from langchain_easyllm._servers.session import SESSIONS

from .fake_server import FakeServer

__all__ = ["each_case"]

Test = Callable[..., Any]
Case = Mapping[str, object]
ERRORS = (Exception, pytest.fail.Exception)
SHOWN = 10
"""Failed rows of one test that are shown with their tracebacks; the others are named."""

# What each row gets new, as a test of its own would: all else is the whole test's.
NEW: Mapping[str, Callable[[], Any]] = {
    "fake_server": FakeServer,
    "monkeypatch": pytest.MonkeyPatch.context,
}


def each_case(
    names: str | tuple[str, ...],
    rows: Iterable[Any],
    *,
    ids: Callable[[Any], object] | Iterable[object] = repr,
) -> Callable[[Test], Test]:
    """Run a test for every row of a table, in one test; used like `pytest.mark.parametrize`.

    Several of them, one above the other, make every combination. A fake server and a monkeypatch
    are new for each row; of other fixtures a test must not change what they give.

    Args:
        names: The argument that is given a row, or the arguments that are given its parts.
        rows: The rows, which may be `pytest.param` with an id.
        ids: How a row is called where it fails, or what makes that of a value.
    """
    table = [_case(names, row, ids if callable(ids) else repr) for row in rows]
    if not callable(ids):
        table = [(str(name), case) for name, (_, case) in zip(ids, table, strict=False)]
    assert table, "a table without rows tests nothing"

    def decorate(test: Test) -> Test:
        plain, inner = getattr(test, "each_case", (test, [("", {})]))
        cases = [(f"{a} {b}".strip(), {**x, **y}) for a, x in table for b, y in inner]
        return _all_in_one(plain, cases, getattr(test, "pytestmark", []))

    return decorate


def _case(
    names: str | tuple[str, ...], row: Any, shown: Callable[[Any], object]
) -> tuple[str, Case]:
    name = None
    if isinstance(row, type(pytest.param())):
        assert not row.marks, "a mark is for a whole test"
        name, row = row.id, row.values[0] if isinstance(names, str) else row.values
    case = {names: row} if isinstance(names, str) else dict(zip(names, row, strict=True))
    return name or " ".join(f"{key}={shown(value)}" for key, value in case.items()), case


def _all_in_one(test: Test, cases: list[tuple[str, Case]], marks: list[pytest.Mark]) -> Test:
    parameters = inspect.signature(test).parameters
    new = {name: make for name, make in NEW.items() if name in parameters}
    assert cases[0][1].keys() <= parameters.keys(), "an argument that the test has not"

    if inspect.iscoroutinefunction(test):

        @functools.wraps(test)
        async def run_all(*args: Any, **fixtures: Any) -> None:
            failures = _Failures()
            for name, case in cases:
                with failures.of(name, new) as made:
                    await test(*args, **fixtures, **made, **case)
            failures.report(len(cases))
    else:

        @functools.wraps(test)
        def run_all(*args: Any, **fixtures: Any) -> None:
            failures = _Failures()
            for name, case in cases:
                with failures.of(name, new) as made:
                    test(*args, **fixtures, **made, **case)
            failures.report(len(cases))

    left = [value for name, value in parameters.items() if name not in {*cases[0][1], *new}]
    vars(run_all).update(
        __signature__=inspect.Signature(left), each_case=(test, cases), pytestmark=[*marks]
    )
    return run_all


class _Failures:
    def __init__(self) -> None:
        self._failed: list[tuple[str, BaseException]] = []

    @contextmanager
    def of(self, name: str, new: Mapping[str, Callable[[], Any]]) -> Iterator[dict[str, Any]]:
        """Give a row what is new for it, and keep its failure."""
        SESSIONS.forget()  # the next server may have the port of the last
        try:
            with ExitStack() as stack:
                yield {key: stack.enter_context(make()) for key, make in new.items()}
        except ERRORS as error:
            self._failed.append((name, error))

    def report(self, count: int) -> None:
        """Fail if any row did."""
        if not self._failed:
            return
        named = "\n".join(f"  {name}: {type(error).__name__}" for name, error in self._failed)
        for name, error in self._failed:
            error.add_note(f"The row: {name}")
        raise BaseExceptionGroup(
            f"{len(self._failed)} of {count} rows failed:\n{named}",
            [error for _, error in self._failed[:SHOWN]],
        )
