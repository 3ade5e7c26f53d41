"""Make a cross-encoder of a sentence-transformers model, with a head of random weights.

    python make_reranker.py MODEL DIRECTORY

Its order means nothing, but it is a real one, and every program that loads it must give the same.
It runs in an interpreter with torch and transformers, and needs no network.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def main(model: str, directory: str) -> None:
    """Write the model into the directory, which is complete as soon as it exists."""
    torch.manual_seed(5)
    target = Path(directory)
    unfinished = target.with_name(target.name + ".unfinished")
    made = AutoModelForSequenceClassification.from_pretrained(
        model, num_labels=1, local_files_only=True, dtype=torch.float32
    )
    with torch.no_grad():  # far enough from zero that the scores differ
        made.classifier.weight.normal_(std=1.0)
        made.bert.pooler.dense.weight.normal_(std=0.1)
    made.save_pretrained(unfinished)
    AutoTokenizer.from_pretrained(model, local_files_only=True).save_pretrained(unfinished)
    unfinished.rename(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
