"""Check an exported folder: checksums, transformers' reading of it, and the package's speed.

python training/check_export.py langchain_easyllm/offline/models/chat
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from langchain_easyllm.offline.llama import Llama
from langchain_easyllm.offline.weights import read_tensors, read_verified

PROMPT = "<|user|>\nWhat is the capital of France?</s>\n<|assistant|>\n"


def compare(folder: pathlib.Path, ids: list[int], ours: NDArray[np.float32]) -> float:
    """Give the largest difference of our logits from transformers' (both in float32)."""
    import torch
    from transformers import LlamaForCausalLM

    theirs = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        return float(np.abs(theirs(torch.tensor([ids])).logits[0].numpy() - ours).max())


def main() -> None:
    """Check the folder named on the command line; exit with an error where a check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    files = read_verified(folder)
    tensors = read_tensors(files["model.safetensors"])
    model = Llama(json.loads(files["config.json"]), tensors)
    tokenizer = Tokenizer.from_str(files["tokenizer.json"].decode())
    ids = tokenizer.encode(PROMPT).ids
    cache = model.cache(len(ids) + 200)
    logits = model.logits(model.hidden(ids, cache))
    gap = compare(folder, ids, logits)
    print(f"parameters: {sum(value.size for value in tensors.values()):,}")
    print(f"largest difference from transformers' logits: {gap:.5f}")
    if gap > 1e-2:
        sys.exit("transformers reads another model")
    told: list[int] = []
    start = time.perf_counter()
    while len(told) < 200:
        told.append(int(logits[-1].argmax()))
        logits = model.logits(model.hidden(told[-1:], cache))
    print(f"numpy, one thread: {200 / (time.perf_counter() - start):.0f} tokens/s")
    ends = [told.index(end) for end in (2, 3, 4) if end in told]
    print(f"answer: {tokenizer.decode(told[: min(ends, default=200)])!r}")


if __name__ == "__main__":
    main()
