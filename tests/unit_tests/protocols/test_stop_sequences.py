"""Stop sequences: the cut is the same however the text is split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_easyllm._protocols.stop_sequences import StopCutter, merge_stops
from langchain_easyllm.errors import ConfigurationError

from ...support.text_chunks import chunks_of, time_growth

FEW_LETTERS = st.text("ab\n<|é]^-", max_size=40)
STOPS = st.lists(st.text("ab\n<|é]^-", min_size=1, max_size=5), max_size=5)
# Each is a prefix, a suffix or the inside of another, which a small alphabet seldom draws.
FAMILIES = [("aab", "aaab", "ab"), ("a", "aa", "aaa"), ("abab", "bab", "b"), ("ba", "bab", "babb")]


def cut_whole(text: str, stops: Sequence[str]) -> str:
    """What is left of a whole text before the leftmost stop sequence."""
    return text[: min((text.find(stop) for stop in stops if stop in text), default=None)]


def run(chunks: Sequence[str], stops: Sequence[str]) -> str:
    cutter = StopCutter(tuple(stops))
    return "".join([*map(cutter.feed, chunks), cutter.close()])


def check(chunks: Sequence[str], stops: tuple[str, ...]) -> None:
    text = "".join(chunks)
    shown = run(chunks, stops)
    assert shown == cut_whole(text, stops)
    assert not any(stop in shown for stop in stops)


@given(chunks_of(FEW_LETTERS), STOPS)
def test_any_split_is_cut_as_the_whole_text(chunks: list[str], stops: list[str]) -> None:
    check(chunks, tuple(stops))


@given(chunks_of(st.text("ab", max_size=30)), st.sampled_from(FAMILIES))
def test_overlapping_stops_are_cut_as_the_whole_text(
    chunks: list[str], stops: tuple[str, ...]
) -> None:
    check(chunks, stops)


@given(chunks_of(st.text(max_size=30)), st.data())
def test_any_unicode_is_cut_as_the_whole_text(chunks: list[str], data: st.DataObject) -> None:
    text = "".join(chunks)
    starts = st.integers(0, max(len(text) - 1, 0))
    inside = st.builds(lambda at, size: text[at : at + size], starts, st.integers(1, 6))
    stops = data.draw(st.lists(st.one_of(inside, st.text(min_size=1)).filter(bool), max_size=4))
    check(chunks, tuple(stops))


@given(chunks_of(FEW_LETTERS), STOPS)
def test_only_the_beginning_of_a_stop_is_held_back(chunks: list[str], stops: list[str]) -> None:
    cutter = StopCutter(tuple(stops))
    fed = shown = ""
    for chunk in chunks:
        fed, shown = fed + chunk, shown + cutter.feed(chunk)
        if cutter.found:
            break
        held = fed.removeprefix(shown)
        assert fed == shown + held
        assert not held or any(stop.startswith(held) and stop != held for stop in stops)


def test_nothing_comes_after_a_stop() -> None:
    cutter = StopCutter(("END",))
    assert [cutter.feed("one EN"), cutter.feed("D two"), cutter.feed("three")] == ["one ", "", ""]
    assert cutter.found
    assert cutter.close() == ""


def test_a_stop_that_only_began_is_not_lost() -> None:
    cutter = StopCutter(("\nObservation",))
    assert cutter.feed("Act\nObs") == "Act"
    assert cutter.close() == "\nObs"
    assert not cutter.found


@pytest.mark.parametrize("stops", [("abcd", "b"), ("abcd", "c", "b"), ("abcd", "bc", "c")])
def test_shorter_stops_inside_a_longer_one_that_never_came_still_cut(
    stops: tuple[str, ...],
) -> None:
    cutter = StopCutter(stops)
    assert cutter.feed("abc") == ""
    assert cutter.close() == "a"
    assert cutter.found


class CountingPattern:
    """Counts the characters that are searched."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern
        self.seen = 0

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        self.seen += len(text)
        return self.pattern.finditer(text)


@pytest.mark.parametrize(
    "chunks",
    [["a"] * 5000, ["aaaaaaaab"] * 500, ["x"] * 5000, ["aaaaaaa", "x"] * 500],
    ids=["one letter", "almost", "nothing", "begun in vain"],
)
def test_only_held_text_is_searched_again(chunks: list[str]) -> None:
    stops = ("aaaaaaaaab", "aaaac")
    cutter = StopCutter(stops)
    assert cutter._first is not None
    cutter._first = counting = CountingPattern(cutter._first)
    held, allowed = 0, 0
    for chunk in chunks:
        allowed += held + len(chunk)
        held += len(chunk) - len(cutter.feed(chunk))
        assert held < 10
    assert not cutter.found
    assert counting.seen == allowed


def test_time_is_linear_in_hostile_text() -> None:
    stops = ("a" * 40 + "b", "a" * 20 + "c", "aaaa...b", "a...")
    assert time_growth(lambda chunks: run(chunks, stops), ["a", "aaa", "aaaa...", "aa"] * 500) < 40


@pytest.mark.parametrize(
    ("groups", "merged"),
    [
        ((), ()),
        ((None, []), ()),
        (("one",), ("one",)),
        ((["b", "a"], ("a", "c"), None, "b"), ("b", "a", "c")),
        ((["\n"],), ("\n",)),
    ],
)
def test_groups_of_stops_are_joined_in_order(
    groups: tuple[Sequence[str] | str | None, ...], merged: tuple[str, ...]
) -> None:
    assert merge_stops(*groups) == merged


@pytest.mark.parametrize("bad", [[""], ["a", ""], "", [None], [3]])
def test_an_empty_or_odd_stop_is_an_error(bad: object) -> None:
    with pytest.raises(ConfigurationError, match="stop holds"):
        merge_stops(bad)
