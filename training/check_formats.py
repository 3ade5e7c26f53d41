"""Check that the trained formats are the package's own, byte for byte.

python training/check_formats.py        # where langchain-easyllm is installed
"""

from __future__ import annotations

import random
import sys

from chat_data import small_talk
from entities import Entities
from formats import FORMATS
from json_data import agent_calls
from reading_data import reading

from langchain_easyllm.prompts import get_prompt


def main() -> None:
    """Render conversations of each kind both ways; exit with an error at the first difference."""
    entities = Entities(random.Random(0))
    count = 0
    for name, render in FORMATS.items():
        official = get_prompt(name)
        for make in (small_talk, agent_calls, reading):
            for _ in range(100):
                messages = make(entities)[:-1]
                ours, theirs = render(messages), official.render(messages)
                if ours != theirs:
                    sys.exit(f"{name} differs:\n{ours!r}\n{theirs!r}")
                count += 1
    print(f"{count} conversations equal")


if __name__ == "__main__":
    main()
