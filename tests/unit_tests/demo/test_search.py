"""The search ranks entries, and finds nothing where there is nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.languages import ENGLISH, LANGUAGES
from demo.search import Index
from demo.tools import found_something, library, search, tools


@pytest.mark.parametrize(
    ("entries", "query", "best"),
    [
        (["a red apple", "a red pear"], "pear", "a red pear"),
        (["red cat", "red dog", "red cow", "white cat"], "white red", "white cat"),  # rarer
        (["dog and cat", "dog and dog"], "dog", "dog and dog"),  # more often
        (["dog cat cow pig", "dog cat", "hen"], "dog", "dog cat"),  # shorter
        (["first same", "second same", "other"], "same", "first same"),  # a tie: in order
        (["Ada's brother is Ben.", "Ben's brother is Ada."], "BEN’S brother?", None),
        (["Zoë lives in Köln.", "Ada lives in Bonn."], "köln", "Zoë lives in Köln."),
        (["한국의 수도는 서울이다", "Paris"], "서울이다", "한국의 수도는 서울이다"),
        # Particles are no part of a Korean word; letters that only look like one are.
        (["이서은은 가수이다.", "이서는 화가이다."], "이서은의", "이서은은 가수이다."),
        (["이서는 화가이다.", "이서은은 가수이다."], "이서의", "이서는 화가이다."),
        (
            ["강의 길이는 2킬로미터이다.", "강의 높이는 9미터이다."],
            "강의 높이",
            "강의 높이는 9미터이다.",
        ),
        (["LangChain은 도구이다.", "집은 크다."], "LangChain이", "LangChain은 도구이다."),
    ],
)
def test_ranking(entries, query, best):
    found = Index(entries).search(query, count=9)
    assert found[0] == (best or entries[0])


def test_words_outweigh_what_is_everywhere():
    index = Index(["the tower of a", "the tower of b", "the bridge of a"])
    assert index.search("the bridge", count=3) == ["the bridge of a"]
    assert index.search("tower", count=3) == ["the tower of a", "the tower of b"]
    assert index.search("tower", count=1) == ["the tower of a"]


@pytest.mark.parametrize("query", ["", "  ", "the of in", "?!", "xyzzy", "population of Atlantis"])
def test_nothing_is_found_where_there_is_nothing(query):
    assert Index([]).search(query) == []
    assert library(ENGLISH.library).search(query) == []
    assert search.invoke(query) == ENGLISH.no_results
    assert not found_something(ENGLISH.no_results, ENGLISH)


@given(st.lists(st.text(max_size=20), max_size=6), st.text(max_size=20))
def test_any_text_can_be_searched(entries, query):
    index = Index(entries)
    assert set(index.search(query, count=9)) <= {entry.strip() for entry in entries}


@pytest.mark.parametrize("code", ["en", "ko"])
def test_every_entry_of_the_library_is_found_by_its_own_words(code):
    language = LANGUAGES[code]
    searching, _ = tools(language)
    entries = library(language.library).entries
    assert len(entries) == len(set(entries)) > 36
    for entry in entries:
        assert searching.invoke(entry) == entry
