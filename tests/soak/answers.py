"""What the server answers to a request and what goes wrong with it, both from the request's id.

The client knows both beforehand, so that a wrong, mixed up or short answer is seen.
"""

from __future__ import annotations

import re
import struct
from hashlib import blake2b
from random import Random

__all__ = [
    "DIM",
    "FAULTS",
    "ID",
    "LARGE",
    "PLAIN",
    "SMUGGLED",
    "fault_of",
    "tokens_of",
    "vector_of",
]

ID = re.compile(rb"q-[0-9a-f]{16}")
"""An id in a request: that of its prompt, or of one text that is embedded."""

PLAIN = "q-0000000000000000"
"""The id of a prompt that is always answered as it should be."""

DIM = 4

LARGE = 256 * 1024
"""Bytes of a request that is refused with 413 before it has been read."""

SMUGGLED = "q-smuggled"
"""What stands in the answer that nobody asked for."""

FAULTS = {
    "none": 38,
    "slow": 6,
    "closed after the answer": 4,
    "cut": 10,
    "reset": 5,
    "stalled": 3,
    "429": 5,
    "503": 5,
    "page": 2,
    "garbage": 5,
    "broken framing": 4,
    "error in the answer": 3,
    "ends unfinished": 4,
    "bytes behind the end": 6,
}
"""How often each fault is met, in parts of their sum."""


def _random(*parts: object) -> Random:
    return Random(repr(parts))


def fault_of(ident: str, attempt: int) -> str:
    """What happens to the answer to an attempt, 0 for the first."""
    if ident == PLAIN:
        return "none"
    return _random(ident, attempt).choices([*FAULTS], [*FAULTS.values()])[0]


def tokens_of(ident: str) -> list[str]:
    """The tokens of the answer to a prompt: its id, then words that follow from it."""
    size = 1 + _random(ident).randrange(60)
    words = (blake2b(f"{ident}{n}".encode(), digest_size=3).hexdigest() for n in range(size))
    return [ident, *(" " + word for word in words)]


def vector_of(text: str) -> list[float]:
    """The vector of a text: numbers that float32 holds exactly."""
    digest = blake2b(text.encode(), digest_size=2 * DIM).digest()
    return [number / 4096 for number in struct.unpack(f"<{DIM}h", digest)]
