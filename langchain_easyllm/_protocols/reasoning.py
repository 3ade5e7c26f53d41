"""Reasoning that a model writes into its answer: `<think>...</think>`.

DeepSeek-R1, QwQ and Qwen3 reason in these tags. Some chat templates open the tag in the prompt, so
that only the closing one is answered.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache

OPEN = "<think>"
CLOSE = "</think>"

# Families whose models reason unless they are switched off, by their names on the Hub.
_REASONING_MODELS = re.compile(
    r"deepseek-r1|deepseek-reasoner|\bqwq\b|qwen3(?!.*(instruct|coder|embedding|reranker))|thinking"
    r"|magistral|gpt-oss|glm-4\.[5-9]|-r1-|minimax-m|kimi-k2-thinking|smollm3|nemotron.*reason",
    re.IGNORECASE,
)


# Those of them that reason in a format of their own, which their servers keep apart.
_WITHOUT_TAGS = re.compile(r"gpt-oss|magistral", re.IGNORECASE)


@lru_cache(maxsize=256)
def uses_think_tags(model: str | None) -> bool:
    """Whether a reasoning model writes `<think>` tags, going by its name."""
    return not (model and _WITHOUT_TAGS.search(model))


@lru_cache(maxsize=256)
def is_reasoning_model(model: str | None) -> bool:
    return bool(model and _REASONING_MODELS.search(model))


def has_unopened_think_tag(text: str) -> bool:
    """Whether a whole text has a closing tag without an opening one, which was in the prompt."""
    before, tag, _ = text.partition(CLOSE)
    return bool(tag) and OPEN not in before


class _State(Enum):
    START = auto()  # nothing but white space so far
    REASONING = auto()  # inside the tags
    UNDECIDED = auto()  # a reasoning model's text before any tag: reasoning or answer
    GAP = auto()  # white space between the reasoning and the answer
    ANSWER = auto()


class ThinkSplitter:
    """Splits text into reasoning and answer, however it is split into chunks.

    The text of a model that is known to reason is held back until the closing tag, or the end, says
    which it was; for other models text without an opening tag is the answer at once.
    """

    def __init__(self, *, reasoning_model: bool = False) -> None:
        self._reasoning_model = reasoning_model
        self._state = _State.START
        self._held = ""  # may be the beginning of a tag
        self._before: list[str] = []  # text before it that is not decided yet, for want of a tag

    @property
    def settled(self) -> bool:
        """Whether all further text is the answer."""
        return self._state is _State.ANSWER

    def answer_only(self) -> str:
        """Note that the server keeps reasoning apart itself; return the text held back so far."""
        if self._state not in (_State.START, _State.UNDECIDED):
            return ""
        self._state = _State.ANSWER
        return self._release()

    def feed(self, text: str) -> tuple[str, str]:
        """Take the next text and return what is reasoning and what is answer."""
        if self._state is _State.ANSWER:
            return "", text
        text = self._held + text
        self._held = ""
        if self._state is _State.START:
            text = self._start(text)
        return self._in_state(text)

    def _in_state(self, text: str) -> tuple[str, str]:
        if self._state is _State.REASONING:
            return self._reasoning(text)
        if self._state is _State.UNDECIDED:
            return self._undecided(text)
        if self._state is _State.GAP:
            return "", self._gap(text)
        return "", text if self._state is _State.ANSWER else ""

    def close(self) -> tuple[str, str]:
        """Return what is still held back, now that nothing more comes."""
        reasons = self._state is _State.REASONING
        text = self._release()
        return (text, "") if reasons else ("", text)

    def _release(self) -> str:
        text = "".join(self._before) + self._held
        self._held = ""
        self._before.clear()
        return text

    def _start(self, text: str) -> str:
        begun = text.lstrip()
        if begun.startswith(OPEN):
            self._state = _State.REASONING
            self._before.clear()
            return begun[len(OPEN) :]
        if OPEN.startswith(begun):
            self._before.append(text[: len(text) - len(begun)])
            self._held = begun
            return ""
        if self._reasoning_model:
            self._state = _State.UNDECIDED
            return text
        self._state = _State.ANSWER
        return self._release() + text

    def _reasoning(self, text: str) -> tuple[str, str]:
        reasoning, tag, rest = text.partition(CLOSE)
        if tag:
            self._state = _State.GAP
            return reasoning, self._gap(rest)
        kept = _tail_of_tag(text)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept], ""

    def _undecided(self, text: str) -> tuple[str, str]:
        reasoning, tag, rest = text.partition(CLOSE)
        if tag:
            self._state = _State.GAP
            return self._release() + reasoning, self._gap(rest)
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
