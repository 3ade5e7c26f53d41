"""Questions to an agent that its tools do not help with: it answers them at once."""

from __future__ import annotations

import chat_data
import chat_korean
from agent_plans import Episode, Plans
from entities import Entities
from out_of_scope import unknown

SHARE = 0.12


def episode_of(entities: Entities, plans: type[Plans]) -> Episode:
    """Give a random episode, at times one without any use of a tool."""
    rng = entities.rng
    if rng.random() >= SHARE:
        return plans(entities).episode()
    if rng.random() < 0.5:
        data = chat_korean if entities.language == "ko" else chat_data
        turns = data.fact(rng)
    else:
        turns = [turn for turn in unknown(entities) if turn[0] != "system"][:2]
    return Episode(turns[0][1], (), turns[1][1], (turns[1][1],))
