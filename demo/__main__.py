"""The package's main job in a minute: a chat, agents with tools, structured output, retrieval.

Run by `make demo`. It asks a small model that it serves itself. HF_TOKEN=... (or a stored login)
means Inference Providers, BASE_URL=... any server, MODEL=... another model. ASK=... is one question
of your own, answered in its language. LANG=ko is the tour in Korean.
"""

from __future__ import annotations

import os
import sys
import unicodedata


def main() -> int:
    """Run the demo and return the exit code."""
    try:
        return _run()
    except BaseException as error:
        if not _was_interrupted(error):
            raise
        print(file=sys.stderr)  # what follows begins a line below the ^C
        return 130


def _run() -> int:
    # Imports take their time as well, and Ctrl-C is no traceback while they do.
    from langchain_easyllm.errors import EasyLLMError

    from .languages import find_language
    from .screen import NobodyReadsError, OutputError, open_screen

    # What is no UTF-8 cannot be sent, and on macOS Korean letters may come in parts.
    asked = os.environ.get("ASK", "").strip().encode("utf-8", "replace").decode()
    question = unicodedata.normalize("NFC", asked)
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
    except (BrokenPipeError, OutputError) as error:
        # What is left is written at the end of the process, where it would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, (BrokenPipeError, NobodyReadsError)):
            print(f"The output cannot be written: {error}.", file=sys.stderr)
        return 1
    return 0


def _was_interrupted(error: BaseException | None) -> bool:
    """Tell whether Ctrl-C is behind an error: Python and libraries wrap what comes in between."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


if __name__ == "__main__":
    sys.exit(main())
