"""Check an exported folder: checksums, transformers' reading of it, and plain numpy's speed.

python training/check_export.py training/checkpoint
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pathlib
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

Array = NDArray[np.float32]
PROMPT = "<|user|>\nWhat is the capital of France?</s>\n<|assistant|>\n"


class NumpyLlama:
    """The network in plain numpy with a key-value cache, float32."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.config = json.loads((folder / "config.json").read_text())
        stored = load_file(folder / "model.safetensors")
        self.weights = {name: value.astype(np.float32) for name, value in stored.items()}
        self.heads = self.config["num_attention_heads"]
        self.size = self.config["hidden_size"] // self.heads
        half = np.arange(0, self.size, 2) / self.size
        place = np.arange(self.config["max_position_embeddings"])
        angle = np.outer(place, self.config["rope_theta"] ** -half).astype(np.float32)
        self.cos, self.sin = np.cos(angle), np.sin(angle)
        self.cache: list[tuple[Array, Array] | None] = [None] * self.config["num_hidden_layers"]

    def _norm(self, x: Array, name: str) -> Array:
        scale = np.sqrt((x * x).mean(-1, keepdims=True) + self.config["rms_norm_eps"])
        return x / scale * self.weights[name]

    def _rotate(self, x: Array, start: int) -> Array:
        cos, sin = (table[start : start + x.shape[1]] for table in (self.cos, self.sin))
        first, second = np.split(x, 2, -1)
        return np.concatenate((first * cos - second * sin, second * cos + first * sin), -1)

    def _attend(self, x: Array, layer: int) -> Array:
        def project(letter: str) -> Array:
            y = x @ self.weights[f"model.layers.{layer}.self_attn.{letter}_proj.weight"].T
            return y.reshape(len(x), self.heads, self.size).swapaxes(0, 1)

        past = self.cache[layer]
        start = 0 if past is None else past[0].shape[1]
        q, k, v = self._rotate(project("q"), start), self._rotate(project("k"), start), project("v")
        if past is not None:
            k, v = np.concatenate((past[0], k), 1), np.concatenate((past[1], v), 1)
        self.cache[layer] = (k, v)
        scores = q @ k.swapaxes(1, 2) / np.float32(self.size**0.5)
        if len(x) > 1:
            scores += np.triu(np.full(scores.shape[1:], -np.inf, np.float32), 1 + start)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        y = (scores / scores.sum(-1, keepdims=True)) @ v
        y = y.swapaxes(0, 1).reshape(len(x), -1)
        return y @ self.weights[f"model.layers.{layer}.self_attn.o_proj.weight"].T

    def logits(self, ids: list[int]) -> Array:
        """Give the logits after the last of `ids`, which follow what is in the cache."""
        x = self.weights["model.embed_tokens.weight"][ids]
        for layer in range(len(self.cache)):
            base = f"model.layers.{layer}."
            x = x + self._attend(self._norm(x, base + "input_layernorm.weight"), layer)
            y = self._norm(x, base + "post_attention_layernorm.weight")
            gate = y @ self.weights[base + "mlp.gate_proj.weight"].T
            up = y @ self.weights[base + "mlp.up_proj.weight"].T
            x = (
                x
                + (gate / (1 + np.exp(-gate)) * up) @ self.weights[base + "mlp.down_proj.weight"].T
            )
        last = self._norm(x[-1:], "model.norm.weight")
        return (last @ self.weights["model.embed_tokens.weight"].T)[0]


def compare(folder: pathlib.Path, ids: list[int], ours: Array) -> float:
    """Give the largest difference of our logits from transformers' (both in float32)."""
    import torch
    from transformers import LlamaForCausalLM

    theirs = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        return float(np.abs(theirs(torch.tensor([ids])).logits[0, -1].numpy() - ours).max())


def main() -> None:
    """Check the folder named on the command line; exit with an error where a check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        wanted, name = line.split("  ")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != wanted:
            sys.exit(f"{name}: checksum differs")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = tokenizer.encode(PROMPT).ids
    model = NumpyLlama(folder)
    logits = model.logits(ids)
    gap = compare(folder, ids, logits)
    print(f"parameters: {sum(value.size for value in model.weights.values()):,}")
    print(f"largest difference from transformers' logits: {gap:.5f}")
    if gap > 1e-2:
        sys.exit("transformers reads another model")
    told: list[int] = []
    start = time.perf_counter()
    while len(told) < 200:
        told.append(int(logits.argmax()))
        logits = model.logits(told[-1:])
    print(f"numpy, one thread: {200 / (time.perf_counter() - start):.0f} tokens/s")
    ends = [told.index(end) for end in (2, 3, 4) if end in told]
    print(f"answer: {tokenizer.decode(told[: min(ends, default=200)])!r}")


if __name__ == "__main__":
    main()
