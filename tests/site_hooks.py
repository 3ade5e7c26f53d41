"""What `mkdocs` does beside its plugins when it builds the documentation's site.

- The version is named on every page.
- Links that leave `docs/` lead to the repository.
- Links whose text is a file (`[tools.md](tools.md)`) show the title of the page or section.
- Comments that say how to run examples are left out.
- Each language has a search index of its own.
- `llms.txt` and `llms-full.txt`, and every page as Markdown, are written for language models.
"""

from __future__ import annotations

import json
import posixpath
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TO_WRITE = ROOT / "tests" / "docs_tests" / "pages_to_write.txt"
REPOSITORY = "https://github.com/langchain-easyllm/langchain-easyllm/blob/main/"
LANGUAGES = {"en": "", "ko": "ko/"}
COMMENT = re.compile(r"^ *<!-- .*?-->[ ]*\n", re.DOTALL | re.MULTILINE)
ALTERNATE = re.compile(r'<link rel="alternate"[^>]*hreflang[^>]*>')
BASE = re.compile(r'("base": "[^"]*)"')
INCLUDE = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)
LINK = re.compile(r"(\]\()((?:\.\./)+[^)#\s]*)")
FILE_LINK = re.compile(r"\[([\w-]+\.md)\]\(((?:[\w.-]+/)*)\1(?:#([\w-]+))?\)")
HEADING = re.compile(r"^#+ (.+?)(?: *\{ *#([\w-]+) *\})?$", re.MULTILINE)


def version() -> str:
    """The version of the package, read without importing it."""
    text = (ROOT / "langchain_easyllm" / "_version.py").read_text(encoding="utf-8")
    return re.findall(r'__version__ = "(.+)"', text)[0]


def pages_of(nav: list[Any]) -> Iterator[tuple[str, str, str]]:
    """The section at the top, the title and the file of each page of the navigation."""
    for entry in nav:
        [(title, inside)] = entry.items()
        for name, file in [(title, inside)] if isinstance(inside, str) else _flat(inside):
            yield title, name, file


def _flat(nav: list[Any]) -> Iterator[tuple[str, str]]:
    for entry in nav:
        [(title, inside)] = entry.items()
        if isinstance(inside, str):
            yield title, inside
        else:
            yield from _flat(inside)


def to_write() -> set[str]:
    """The pages that the navigation names and that are not written yet."""
    return set(TO_WRITE.read_text(encoding="utf-8").split())


def _existing(nav: list[Any], missing: set[str]) -> list[Any]:
    found = []
    for entry in nav:
        [(title, inside)] = entry.items()
        if isinstance(inside, str):
            if inside not in missing or (DOCS / inside).exists():
                found.append(entry)
        elif kept := _existing(inside, missing):
            found.append({title: kept})
    return found


def without_missing(markdown: str, page: str) -> str:
    """Write links to pages that are not written yet as their text."""
    missing = {name for name in to_write() if not (DOCS / name).exists()}
    folder = posixpath.dirname(page)

    def text(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[2]))
        return link[1] if target in missing else link[0]

    return re.sub(r"\[([^\]]+)\]\(([\w./-]+\.md)(?:#[\w-]+)?\)", text, markdown)


def on_config(config: Any) -> Any:
    """Name the version, and leave out pages that are not written yet."""
    if not config.site_name.endswith(version()):  # each language is a build of the same settings
        config.site_name = f"{config.site_name} {version()}"
    config.nav = _existing(config.nav, to_write())
    return config


def to_repository(markdown: str, page: str) -> str:
    """Let links that leave `docs/` lead to the repository."""

    def target(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link[2]))
        return link[0] if path.startswith("docs/") else link[1] + REPOSITORY + path

    return LINK.sub(target, markdown)


def named(markdown: str, page: str) -> str:
    """Write the title of a page, or of a part of it, where the source writes its file."""
    language = "ko" if page.endswith(".ko.md") else "en"

    def title(link: re.Match[str]) -> str:
        file = posixpath.normpath(posixpath.join(posixpath.dirname(page), link[2], link[1]))
        headings = HEADING.findall(source(file, language).read_text(encoding="utf-8"))
        [found, *_] = [text for text, own in headings if link[3] in (None, own or _slug(text))]
        return link[0].replace(link[1], found if link[3] else found.partition(":")[0], 1)

    return FILE_LINK.sub(title, markdown)


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def included(markdown: str) -> str:
    """Put a file of the repository where a page includes it, with links that lead on."""

    def text(line: re.Match[str]) -> str:
        whole = (ROOT / line[1]).read_text(encoding="utf-8")
        return re.sub(r"\]\((?!https?:|#)(?:docs/)?", lambda m: _inside(m[0]), whole)

    return INCLUDE.sub(text, markdown)


def _inside(link: str) -> str:
    return "](" if link.endswith("docs/") else "](../"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Prepare a page for the site."""
    file = page.file.src_uri
    text = without_missing(to_repository(COMMENT.sub("\n", included(markdown)), file), file)
    return named(text, file)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Mend what the theme makes of two languages.

    It looks for a sitemap beside every page that `rel=alternate` names, where there is none; search
    engines find the languages in the sitemap itself. It looks for the search index at `base`.
    """
    output = ALTERNATE.sub("", output)
    return BASE.sub(r'\1/ko/"', output, count=1) if page.url.startswith("ko/") else output


@event_priority(-200)
def on_post_build(config: Any) -> None:
    """Write what is beside the pages, once the i18n plugin has built every language."""
    if config.plugins["i18n"].building:
        return
    site = Path(config.site_dir)
    split_search_index(site)
    nav = list(pages_of(config.nav))
    for language, prefix in LANGUAGES.items():
        write_for_models(site, config.site_url, nav, language, prefix)


def split_search_index(site: Path) -> None:
    """Give the Korean pages an index of their own, and take them out of the other."""
    file = site / "search" / "search_index.json"
    index = json.loads(file.read_text(encoding="utf-8"))
    korean = [doc for doc in index["docs"] if doc["location"].startswith("ko/")]
    english = [doc for doc in index["docs"] if not doc["location"].startswith("ko/")]
    file.write_text(
        json.dumps({**index, "config": {**index["config"], "lang": ["en"]}, "docs": english}),
        encoding="utf-8",
    )
    own = site / "ko" / "search" / "search_index.json"
    own.parent.mkdir(exist_ok=True)
    docs = [{**doc, "location": doc["location"].removeprefix("ko/")} for doc in korean]
    own.write_text(json.dumps({**index, "docs": docs}, ensure_ascii=False), encoding="utf-8")


def source(page: str, language: str) -> Path:
    """The file of a page in a language, or in English where it is not translated."""
    own = DOCS / page.replace(".md", f".{language}.md")
    return own if own.exists() else DOCS / page


def write_for_models(
    site: Path, url: str, nav: list[tuple[str, str, str]], language: str, prefix: str
) -> None:
    """Write `llms.txt` (the list of pages), `llms-full.txt` (their text) and each page's text."""
    intro = source("index.md", language).read_text(encoding="utf-8")
    summary = next(
        line for line in COMMENT.sub("", intro).splitlines() if line and line[0] not in "#<![|`-"
    )
    short, full, section = [f"# langchain-easyllm {version()}", "", f"> {summary}"], [], ""
    for top, title, page in nav:
        if top != section:
            short += ["", f"## {top}", ""]
            section = top
        if page.startswith("api/"):
            address = page.removesuffix("index.md").removesuffix(".md")
            short.append(f"- [{title}]({url}{prefix}{address})")
            continue
        short.append(f"- [{title}]({url}{prefix}{page})")
        text = source(page, language).read_text(encoding="utf-8")
        text = to_repository(COMMENT.sub("", included(text)), page)
        copy = site / prefix / page
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")
        full.append(text.strip())
    folder = site / prefix
    (folder / "llms.txt").write_text("\n".join(short) + "\n", encoding="utf-8")
    (folder / "llms-full.txt").write_text("\n\n---\n\n".join(full) + "\n", encoding="utf-8")


def on_shutdown() -> None:
    """Leave no cache of the build in the checkout."""
    shutil.rmtree(ROOT / ".cache" / "plugin", ignore_errors=True)
