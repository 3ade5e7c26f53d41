"""Links lead somewhere: in the pages' sources and in the built site."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from pymdownx.slugs import slugify

from ..site_hooks import DOCS, pages_of, to_write
from ..unit_tests.test_architecture import PUBLIC
from .site import ROOT, SITE, built_pages, documents, links_of

SOURCES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
URL = "https://langchain-easyllm.github.io/langchain-easyllm/"
FENCE = re.compile(r"^( *)(`{3,}).*?^\1\2", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!\!)\]\(([^)\s]+)(?: \"[^\"]*\")?\)")
TO_WRITE = {DOCS / name for name in to_write()}


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, which GitHub and the site make alike."""
    slug = slugify(case="lower")
    found: dict[str, int] = {}
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(page), re.MULTILINE):
        own = re.search(r"\{ *#([\w-]+).*\}$", heading)
        text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", lambda link: link[1] or "", heading)
        name = own[1] if own else slug(text, "-")
        found[name] = found.get(name, 0) + 1
    repeated = {f"{name}_{n}" for name, count in found.items() for n in range(1, count)}
    return {*found, *repeated, *re.findall(r'id="([^"]+)"', page.read_text("utf-8"))}


@pytest.mark.parametrize("page", SOURCES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_in_a_source_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if urlsplit(link).scheme:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if target in TO_WRITE:
            continue
        assert target.exists(), f"{link}: there is no such file"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{link}: there is no such heading"


@pytest.mark.parametrize("page", built_pages(), ids=lambda page: str(page.relative_to(SITE)))
def test_a_link_in_the_site_leads_somewhere(page: Path) -> None:
    for link, target, anchor in links_of(page):
        assert target.exists(), f"{link}: there is no such page"
        if anchor and target in documents():
            assert anchor in documents()[target].ids, f"{link}: there is no such heading"


def test_no_link_in_the_site_shows_the_name_of_its_source() -> None:
    """On GitHub `[tools.md](tools.md)` names a file, in the site it has to name a page."""
    for page in built_pages():
        shown = re.findall(r'<a href="(?!https?:)[^"]*">[\w-]+\.md</a>', page.read_text("utf-8"))
        assert shown == [], page


def navigation() -> set[str]:
    class Loader(yaml.SafeLoader):
        """Reads the settings, without the functions that they name."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    settings = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)
    return {page for _, _, page in pages_of(settings["nav"])}


def test_every_page_of_the_navigation_is_written() -> None:
    missing = {page for page in navigation() if not (DOCS / page).exists()}
    assert missing - to_write() == set(), "are in the navigation, but not written"
    assert to_write() - missing == set(), "are written: take them out of pages_to_write.txt"


def test_every_public_module_has_a_page() -> None:
    pages = "".join(page.read_text("utf-8") for page in (DOCS / "api").glob("*.md"))
    shown = set(re.findall(r"^::: langchain_easyllm\.(\w+)", pages, re.MULTILINE))
    assert {module for module in PUBLIC if module} - shown == set(), "need docs/api/NAME.md"


def test_a_page_loads_nothing_from_another_host() -> None:
    assert built_pages(), "run: make docs"
    for page, document in documents().items():
        for address in document.loaded:
            assert not urlsplit(address).netloc, (page, address)


@pytest.mark.parametrize("folder", ["", "ko/"])
def test_the_pages_for_language_models_are_there(folder: str) -> None:
    listed = (SITE / folder / "llms.txt").read_text(encoding="utf-8")
    pages = re.findall(rf"\]\({re.escape(URL)}([^)]+)\)", listed)
    assert len(pages) > 30
    assert all((SITE / page).exists() for page in pages)
    whole = (SITE / folder / "llms-full.txt").read_text(encoding="utf-8")
    heading = {"": "Tool calling", "ko/": "도구 호출"}[folder]
    assert f"## {heading}" in whole
    assert "<!-- " not in whole
