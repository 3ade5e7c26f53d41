"""The package's main job in a minute: a chat, agents with tools, structured output, retrieval.

Run by `make demo`. It asks a small model that it serves itself. HF_TOKEN=... (or a stored login)
means Inference Providers, BASE_URL=... any server, MODEL=... another model. ASK=... is one question
of your own, answered in its language. LANG=ko is the tour in Korean.
"""

from __future__ import annotations

import os
import sys
import unicodedata

from langchain_easyllm.errors import EasyLLMError

from .languages import find_language
from .screen import NobodyReadsError, open_screen


def main() -> int:
    """Run the demo and return the exit code."""
    # On macOS Korean letters may come in parts.
    question = unicodedata.normalize("NFC", os.environ.get("ASK", "").strip())
    language, spoken = find_language(question, os.environ)
    try:
        with open_screen(language, os.environ) as screen:
            if not spoken:
                screen.line(language.not_spoken)
            screen.progress(language.loading)
            from .tour import run  # LangChain takes its time: a terminal shows something by then

            run(screen, question)
    except EasyLLMError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
        return 130
    except (BrokenPipeError, NobodyReadsError):  # whoever read this, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
