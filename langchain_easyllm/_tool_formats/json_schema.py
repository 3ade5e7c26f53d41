"""Reading a JSON schema: of a tool's arguments, or of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

DEFINITIONS = ("$defs", "definitions")


def as_mapping(value: object) -> Mapping[str, object]:
    """Return a mapping as it is, and an empty one in place of anything else."""
    return value if isinstance(value, Mapping) else {}


def resolve_ref(ref: str, root: Mapping[str, object]) -> object:
    """Return what a `$ref` inside a schema refers to by its path; None if it is not in there."""
    found: object = root
    pointer = unquote(ref.removeprefix("#"))
    for part in pointer.removeprefix("/").split("/") if pointer else ():
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            number = int(name) if name.isdecimal() and len(name) < 10 else len(found)
            found = found[number] if number < len(found) else None
        else:
            found = found.get(name) if isinstance(found, Mapping) else None
    return found
