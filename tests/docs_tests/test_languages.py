"""Every page is there in English and in Korean, with the same headings and the same code."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

from ..support.documentation import Block, read_page
from ..tables import updated, updated_korean
from .site import ROOT

DOCS = ROOT / "docs"
TO_WRITE = Path(__file__).with_name("korean_pages_to_write.txt")
"""The pages without a Korean one, which have to become none."""

OWN_WORDS = ("text", "console", "")
"""Blocks that may be in the language of their page."""


def english_pages() -> list[str]:
    """The pages that people wrote: those of the API are made of English docstrings."""
    pages = (page.relative_to(DOCS).as_posix() for page in DOCS.glob("**/*.md"))
    return sorted(page for page in pages if not page.startswith("api/") and ".ko." not in page)


def korean(page: str) -> Path:
    return DOCS / page.replace(".md", ".ko.md")


def to_write() -> set[str]:
    return set(TO_WRITE.read_text(encoding="utf-8").split())


TRANSLATED = [page for page in english_pages() if korean(page).exists()]


def test_every_page_is_there_in_korean() -> None:
    missing = {page for page in english_pages() if not korean(page).exists()}
    assert missing - to_write() == set(), "have no Korean page"
    assert to_write() - missing == set(), "have one now: take them out of the list"


def test_no_page_is_there_in_korean_only() -> None:
    pages = (page.relative_to(DOCS).as_posix() for page in DOCS.glob("**/*.ko.md"))
    assert {page.replace(".ko.md", ".md") for page in pages} <= set(english_pages())


def levels(text: str) -> list[int]:
    """The level of each heading outside of code."""
    prose = re.sub(r"^( *)(`{3,}).*?^\1\2", "", text, flags=re.DOTALL | re.MULTILINE)
    return [len(marks) for marks in re.findall(r"^(#{1,6}) ", prose, flags=re.MULTILINE)]


def essence(block: Block) -> object:
    """What has to be the same in both languages: all but comments and string literals."""
    if block.language != "python":
        return re.sub(r"#.*|\"[^\"\n]*\"|'[^'\n]*'", "", block.code).split()
    tokens = tokenize.generate_tokens(io.StringIO(block.code).readline)
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.STRING}
    skipped |= {getattr(tokenize, "FSTRING_MIDDLE", -1), getattr(tokenize, "FSTRING_START", -1)}
    skipped |= {getattr(tokenize, "FSTRING_END", -1)}
    return [token.string for token in tokens if token.type not in skipped]


@pytest.mark.parametrize("page", TRANSLATED)
def test_both_languages_have_the_same_headings_and_code(page: str) -> None:
    english, own = (path.read_text(encoding="utf-8") for path in (DOCS / page, korean(page)))
    assert levels(own) == levels(english)
    blocks, owns = read_page(english), read_page(own)
    assert owns.servers == blocks.servers
    ours, theirs = (
        [
            (block.language, None if block.language in OWN_WORDS else essence(block))
            for block in blocks_of.blocks
        ]
        for blocks_of in (owns, blocks)
    )
    assert ours == theirs


def test_the_table_of_faults_is_what_happens() -> None:
    found = (DOCS / "faults.md").read_text(encoding="utf-8")
    assert updated("faults.md") == found, "run: make tables"


@pytest.mark.parametrize("page", TRANSLATED)
def test_both_languages_have_the_same_tables(page: str) -> None:
    assert updated_korean(page) == korean(page).read_text(encoding="utf-8"), "run: make tables"
