"""The end of a ReAct answer: a thought, then `Final Answer:` and what the caller asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .._protocols.events import Delta
from .._protocols.stop_sequences import StopCutter
from .parser import Part

__all__ = ["FinalAnswer"]


_MARK = "Final Answer:"
_FINAL = re.compile(rf"(?:\A|\n)[ \t]{{0,3}}{_MARK}")
_LONGEST = 400
_MOST_HELD = 800  # characters before the mark, white space among them
_GOES_ON = ("\nThought:", "\nQuestion:")  # where a model invents what comes next


class FinalAnswer:
    """Sets the thought before a final answer apart, as the model's thinking.

    The first line is held back until what follows it tells what it is: thinking before a final
    answer, text before a call, or an answer without form. A line of more than 400 characters is no
    thought. A final answer ends where the model goes on to invent a thought or a question.
    """

    def __init__(self) -> None:
        self._held = ""
        self._decided = False
        self._cutter: StopCutter | None = None  # ends the answer proper, once it has begun
        self._begins = False  # whether its leading white space is still to go

    def feed(self, parts: Iterable[Part]) -> list[Part]:
        """Take text and calls, and return what is decided."""
        out: list[Part] = []
        for part in parts:
            if self._cutter is not None and self._cutter.found:
                break  # a call in there is as invented as the rest
            if isinstance(part, Delta):
                out += [*self.close(), part]
                self._decided = True
            elif self._decided:
                self._pass_on(part, out)
            else:
                self._held += part
                self._decide(out)
        return out

    def close(self) -> list[Part]:
        """Return what is held back, now that nothing more comes."""
        if self._cutter is not None:
            last = self._cutter.close()
            return [last] if last else []
        text, self._held = self._held, ""
        text = _without_mark(text)
        return [text] if text else []

    def _decide(self, out: list[Part]) -> None:
        held = self._held
        line, newline, rest = held.lstrip().partition("\n")
        final = _FINAL.search(held) if len(line) <= _LONGEST else None
        if final is not None and _is_thought(held[: final.start()]):
            if thought := _without_mark(held[: final.start()]).rstrip():
                out.append(Delta(reasoning=thought))
            self._held, self._decided, self._begins = "", True, True
            self._cutter = StopCutter(_GOES_ON)
            self._pass_on(held[final.end() :], out)
            return
        undecided = not newline or _MARK.startswith(rest.lstrip())
        if undecided and len(line) <= _LONGEST and len(held) <= _MOST_HELD + 2 * len(_MARK):
            return
        self._decided = True
        out += self.close()

    def _pass_on(self, text: str, out: list[Part]) -> None:
        if self._begins:
            text = text.lstrip()
        self._begins = self._begins and not text
        if self._cutter is not None:
            text = self._cutter.feed(text)
        if text:
            out.append(text)


def _is_thought(text: str) -> bool:
    """Whether a text before a final answer is one line at most, and near."""
    return len(text) <= _MOST_HELD and "\n" not in text.strip()


def _without_mark(text: str) -> str:
    """Return a thought without the word that says that it is one."""
    return text.lstrip().removeprefix("Thought:").lstrip()
