"""Names in scripts that the model cannot read, which it has to copy all the same."""

from __future__ import annotations

import random

# Scripts: the first and last letter, and marks that may follow a letter.
SCRIPTS: dict[str, tuple[int, int, str]] = {
    "han": (0x4E00, 0x9FA5, ""),
    "hiragana": (0x3041, 0x3096, ""),
    "katakana": (0x30A1, 0x30FA, "ー"),
    "cyrillic": (0x0430, 0x044F, ""),
    "greek": (0x03B1, 0x03C9, ""),
    "devanagari": (0x0905, 0x0939, "ािीुूेैोौ्ं"),
    "thai": (0x0E01, 0x0E2E, "ัิีึืุู็่้์"),
    "arabic": (0x0621, 0x064A, ""),
    "hebrew": (0x05D0, 0x05EA, ""),
    "hangul": (0xAC00, 0xD7A3, ""),
    "latin": (0x00E0, 0x00FE, ""),
}
# Scripts that stand in one word.
MIXED = (("hiragana", "han"), ("katakana", "han"), ("han", "hiragana"), ("hangul", "latin"))


def _letters(rng: random.Random, script: str) -> str:
    first, last, marks = SCRIPTS[script]
    text = ""
    for _ in range(rng.randint(2, 6)):
        text += chr(rng.randint(first, last))
        if marks and rng.random() < 0.4:
            text += rng.choice(marks)
    return text.capitalize() if rng.random() < 0.3 else text


def foreign(rng: random.Random) -> str:
    """Give a name of one or two words in some script, at times in two scripts."""
    if rng.random() < 0.2:
        return "".join(_letters(rng, script) for script in rng.choice(MIXED))
    script = rng.choice(list(SCRIPTS))
    return " ".join(_letters(rng, script) for _ in range(rng.choice((1, 1, 1, 2))))
