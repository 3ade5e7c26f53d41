"""The texts that are looked for: people and places that nobody knows, and some bread."""

from __future__ import annotations

from langchain_core.documents import Document

__all__ = ["DOCUMENTS", "SAME", "TEXTS"]

TEXTS = [
    "Bread is made from flour, water, salt and yeast.",
    "Bread is made of flour, water, yeast and a little salt.",
    "To make bread, take flour, water, salt and yeast.",
    "Bread keeps fresh for two days in a wooden box.",
    "Bakers get up at three in the morning.",
    "A loaf of rye bread is heavier than one of wheat.",
    "The night train to Vienna leaves at ten.",
    "A cat was asleep on the sofa.",
    "The river is high in spring, when the snow melts.",
    "The population of Elmwood is 8716. Elmwood is known for its apples.",
    "The mayor of Elmwood is Colin West.",
    "The mayor of Westbury is Sofia Reyes.",
    "Sofia Reyes (age 49) is a teacher. Sofia Reyes was born in Westbury.",
    "Colin West (age 55) is a farmer.",
    "Colin West's wife is Mira Ziegler.",
    "Mira Ziegler (age 53) is a nurse.",
    "Greta Larsen's sister is Ida Lowell.",
    "Ida Lowell (age 58) is a poet. Ida Lowell lives in Elmwood.",
    "Ida Lowell's friend is Karim Singh.",
    "Karim Singh (age 29) is a baker. Karim Singh lives in Stonebridge.",
    "Karim Singh's boss is Linda Berg.",
    "Linda Berg (age 44) is the head of Tilda Foods.",
    "Linda Berg's son is Emil Turner.",
]
DOCUMENTS = [Document(text, metadata={"place": place}) for place, text in enumerate(TEXTS)]

SAME = {0, 1, 2}
"""Places of texts that say one thing in other words."""
