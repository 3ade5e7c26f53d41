"""The soak, cut short, and that it would notice what it looks for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from random import Random

import pytest

from ...soak.answers import tokens_of
from ...soak.calls import Kit, Tally, call, call_async, easyllm_kit
from ...soak.load import Handles, Load, soak
from ...soak.server import running_server


def test_every_answer_is_whole_or_an_error_and_nothing_is_left_behind() -> None:
    load = Load(calls=4, tasks=24, threads=8, plain_calls=60)
    with running_server() as url:
        report = soak(easyllm_kit(url, timeout=1.2), load, Load(calls=2, tasks=24, threads=8))
    assert report.problems == [], report.tally.examples
    assert report.tally.total() == 32 * 4
    assert report.tally.total("right") > 30
    for fault in ("page", "error in the answer"):
        assert not report.tally.total("right", fault=fault)


class FlawedModel:
    """Answers every prompt in the same flawed way."""

    def __init__(self, flaw: str) -> None:
        self.flaw = flaw

    def tokens(self, prompt: str) -> list[str]:
        tokens = tokens_of(prompt.split()[0])
        if self.flaw == "foreign":
            raise KeyError(prompt)
        return {
            "right": tokens,
            "short": tokens[:-1],
            "mixed up": tokens_of("q-0123456789abcdef"),
            "repeated": [*tokens, tokens[-1]],
        }[self.flaw]

    def invoke(self, prompt: str) -> str:
        return "".join(self.tokens(prompt))

    async def ainvoke(self, prompt: str) -> str:
        return self.invoke(prompt)

    def stream(self, prompt: str) -> Iterator[str]:
        yield from self.tokens(prompt)

    async def astream(self, prompt: str) -> AsyncIterator[str]:
        for token in self.tokens(prompt):
            yield token


@pytest.mark.parametrize(
    ("flaw", "outcome"),
    [
        ("right", "right"),
        ("short", "short"),
        ("mixed up", "wrong"),
        ("repeated", "wrong"),
        ("foreign", "foreign"),
    ],
)
async def test_it_tells_a_right_answer_from_any_other(flaw: str, outcome: str) -> None:
    kit, random, tally = Kit("flawed", FlawedModel(flaw), (ValueError,)), Random(1), Tally()
    for _ in range(40):
        call(kit, random, tally)
        await call_async(kit, random, tally)
    assert tally.total(outcome, "cancelled") == tally.total() == 80
    assert tally.total(outcome) > 40


def test_it_tells_what_is_left_behind() -> None:
    before = Handles(10, 2, 1, 100_000, 400_000, 80.0)
    assert before.leaks(before, 1000) == []
    assert Handles(11, 3, 2, 100_000, 400_000, 80.0).leaks(before, 1000) == [
        "+1 files",
        "+1 threads",
        "+1 tasks",
    ]
    assert Handles(10, 2, 1, 120_000, 400_000, 80.0).leaks(before, 20_000) == ["+20000 objects"]
