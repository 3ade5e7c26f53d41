"""A prompt's tokens as the sum of its pieces', between the special tokens that turns begin with.

A tokenizer cuts a text at its special tokens before anything else: the tokens of a piece do not
depend on those around it, but for white space beside a special token that takes it in. Pieces are
learnt where a server names the tokens of a prompt, and every special token is one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from .._servers.capabilities import TokenCounts

_SPECIAL = re.compile(
    r"(<\|[^|<>\s]{1,40}\|>|<｜[^｜<>\s]{1,40}｜>|</?(?:s|bos|eos|start_of_turn|end_of_turn)>)"
)

Key = Callable[[str, str, str], bytes]
"""From the special token before a piece, the piece and the one after it, to where its count is."""


def count_pieces(text: str, counts: TokenCounts, key: Key) -> int | None:
    """Return the tokens of a prompt whose pieces are all known; None for any other."""
    keys = [key(*piece) for piece in _pieces(text)]
    if len(keys) < 2:
        return None
    total = len(keys) - 1  # the special tokens themselves
    for each in keys:
        count = counts.get(each)
        if count is None:
            return None
        total += count
    return total


def learn_pieces(text: str, tokens: Sequence[str], counts: TokenCounts, key: Key) -> None:
    """Note the tokens of a prompt's pieces.

    Args:
        text: The prompt.
        tokens: The text or the name of each of its tokens.
        counts: Where they are noted.
        key: Where each of them is noted.
    """
    special = _SPECIAL.split(text)[1::2]
    marks = [n for n, token in enumerate(tokens) if _SPECIAL.fullmatch(token.strip())]
    if len(marks) == len(special) + 1 and marks[0] == 0:
        del marks[0]  # the tokenizer began with one of its own
    named = [tokens[mark].strip() for mark in marks]
    if not special or named != special or not tokens[-1]:
        return  # or ended with one
    places = [-1, *marks, len(tokens)]
    for piece, (start, end) in zip(_pieces(text), pairwise(places), strict=True):
        counts.put(key(*piece), end - start - 1)


def _pieces(text: str) -> list[tuple[str, str, str]]:
    """Return the pieces of a prompt, each with the special tokens beside it as far as they count.

    What follows counts only for white space that it may take in.
    """
    parts = _SPECIAL.split(text)
    specials = ["", *parts[1::2], ""]
    found = zip(specials, parts[::2], specials[1:], strict=False)
    return [(left, part, right if part[-1:].isspace() else "") for left, part, right in found]
