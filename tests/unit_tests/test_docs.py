"""The documentation says what the code does; `tests/docs_tests` runs its examples."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from langchain_easyllm import huggingface
from langchain_easyllm.offline import Faults

from ..support.cases import each_case
from ..tables import TABLES, updated

ROOT = Path(__file__).parents[2]


# `tests/docs_tests` has that of the faults, which has to try each of them.
@pytest.mark.parametrize("page", sorted(TABLES.keys() - {"faults.md"}))
def test_the_tables_of_servers_are_the_codes(page):
    assert updated(page) == (ROOT / "docs" / page).read_text(encoding="utf-8"), "run: make tables"


OFFLINE = (ROOT / "docs" / "offline.md").read_text(encoding="utf-8")


def test_the_offline_servers_faults_are_the_codes():
    documented = re.findall(r"^\| `(\w+)` \| `?\"?(\w+)\"?`? \|", OFFLINE, flags=re.MULTILINE)
    defaults = {fault.name: fault.default for fault in dataclasses.fields(Faults)}
    assert [name for name, _ in documented] == [*defaults]
    for name, default in documented:
        assert str(defaults[name]).removesuffix(".0") == default


def test_the_page_of_fields_names_every_field():
    from langchain_easyllm import EasyLLM, EasyLLMChat

    inherited = {"name", "cache", "verbose", "callbacks", "tags", "metadata", "profile"}
    inherited |= {"custom_get_token_ids", "disable_streaming", "output_version", "rate_limiter"}
    own = (EasyLLMChat.model_fields.keys() | EasyLLM.model_fields.keys()) - inherited
    page = (ROOT / "docs" / "fields.md").read_text("utf-8")
    assert {name for name in own if f"`{name}`" not in page.split("## Field names")[0]} == set()


FOLDERS = (
    "benchmarks",
    "demo",
    "notebooks",
    "training",
)  # `tests/docs_tests` has the links of docs/
PAGES = [*ROOT.glob("*.md"), *(page for name in FOLDERS for page in ROOT.glob(f"{name}/*.md"))]
PAGES += ROOT.glob("notebooks/*.ipynb")


@each_case("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert link.startswith("http") or (page.parent / link).exists(), link


def test_the_map_has_every_folder_with_the_sentence_of_its_package():
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)/` \| (.+) \|$", page, re.MULTILINE))
    package = Path(huggingface.__file__).parents[1]
    sentences = {
        path.parent.name: " ".join(path.read_text("utf-8").split('"""')[1].split("\n\n")[0].split())
        for path in package.glob("*/__init__.py")
    }
    assert rows == sentences
