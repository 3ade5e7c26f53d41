"""Every page of the site, in both languages, in a real browser.

Screenshots of some pages are written to `.site-screenshots`, which can be looked at after a run.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from .site import PREFIX, ROOT, SITE, built_pages

SCREENSHOTS = ROOT / ".site-screenshots"
SHOWN = ("", "quickstart/", "chat/", "servers/", "servers/vllm/", "design/", "api/chat_models/")
"""The pages whose screenshots are kept, in both languages where they are there."""
WIDTHS = (390, 1280)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="There is no Chromium here: install it to open the site in a browser."
)


class _Handler(SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        return super().translate_path(path.replace(f"/{PREFIX}", "/", 1))

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The URL of the site's home page."""
    assert built_pages(), "run: make docs"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(SITE))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{PREFIX}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


class Tab:
    """A tab that notes what goes wrong in it."""

    def __init__(self, browser: Browser, site: str, language: str = "en") -> None:
        self.context = browser.new_context(locale=language)
        self.page: Page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._response)
        self.page.on("request", lambda sent: self._request(sent.url, site))

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.faults.append(f"console: {message.text}")

    def _failed(self, sent: Any) -> None:
        if sent.failure != "net::ERR_ABORTED":  # what still loads when the next page is opened
            self.faults.append(f"{sent.failure}: {sent.url}")

    def _response(self, response: Any) -> None:
        if response.status >= 400:
            self.faults.append(f"{response.status}: {response.url}")

    def _request(self, url: str, site: str) -> None:
        if not url.startswith((site, "data:", "blob:")):
            self.faults.append(f"another host: {url}")


IMAGES = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth
  if (document.documentElement.scrollWidth <= width) return []
  return [...document.querySelectorAll("main *")]
    .filter(e => e.getBoundingClientRect().right > width)
    .map(e => e.tagName + ": " + (e.textContent || "").slice(0, 60))
}"""
LAZY = "document.querySelectorAll('img[loading=lazy]').forEach(i => i.loading = 'eager')"


def address(file: Path) -> str:
    return file.relative_to(SITE).as_posix().removesuffix("index.html")


def settled(page: Page) -> list[str]:
    """What is too wide, once the theme has moved what it moves."""
    for _ in range(20):
        found: list[str] = page.evaluate(TOO_WIDE)
        if not found:
            break
        page.wait_for_timeout(100)
    return found


def keep(page: Page, path: str, width: int) -> None:
    plain = path.removeprefix("ko/")
    if plain in SHOWN:
        SCREENSHOTS.mkdir(exist_ok=True)
        name = f"{path.strip('/').replace('/', '_') or 'home'}-{width}.png"
        page.wait_for_timeout(400)  # the theme fades what has moved
        page.screenshot(path=SCREENSHOTS / name)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_each_page_opens_and_fits(browser: Browser, site: str, language: str) -> None:
    tab = Tab(browser, site, language)
    faults: dict[str, Any] = {}
    for file in built_pages():
        path = address(file)
        if path.startswith("ko/") is not (language == "ko"):
            continue
        tab.page.goto(site + path, wait_until="load")
        tab.page.evaluate(LAZY)
        for width in WIDTHS:
            tab.page.set_viewport_size({"width": width, "height": 900})
            if too_wide := settled(tab.page):
                tab.faults.append(f"wider than {width}: {too_wide}")
            keep(tab.page, path, width)
        tab.faults += tab.page.evaluate(IMAGES)
        if tab.page.evaluate("document.documentElement.lang") != language:
            tab.faults.append("another language")
        if tab.faults:
            faults[path or "home"] = tab.faults.copy()
        tab.faults.clear()
    tab.context.close()
    assert faults == {}


def results(tab: Tab, words: str) -> list[str]:
    """Search, and return the addresses of the results."""
    tab.page.locator("[data-md-component=search-query]").click()
    tab.page.keyboard.type(words, delay=20)
    found = tab.page.locator(".md-search-result__item a.md-search-result__link")
    found.first.wait_for(timeout=20_000)
    # In one step: the list changes with each letter that was typed.
    return list(found.evaluate_all("links => links.map(link => link.getAttribute('href'))"))


def test_search_finds_stop(browser: Browser, site: str) -> None:
    tab = Tab(browser, site)
    tab.page.goto(site)
    found = results(tab, "stop")
    tab.page.screenshot(path=SCREENSHOTS / "search-stop.png")
    tab.context.close()
    assert found
    assert not any("/ko/" in link for link in found)
    assert tab.faults == []


def test_search_finds_a_korean_word_by_its_beginning(browser: Browser, site: str) -> None:
    tab = Tab(browser, site, "ko")
    tab.page.goto(site + "ko/")
    found = results(tab, "시퀀")
    tab.page.screenshot(path=SCREENSHOTS / "search-korean.png")
    tab.context.close()
    assert found
    assert all("/ko/" in link for link in found)
    assert tab.faults == []


def test_code_can_be_copied_and_the_scheme_changed(browser: Browser, site: str) -> None:
    tab = Tab(browser, site)
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.page.goto(site + "tools/")
    block = tab.page.locator("div.highlight").first
    block.hover()
    block.locator("button").first.click()
    copied = tab.page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == block.locator("code").inner_text().strip()
    scheme = "document.body.getAttribute('data-md-color-scheme')"
    before = tab.page.evaluate(scheme)
    for _ in range(2):
        tab.page.locator("form[data-md-component=palette] label:visible").click()
    after = tab.page.evaluate(scheme)
    tab.page.screenshot(path=SCREENSHOTS / "dark.png")
    tab.context.close()
    assert {before, after} == {"default", "slate"}
    assert tab.faults == []
