"""Reads the examples of the documentation, and runs them.

The blocks of a page run in order in one namespace, as a notebook's cells do. Comments in the page
say how; none of them is displayed:

- `<!-- servers: 8080=tgi 8081=tei -->` names what runs behind `http://localhost:8080`, ...; see
  `documentation_servers.py` for the kinds. Without it, there is `8080=tgi`.
- `<!-- each block alone -->`: every block runs in a process and a namespace of its own.
- `<!-- not run: reason -->` right before a block exempts it.

A `text` block right after a `python` block is exactly what that block prints; a line `...` stands
for any lines, `...` in a line for anything, and a number of seconds, milliseconds or bytes for any.
"""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from textwrap import dedent
from typing import cast

__all__ = ["Block", "Page", "code_blocks", "matches", "read_page", "run", "run_block"]


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    code: str
    line: int
    """The line of the page that its code begins at."""
    not_run: str | None = None
    """Why it is not run."""
    output: str | None = None
    """What it prints, where the page says so."""


@dataclass(frozen=True)
class Page:
    """What a page says about its blocks."""

    blocks: tuple[Block, ...]
    servers: Mapping[str, str]
    """What answers at each port of localhost, or at each URL."""
    alone: bool

    def python(self) -> list[Block]:
        """The blocks of Python, those that are not run among them."""
        return [block for block in self.blocks if block.language == "python"]


_FENCE = re.compile(r"^( *)(`{3,})(\w*)[^\n`]*\n(.*?)^\1\2[ ]*$", re.DOTALL | re.MULTILINE)
_NOT_RUN = re.compile(r"<!-- not run:\s*(.+?)\s*-->\s*\Z", re.DOTALL)
_SERVERS = re.compile(r"<!-- servers:(.*?)-->", re.DOTALL)
_SERVER = re.compile(r'(https?://[^\s=]+|\d+)=((?:"[^"]*"|[^\s"])+)|(\bhub\b)')


def read_page(text: str) -> Page:
    """Find the fenced blocks of a page, and what its comments say about them.

    Raises:
        ValueError: If the comment on the servers cannot be read.
    """
    found: list[Block] = []
    end = 0
    for fence in _FENCE.finditer(text):
        between, end = text[end : fence.start()], fence.end()
        reason = _NOT_RUN.search(between)
        block = Block(
            language=fence[3],
            code=dedent(fence[4]),
            line=text.count("\n", 0, fence.start(4)) + 1,
            not_run=None if reason is None else reason[1],
        )
        if block.language == "text" and found and not between.strip():
            last = found[-1]
            if last.language == "python":
                found[-1] = Block(last.language, last.code, last.line, last.not_run, block.code)
        found.append(block)
    return Page(tuple(found), _servers(text), "<!-- each block alone -->" in text)


def _servers(text: str) -> dict[str, str]:
    servers: dict[str, str] = {}
    for comment in _SERVERS.findall(text):
        if _SERVER.sub("", comment).strip():
            raise ValueError(f"The servers {comment!r} are not all PORT=KIND or URL=KIND.")
        for at, kind, hub in _SERVER.findall(comment):
            servers[at or "https://router.huggingface.co"] = kind or hub
    return servers or {"8080": "tgi"}


def code_blocks(language: str, text: str) -> list[str]:
    """List the fenced blocks of a language, without the indentation of a docstring."""
    return [block.code for block in read_page(text).blocks if block.language == language]


_MEASURED = re.compile(r"\.\.\.|\b\d+(?:\\\.\d+)?(?=\\ (?:ms|s|bytes)\b)")


def matches(shown: str, printed: str) -> bool:
    """Whether this is what a page shows: see the head of this module."""

    def pattern(line: str) -> str:
        if line.strip() == "...":
            return r"(?:.*\n)*?"
        dots = re.escape(line.rstrip()).replace(r"\.\.\.", "...")
        return _MEASURED.sub(lambda m: ".*" if m[0] == "..." else r"\d+(?:\.\d+)?", dots) + r"\n"

    lines = "".join(line.rstrip() + "\n" for line in printed.rstrip().splitlines())
    return re.fullmatch("".join(map(pattern, shown.rstrip().splitlines())), lines) is not None


def run_block(code: str, names: dict[str, object], file: str = "<example>", line: int = 1) -> None:
    """Run a block in a namespace; `await` may stand outside of functions."""
    tree = cast(
        "ast.Module",
        compile(code, file, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT),
    )
    ast.increment_lineno(tree, line - 1)
    compiled = compile(tree, file, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    coroutine = eval(compiled, names)
    if coroutine is not None:
        asyncio.run(coroutine)


def run(
    blocks: Iterable[str], urls: Mapping[str, str], names: dict[str, object] | None = None
) -> dict[str, object]:
    """Run blocks one after the other, as a notebook does, and return the names that they define.

    Args:
        blocks: The blocks; `await` may stand outside of functions.
        urls: The server to use in place of each that the documentation names.
        names: Names that are defined already.
    """
    names = {} if names is None else names
    for block in blocks:
        for shown, used in urls.items():
            block = block.replace(shown, used)
        run_block(block, names)
    return names
