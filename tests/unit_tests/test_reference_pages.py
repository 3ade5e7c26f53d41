"""The pages of errors, environment variables and servers are complete."""

from __future__ import annotations

import re
from pathlib import Path

import huggingface_hub
import pytest

import langchain_easyllm

from ..support.documentation import read_page
from ..support.text_servers import TEXT_SERVERS
from ..tables import ERRORS, SERVER_PAGES

DOCS = Path(__file__).parents[2] / "docs"
PACKAGE = Path(langchain_easyllm.__file__).parent
HUB = (Path(huggingface_hub.__file__).parent / "constants.py").read_text("utf-8")


def headings(page: str, level: int) -> list[str]:
    text = (DOCS / page).read_text("utf-8")
    return re.findall(rf"^{'#' * level} (.+)$", text, re.MULTILINE)


def test_every_error_has_its_section_in_the_order_of_the_alphabet() -> None:
    assert headings("errors.md", 3) == sorted(ERRORS)


def environment_sections() -> dict[str, set[str]]:
    """The variables of each section's table in the page of environment variables."""
    text = (DOCS / "environment.md").read_text("utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return {
        section.partition("\n")[0]: {
            name
            for row in re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
            for name in re.findall(r"`(\w+)`", row)
        }
        for section in sections
    }


def test_every_environment_variable_that_the_package_reads_is_documented() -> None:
    sources = [path.read_text("utf-8") for path in PACKAGE.rglob("*.py")]
    readers = [source for source in sources if "environ" in source]
    read = {
        name
        for source in readers
        for name in re.findall(r'environ(?:\.get\(|\[)"([A-Z_]+)"', source)
        + re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"', source)
    }
    assert len(read) > 10
    page = (DOCS / "environment.md").read_text("utf-8")
    assert {name for name in read if f"`{name}`" not in page} == set()
    sections = environment_sections()
    own = sections["The token"] | sections["The server and the prompt"] | sections["Certificates"]
    assert own <= read
    hub = sections["Variables of huggingface_hub"]
    assert "HF_HUB_OFFLINE" in hub
    assert {name for name in hub if f'"{name}"' not in HUB} == set()


def test_every_server_has_a_page() -> None:
    pages = {path.stem for path in (DOCS / "servers").glob("*.md") if "." not in path.stem}
    assert pages == {*SERVER_PAGES}


@pytest.mark.parametrize("page", SERVER_PAGES)
def test_the_page_of_a_server_runs_on_its_double_and_says_what_was_tested(page: str) -> None:
    found = headings(f"servers/{page}.md", 2)
    assert [*dict.fromkeys(found)] == found
    expected = ["Start it", "Use it", "What was tested", "Fields", "Notes and limits"]
    assert found == [one for one in expected if one != "Fields" or page != "inference-endpoints"]
    text = (DOCS / "servers" / f"{page}.md").read_text("utf-8")
    assert re.search(r"^(?:\*\*Not run|Run against the real|A double)", text, re.MULTILINE)
    _, profile = SERVER_PAGES[page]
    if profile is None or not profile.apis:
        return
    [kind] = read_page(text).servers.values()
    name = kind.partition("(")[0].replace("hub", "router")
    assert TEXT_SERVERS[name].profile is profile
