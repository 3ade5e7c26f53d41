"""Check that the trained formats are the package's own, byte for byte.

python training/check_formats.py        # where langchain-easyllm is installed
"""

from __future__ import annotations

import random
import sys

from entities import Entities
from formats import FORMATS
from korean import KoreanEntities
from mixture import conversation

from langchain_easyllm.prompts import get_prompt


def main() -> None:
    """Render conversations of each kind both ways; exit with an error at the first difference."""
    languages = (Entities(random.Random(0)), KoreanEntities(random.Random(0)))
    count = 0
    for name, render in FORMATS.items():
        official = get_prompt(name)
        for task in ("chat", "agent-calls", "reading"):
            for turn in range(200):
                messages = conversation(task, languages[turn % 2], name)[:-1]
                ours, theirs = render(messages), official.render(messages)
                if ours != theirs:
                    sys.exit(f"{name} differs:\n{ours!r}\n{theirs!r}")
                count += 1
    print(f"{count} conversations equal")


if __name__ == "__main__":
    main()
