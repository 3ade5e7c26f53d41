"""Search in a text whose lines are short entries, ranked by BM25."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

__all__ = ["Index"]

# The usual constants of Okapi BM25: how fast repetition saturates, how much length counts.
K1, B = 1.5, 0.75
COVERED = 0.4
"""The part of a query, by the weight of its words, that an entry must have."""
SAME = {
    "출생지": "태어났다",
    "집": "산다",
    "설립": "설립했다",
    "설립자": "설립했다",
    "발명자": "발명했다",
}
"""Nouns that are asked for, and the verbs that entries have instead."""
ANYWHERE = ("에게서", "에서", "에게", "으로", "이다", "의", "에", "로")
AFTER_CONSONANT, AFTER_VOWEL = ("은", "이", "을", "과"), ("는", "가", "를", "와")
"""Particles: Korean writes them at the end of a noun, without a space."""
STOP_WORDS = {"a", "an", "and", "at", "by", "in", "is", "it", "its", "of", "on", "the", "to", "was"}


class Index:
    """The entries of a text, searchable.

    The ranking is Okapi BM25 (Robertson and Zaragoza, 2009). An entry has to cover a good part of
    what the query says, by weight, so that a question about something else finds nothing.

    Args:
        entries: The entries; empty ones are left out.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self.entries = [entry.strip() for entry in entries if entry.strip()]
        self._counts = [Counter(words(entry)) for entry in self.entries]
        self._found_in = Counter(word for counts in self._counts for word in counts)
        self._mean = sum(map(Counter.total, self._counts)) / max(1, len(self._counts))

    def search(self, query: str, count: int = 1) -> list[str]:
        """Return the `count` best entries, best first; fewer where fewer fit."""
        asked = set(words(query))
        whole = sum(map(self._weight, asked))
        fitting = [
            (self._score(counts, asked), -place)
            for place, counts in enumerate(self._counts)
            if sum(map(self._weight, asked & counts.keys())) >= COVERED * whole > 0
        ]
        return [self.entries[-place] for _, place in sorted(fitting, reverse=True)[:count]]

    def _weight(self, word: str) -> float:
        """Return the inverse document frequency: the rarer a word, the more it says."""
        found = self._found_in[word]
        return math.log(1 + (len(self.entries) - found + 0.5) / (found + 0.5))

    def _score(self, counts: Counter[str], asked: set[str]) -> float:
        length = 1 - B + B * counts.total() / self._mean
        return sum(
            self._weight(word) * counts[word] * (K1 + 1) / (counts[word] + K1 * length)
            for word in asked
        )


def words(text: str) -> list[str]:
    """Split a text into the words that say something: small letters, no 's, no Korean particles."""
    found = re.findall(r"\w+", re.sub(r"['’]s\b", "", text.lower()))
    stems = (_stem(word) for word in found if word not in STOP_WORDS)
    return [SAME.get(stem, stem) for stem in stems]


def _stem(word: str) -> str:
    """Cut the particles off a word, so that a name is one word whatever it is in a sentence."""
    for particle in (*ANYWHERE, *AFTER_CONSONANT, *AFTER_VOWEL):
        stem = word.removesuffix(particle)
        if stem not in {"", word} and _may_follow(particle, stem[-1]):
            return _stem(stem)
    return word


def _may_follow(particle: str, letter: str) -> bool:
    """Tell whether a particle may come after a letter. That of other scripts may be read anyhow."""
    if particle in ANYWHERE or not "가" <= letter <= "힣":
        return True
    closed = (ord(letter) - ord("가")) % 28 != 0  # the syllable ends with a consonant
    return closed == (particle in AFTER_CONSONANT)
