"""What this package and its peers do when something goes wrong: `python -m benchmarks.peers`.

Every cell of the table comes from a run against a server that misbehaves in one way. `--write` puts
the table into the documentation.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import os
import re
import warnings
from functools import partial
from pathlib import Path

from .peer_cases import CASES, attempt
from .peer_clients import CLIENTS

DOCS = Path(__file__).parents[1] / "docs"
BESIDE = ("langchain-core", "huggingface_hub", "openai")
START, END = "<!-- table: peers -->", "<!-- end of table -->"


def versions() -> str:
    """Name the versions of what runs."""
    names = [client.name for client in CLIENTS[1:]] + list(BESIDE)
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def results() -> list[list[str]]:
    """Run every case on every client."""
    return [[attempt(partial(case.run, client)) for client in CLIENTS] for case in CASES]


def table(cells: list[list[str]]) -> str:
    """Return the Markdown table."""
    head = ["case", *(client.name for client in CLIENTS)]
    rows = [[case.title, *row] for case, row in zip(CASES, cells, strict=True)]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(page: Path, text: str) -> None:
    """Replace the page's table."""
    pattern = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
    old = page.read_text(encoding="utf-8")
    new, count = pattern.subn(lambda _: f"{START}\n{text}\n{END}", old)
    if count != 1:
        raise SystemExit(f"{page} has no place for the table")
    page.write_text(new, encoding="utf-8")


def main() -> None:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table into docs/peers.md")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    os.environ |= {"NO_PROXY": "127.0.0.1", "LANGSMITH_TRACING": "false"}
    text = f"{table(results())}\n\nVersions: {versions()}."
    if options.write:
        for page in ("peers.md", "peers.ko.md"):
            write(DOCS / page, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
