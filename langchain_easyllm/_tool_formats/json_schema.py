"""Reading a JSON schema: of a tool's arguments, or of an answer."""

from __future__ import annotations

from collections.abc import Mapping

DEFINITIONS = ("$defs", "definitions")


def as_mapping(value: object) -> Mapping[str, object]:
    """Return a mapping as it is, and an empty one in place of anything else."""
    return value if isinstance(value, Mapping) else {}


def resolve_ref(ref: str, root: Mapping[str, object]) -> object:
    """Return what a `$ref` inside a schema refers to; None if it is not in there."""
    found: object = root
    for part in filter(None, ref.removeprefix("#").split("/")):
        name = part.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
