"""Measure the static embeddings: recall by their means, and with the ten best ranked by `score`.

python training/check_embeddings.py

The sets: everyday passages in English (`retrieval_set.py`) and Korean (`retrieval_set_korean.py`),
whose queries avoid the passages' words, in one language and across both; and 300 of the reading
questions, each among the contexts of all of them, where names and what is asked of them decide.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from entities import Entities
from numpy.typing import NDArray
from reading_data import reading
from retrieval_set import PASSAGES
from retrieval_set_korean import PASSAGES as KOREAN
from retrieval_set_korean import SEEN, UNSEEN

from langchain_easyllm.offline.embedding_model import EmbeddingModel

Case = tuple[str, int]
"""A query, and the index of the passage that answers it."""

RecallSet = tuple[str, list[str], list[Case]]
"""A name, the passages and the queries."""


class Model(Protocol):
    """What embeds texts to vectors of length one."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts."""


def cases(rows: Sequence[tuple[str, ...]], first: int = 0, last: int | None = None) -> list[Case]:
    """Give the two queries of each passage, or of those from `first` to `last`."""
    chosen = range(len(rows))[first:last]
    return [(rows[index][which], index) for which in (1, 2) for index in chosen]


def tuning_sets() -> list[RecallSet]:
    """Give the Korean queries that settings may be chosen by."""
    english, korean = ([row[0] for row in rows] for rows in (PASSAGES, KOREAN))
    queries = cases(KOREAN, 0, SEEN)
    return [
        ("English", english, cases(PASSAGES)),
        ("Korean, seen", korean, queries),
        ("Korean to English, seen", english, queries),
        ("English to Korean, seen", korean, cases(PASSAGES, 0, SEEN)),
    ]


def final_sets() -> list[RecallSet]:
    """Give the Korean queries that nothing was chosen by."""
    english, korean = ([row[0] for row in rows] for rows in (PASSAGES, KOREAN))
    queries = cases(KOREAN, SEEN)
    translated = [row[3] for row in UNSEEN]
    return [
        ("Korean, unseen half", korean, queries),
        ("Korean to English, unseen half", english, queries),
        ("English to Korean, unseen half", korean, cases(PASSAGES, SEEN)),
        ("Korean, other subjects", [row[0] for row in UNSEEN], cases(UNSEEN)),
        ("Korean to English, other subjects", translated, cases(UNSEEN)),
    ]


def recall(model: Model, passages: Sequence[str], queries: Sequence[Case], top: int) -> float:
    """Give the share of queries whose passage is among the `top` nearest."""
    nearest = model.embed([query for query, _ in queries]) @ model.embed(passages).T
    order = np.argsort(-nearest, axis=1)[:, :top]
    hits = [wanted in found for (_, wanted), found in zip(queries, order, strict=True)]
    return float(np.mean(hits))


def print_recalls(model: Model, sets: Sequence[RecallSet]) -> None:
    """Print recall@1 and @3 by the means."""
    for name, passages, queries in sets:
        found = [recall(model, passages, queries, top) for top in (1, 3)]
        print(f"{name:34} {len(queries):4} recall@1 {found[0]:.3f}  recall@3 {found[1]:.3f}")


def name_set(count: int = 300) -> RecallSet:
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
    return "reading questions", passages, queries


def print_reranked(model: EmbeddingModel, passages: list[str], queries: Sequence[Case]) -> None:
    """Print recall@1 and @3 with the ten best ranked by `score`, and the mean scores."""
    nearest = model.embed([query for query, _ in queries]) @ model.embed(passages, truncate=True).T
    hits = np.zeros(2)
    right, wrong = [], []
    for (query, wanted), row in zip(queries, nearest, strict=True):
        best = np.argsort(-row)[:10]
        scores = model.score(query, [passages[index] for index in best])
        ranked = best[np.argsort(-scores)]
        hits += [wanted in ranked[:top] for top in (1, 3)]
        for index, score in zip(best, scores, strict=True):
            (right if index == wanted else wrong).append(score)
    first, third = hits / len(queries)
    print(f"{'    reranked':39} recall@1 {first:.3f}  recall@3 {third:.3f}", end="")
    print(f"  score of the right one {np.mean(right):.2f}, of others {np.mean(wrong):.2f}")


def main() -> None:
    """Measure on all sets."""
    model = EmbeddingModel.load()
    for each in (*tuning_sets(), *final_sets(), name_set()):
        print_recalls(model, [each])
        print_reranked(model, *each[1:])


if __name__ == "__main__":
    main()
