"""Questions to an agent that its tools do not help with: it answers them at once."""

from __future__ import annotations

import re

import chat_data
import chat_korean
from agent_plans import Episode, Plans
from entities import Entities
from out_of_scope import unknown

SHARE = 0.07
# What a search may well find is searched for, also where the model knows it.
FINDABLE = re.compile(
    r"\b(who|when|where|how (much|many|old|long|tall)|capital|population|invented|history)\b"
    r"|누가|누구|언제|어디|얼마|수도|인구|몇|발명|발견|역사|만든|쓴",
    re.IGNORECASE,
)


def episode_of(entities: Entities, plans: type[Plans]) -> Episode:
    """Give a random episode, at times one without any use of a tool."""
    rng = entities.rng
    if rng.random() >= SHARE:
        return plans(entities).episode()
    question = answer = ""
    while not question or FINDABLE.search(question):
        if rng.random() < 0.5:
            data = chat_korean if entities.language == "ko" else chat_data
            turns = data.fact(rng)
        else:
            turns = [turn for turn in unknown(entities) if turn[0] != "system"]
        question, answer = turns[0][1], turns[1][1]
    return Episode(question, (), answer, (answer,))
