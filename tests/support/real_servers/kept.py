"""Where things are kept that take long to make: outside the checkout, for the next one too."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

__all__ = ["kept", "llama_server", "pinned", "why_left_out"]

ROOT = Path(__file__).parents[3]


def kept() -> Path:
    """The directory of what is kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "langchain-easyllm"


def pinned(package: str) -> str:
    """The version of a package that the dependency groups of this project pin.

    Raises:
        LookupError: None of them does.
    """
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    for requirement in (one for group in groups.values() for one in group):
        if not isinstance(requirement, str):  # a group that another one includes
            continue
        found = re.match(r"([\w.-]+)(?:\[[^]]*])?==([\w.]+)", requirement)
        if found and found[1] == package:
            return found[2]
    raise LookupError(f"No dependency group pins {package}.")


def llama_server() -> Path:
    """llama.cpp's server program, of the version in the pinned llama-cpp-python, once built."""
    return kept() / f"llama-server-{pinned('llama-cpp-python')}"


def why_left_out(thing: Path) -> Path:
    """The file that says why something could not be made or installed."""
    return thing.with_name(thing.name + ".left-out")
