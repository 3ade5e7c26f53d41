"""The built site, as tests look at it."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

__all__ = ["PREFIX", "ROOT", "SITE", "built_pages", "documents", "links_of"]

ROOT = Path(__file__).parents[2]
SITE = ROOT / "site"
PREFIX = "langchain-easyllm/"
"""Where the site is at its host; links between the languages say so."""


class _Reader(HTMLParser):
    """Collects what a document links to and loads, and the places in it that can be linked to."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if "src" in given:
            self.loaded.append(given["src"])
        if tag == "link" and given.get("rel") not in {"canonical", "alternate", "prev", "next"}:
            self.loaded.append(given.get("href", ""))


def built_pages() -> list[Path]:
    """The pages of both languages; there are none before `make docs`."""
    return sorted(SITE.glob("**/index.html"))


@cache
def documents() -> dict[Path, _Reader]:
    """Every page, read."""
    found: dict[Path, _Reader] = defaultdict(_Reader)
    for page in built_pages():
        found[page].feed(page.read_text(encoding="utf-8"))
    return found


def links_of(page: Path) -> list[tuple[str, Path, str]]:
    """Each link inside the site: as it stands, the file that it leads to, and the anchor."""
    here = f"https://site/{PREFIX}" + page.relative_to(SITE).as_posix()
    found = []
    for link in documents()[page].links:
        whole, anchor = urldefrag(urljoin(here, link))
        if urlsplit(whole).netloc != "site" or urlsplit(whole).scheme != "https":
            continue
        path = unquote(urlsplit(whole).path).removeprefix(f"/{PREFIX}")
        target = SITE / path
        found.append((link, target / "index.html" if target.is_dir() else target, unquote(anchor)))
    return found
