"""Measure the static embeddings: recall by their means, and with the ten best ranked by `score`.

python training/check_embeddings.py

Two sets: `retrieval_set.py`, whose queries avoid the passages' words, and 300 of the reading
questions, each among the contexts of all of them, where names and what is asked of them decide.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from entities import Entities
from reading_data import reading
from retrieval_set import PASSAGES

from langchain_easyllm.offline.embedding_model import EmbeddingModel

Case = tuple[str, int]
"""A query, and the index of the passage that answers it."""


def wording_set() -> tuple[list[str], list[Case]]:
    """Give passages on everyday things, and two queries for each in other words."""
    queries = [(row[which], index) for which in (1, 2) for index, row in enumerate(PASSAGES)]
    return [row[0] for row in PASSAGES], queries


def name_set(count: int = 300) -> tuple[list[str], list[Case]]:
    """Give contexts about made-up names, and a question that each of them answers."""
    entities = Entities(random.Random(5), test=True)
    passages: list[str] = []
    queries: list[Case] = []
    while len(passages) < count:
        *_, (_, asked), (_, answer) = reading(entities)
        if "know" in answer or "Context: " not in asked:
            continue
        context, question = asked.split("Context: ")[1].split("\n\nQuestion: ")
        queries.append((question, len(passages)))
        passages.append(context)
    return passages, queries


def recalls(model: EmbeddingModel, passages: list[str], cases: Sequence[Case]) -> None:
    """Print recall@1 and @3, by means and reranked, and the mean scores."""
    nearest = model.embed([query for query, _ in cases]) @ model.embed(passages, truncate=True).T
    hits = np.zeros((2, 2))
    right, wrong = [], []
    for (query, wanted), row in zip(cases, nearest, strict=True):
        best = np.argsort(-row)[:10]
        scores = model.score(query, [passages[index] for index in best])
        ranked = best[np.argsort(-scores)]
        hits += [[wanted in order[:top] for top in (1, 3)] for order in (best, ranked)]
        for index, score in zip(best, scores, strict=True):
            (right if index == wanted else wrong).append(score)
    for name, row in zip(("means", "reranked"), hits / len(cases), strict=True):
        print(f"{name:9} recall@1 {row[0]:.3f}  recall@3 {row[1]:.3f}")
    print(f"score of the right one {np.mean(right):.2f}, of others {np.mean(wrong):.2f}")


def main() -> None:
    """Measure on both sets."""
    model = EmbeddingModel.load()
    for make in (wording_set, name_set):
        print(make.__name__)
        recalls(model, *make())


if __name__ == "__main__":
    main()
