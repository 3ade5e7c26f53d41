"""The copying curriculum: short tasks that make attention heads look back and repeat."""

from __future__ import annotations

import json
import random

from entities import Entities
from formats import Message


def _item(entities: Entities) -> str:
    rng = entities.rng
    kind = rng.randrange(7)
    if kind == 0:
        return entities.number(9)
    if kind == 1:
        return entities.person()
    if kind == 2:
        return entities.place()
    if kind == 3:
        return str(round(rng.random() * 10 ** rng.randint(0, 4), rng.randint(1, 15)))
    if kind == 4:
        return " ".join(rng.sample(entities.nouns, rng.randint(1, 3)))
    if kind == 5:
        return entities.company()
    return str(rng.randrange(10 ** rng.randint(1, 8)))


def repeat(entities: Entities) -> list[Message]:
    """Repeat a list of names, words and numbers."""
    text = ", ".join(_item(entities) for _ in range(entities.rng.randint(1, 6)))
    ask = entities.rng.choice(
        ["반복하세요: ", "따라 하세요: "] if entities.language == "ko" else ["Repeat: "]
    )
    return [("user", ask + text), ("assistant", text)]


def lookup(entities: Entities) -> list[Message]:
    """Look up some of a few keys, in several notations."""
    rng = entities.rng
    keys = list(
        {
            entities.first() if rng.random() < 0.6 else rng.choice(entities.nouns): 0
            for _ in range(rng.randint(2, 7))
        }
    )
    pairs = {key: _item(entities) for key in keys}
    style = rng.randrange(4)
    if style == 0:
        table = json.dumps(pairs, ensure_ascii=False)
    elif style == 1:
        table = "\n".join(f"{name}: {value}" for name, value in pairs.items())
    elif style == 2:
        table = " ".join(f"{name} is {value}." for name, value in pairs.items())
    else:
        table = ", ".join(f"{name} = {value}" for name, value in pairs.items())
    turns: list[Message] = []
    for key in rng.sample(keys, rng.randint(1, min(4, len(keys)))):
        if rng.random() < 0.3:
            answer = json.dumps({key: pairs[key]}, ensure_ascii=False)
            turns += [("user", f"{key} as JSON"), ("assistant", answer)]
        else:
            turns += [("user", f"{key}?"), ("assistant", pairs[key])]
    turns[0] = ("user", f"{table}\n\n{turns[0][1]}")
    return turns


def token_pairs(
    rng: random.Random, tokens: range | list[int], limit: int = 60
) -> tuple[list[int], list[bool]]:
    """Give random token ids said twice, and marks on the second saying only."""
    length = rng.randint(4, limit)
    once = [rng.choice(tokens) for _ in range(length)]
    start = rng.randint(0, max(0, length - 4))
    again = once[start:]
    # The second saying's first token cannot be known.
    return once + again, [False] * (len(once) + 1) + [True] * (len(again) - 1)
