"""Thinking that a model writes into its answer: `<think>...</think>`.

DeepSeek-R1, QwQ and Qwen3 think in these tags. Some chat templates open the tag in the prompt, so
that only the closing one is answered.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache

__all__ = [
    "CLOSE",
    "OPEN",
    "ThinkSplitter",
    "has_unopened_think_tag",
    "is_reasoning_model",
    "uses_think_tags",
]


OPEN = "<think>"
CLOSE = "</think>"

# Families whose models think unless told not to, by their names on the Hub.
_THINKERS = re.compile(
    r"deepseek-r1|deepseek-reasoner|\bqwq\b|qwen3(?!.*(instruct|coder|embedding|reranker))|thinking"
    r"|magistral|gpt-oss|glm-4\.[5-9]|-r1-|minimax-m|kimi-k2-thinking|smollm3|nemotron.*reason",
    re.IGNORECASE,
)


# Those of them that think in a format of their own, which their servers keep apart.
_WITHOUT_TAGS = re.compile(r"gpt-oss|magistral", re.IGNORECASE)


@lru_cache(maxsize=256)
def uses_think_tags(model: str | None) -> bool:
    """Whether a model that thinks does it in `<think>` tags, going by its name."""
    return not (model and _WITHOUT_TAGS.search(model))


@lru_cache(maxsize=256)
def is_reasoning_model(model: str | None) -> bool:
    """Whether a model of this name is known to think before it answers."""
    return bool(model and _THINKERS.search(model))


def has_unopened_think_tag(text: str) -> bool:
    """Whether a whole text has a closing tag without an opening one, which was in the prompt."""
    before, tag, _ = text.partition(CLOSE)
    return bool(tag) and OPEN not in before


class _State(Enum):
    START = auto()  # nothing but white space so far
    THINKING = auto()  # inside the tags
    UNDECIDED = auto()  # a reasoning_model's text before any tag: thinking or answer
    GAP = auto()  # white space between the thinking and the answer
    ANSWER = auto()


class ThinkSplitter:
    """Splits text into thinking and answer, however it is split into pieces.

    Args:
        reasoning_model: Whether the model is known to reason: its text is then held back until the
            closing tag, or the end, tells which it was. For other models text without an opening
            tag is an answer at once.
    """

    def __init__(self, *, reasoning_model: bool = False) -> None:
        self._thinker = reasoning_model
        self._state = _State.START
        self._held = ""  # may be the beginning of a tag
        self._before: list[str] = []  # text before it that is not decided yet, for want of a tag
        self.tagged = False
        """Whether the answer held a tag."""

    @property
    def settled(self) -> bool:
        """Whether all further text is the answer."""
        return self._state is _State.ANSWER

    def answer_only(self) -> str:
        """Note that the server keeps thinking apart itself: all text is the answer.

        Returns:
            The text that was held back because it might have been thinking.
        """
        if self._state not in (_State.START, _State.UNDECIDED):
            return ""
        self._state = _State.ANSWER
        return self._release()

    def feed(self, text: str) -> tuple[str, str]:
        """Take the next piece and return what is thinking and what is answer."""
        if self._state is _State.ANSWER:
            return "", text
        text = self._held + text
        self._held = ""
        if self._state is _State.START:
            text = self._start(text)
        return self._in_state(text)

    def _in_state(self, text: str) -> tuple[str, str]:
        if self._state is _State.THINKING:
            return self._thinking(text)
        if self._state is _State.UNDECIDED:
            return self._undecided(text)
        if self._state is _State.GAP:
            return "", self._gap(text)
        return "", text if self._state is _State.ANSWER else ""

    def close(self) -> tuple[str, str]:
        """Return what is still held back, now that nothing more comes."""
        thinking = self._state is _State.THINKING
        text = self._release()
        return (text, "") if thinking else ("", text)

    def _release(self) -> str:
        text = "".join(self._before) + self._held
        self._held = ""
        self._before.clear()
        return text

    def _start(self, text: str) -> str:
        begun = text.lstrip()
        if begun.startswith(OPEN):
            self._state, self.tagged = _State.THINKING, True
            self._before.clear()
            return begun[len(OPEN) :]
        if OPEN.startswith(begun):
            self._before.append(text[: len(text) - len(begun)])
            self._held = begun
            return ""
        if self._thinker:
            self._state = _State.UNDECIDED
            return text
        self._state = _State.ANSWER
        return self._release() + text

    def _thinking(self, text: str) -> tuple[str, str]:
        thought, tag, rest = text.partition(CLOSE)
        if tag:
            self._state = _State.GAP
            return thought, self._gap(rest)
        kept = _tail_of_tag(text)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept], ""

    def _undecided(self, text: str) -> tuple[str, str]:
        thought, tag, rest = text.partition(CLOSE)
        if tag:
            self._state, self.tagged = _State.GAP, True
            return self._release() + thought, self._gap(rest)
        kept = _tail_of_tag(text)
        self._before.append(text[: len(text) - kept])
        self._held = text[len(text) - kept :]
        return "", ""

    def _gap(self, text: str) -> str:
        text = text.lstrip("\n")
        if text:
            self._state = _State.ANSWER
        return text


def _tail_of_tag(text: str) -> int:
    """Return how many characters at the end may be the beginning of the closing tag."""
    for size in range(min(len(CLOSE) - 1, len(text)), 0, -1):
        if CLOSE.startswith(text[-size:]):
            return size
    return 0
