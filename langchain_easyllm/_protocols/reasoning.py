"""Reasoning that a model writes into its answer, between marks: `<think>...</think>` and others.

DeepSeek-R1, QwQ and Qwen3 reason in `<think>` tags; Magistral, Seed-OSS, Kimi-VL, Gemma 4 and
gpt-oss have marks of their own. Some chat templates open the tag in the prompt, so that only the
closing one is answered. What is taken for reasoning, and on what evidence:

- text between an opening mark that begins the answer, and its closing mark, or the answer's end;
- in an answer that began so, each further pair of the same marks, but not within code or quotes;
- for a model that is known to reason (by its name, by `thinking`, by an earlier answer), all text
  before a closing mark;
- for any other model, all text before a closing tag that stands as such templates have it: the only
  one, no opening one, outside code, at the end of a line, behind nothing or the end of a sentence.
  Any other closing tag is text of the answer, which tells about tags.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

OPEN = "<think>"
CLOSE = "</think>"


class Mark(NamedTuple):
    """The marks around one family's reasoning."""

    name: str  # the `reasoning_field` of reasoning between them
    open: str
    close: str
    headers: tuple[str, ...] = ()  # what may stand between the reasoning and the answer


_TURN = "<|start|>assistant"
MARKS = (
    Mark("think", OPEN, CLOSE),
    Mark("[THINK]", "[THINK]", "[/THINK]"),
    Mark("seed:think", "<seed:think>", "</seed:think>"),
    Mark("◁think▷", "◁think▷", "◁/think▷"),
    # Gemma 4
    Mark("channel", "<|channel>thought\n", "<channel|>"),
    # Harmony, gpt-oss's format, where the server does not read it
    Mark(
        "harmony",
        "<|channel|>analysis<|message|>",
        "<|end|>",
        (f"{_TURN}<|channel|>final<|message|>", f"{_TURN}<|channel|>commentary<|message|>"),
    ),
)
_BY_NAME = {mark.name: mark for mark in MARKS}
# An answer without reasoning begins so.
_HEADERS = ("<|channel|>final<|message|>",)
_OPENINGS = (*(mark.open for mark in MARKS), *_HEADERS)
# Those of them that a template may open in the prompt.
_CLOSINGS = {mark.close: mark for mark in MARKS if mark.name != "harmony"}
_CLOSING = re.compile("|".join(map(re.escape, _CLOSINGS)))
_ANY = re.compile(r"think>|THINK\]|think▷|<\|channel|<channel\|>")
_UNOPENED = re.compile(r"(?:\A|\n|[.!?。])[ \t]*</think>[ \t]*(?:\n|\Z)")

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


def may_hold_reasoning(text: str) -> bool:
    """Whether any mark stands in a text."""
    return _ANY.search(text) is not None


def has_unopened_think_tag(text: str) -> bool:
    """Whether a whole text shows that its reasoning was opened in the prompt; see above."""
    if text.count(CLOSE) != 1 or OPEN in text:
        return False
    found = _UNOPENED.search(text)
    return found is not None and text.count("```", 0, found.start()) % 2 == 0


def with_reasoning(name: str, reasoning: str, answer: str) -> str | None:
    """Return an earlier answer as its model wrote it; None if there is no such mark."""
    mark = _BY_NAME.get(name)
    return None if mark is None else f"{mark.open}{reasoning}{mark.close}\n\n{answer}"


class _State(Enum):
    START = auto()  # nothing but white space so far
    REASONING = auto()  # inside the marks
    UNDECIDED = auto()  # a reasoning model's text before any mark: reasoning or answer
    GAP = auto()  # white space, or a header, between the reasoning and the answer
    ANSWER = auto()


class ThinkSplitter:
    """Splits text into reasoning and answer, however it is split into chunks.

    The text of a model that is known to reason is held back until a closing mark, or the end, says
    which it was; for other models text without an opening mark is the answer at once.
    """

    def __init__(self, *, reasoning_model: bool = False) -> None:
        self._reasoning_model = reasoning_model
        self._state = _State.START
        self._held = ""  # may be the beginning of a mark
        self._before: list[str] = []  # text before it that is not decided yet, for want of a mark
        self._mark: Mark | None = None  # that of the reasoning so far
        self.behind = False  # whether text is left that is fed by `feed("")`
        self._in_code = False  # whether the answer is within a fence
        self._last = ""  # the last character of the answer

    @property
    def name(self) -> str:
        """The `reasoning_field` of what was split off."""
        return self._mark.name if self._mark else MARKS[0].name

    @property
    def settled(self) -> bool:
        """Whether all further text is the answer."""
        return self._state is _State.ANSWER and self._mark is None

    def answer_only(self) -> str:
        """Note that the server keeps reasoning apart itself; return the text held back so far."""
        if self._state not in (_State.START, _State.UNDECIDED):
            return ""
        self._state = _State.ANSWER
        return self._release()

    def feed(self, text: str) -> tuple[str, str]:
        """Take the next text and return what is reasoning and, behind it, what is answer.

        Where more reasoning follows the answer, the rest waits (`behind`).
        """
        if self.settled:
            return "", text
        text = self._held + text
        self._held, self.behind = "", False
        if self._state is _State.START:
            text = self._start(text)
        return self._in_state(text)

    def _in_state(self, text: str) -> tuple[str, str]:
        if self._state is _State.REASONING:
            return self._reasoning(text)
        if self._state is _State.UNDECIDED:
            return self._undecided(text)
        if self._state is _State.GAP:
            return self._gap(text)
        return self._answer(text) if self._state is _State.ANSWER else ("", "")

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
        for mark in MARKS:
            if begun.startswith(mark.open):
                self._mark, self._state = mark, _State.REASONING
                self._before.clear()
                return begun[len(mark.open) :]
        for header in _HEADERS:
            if begun.startswith(header):
                self._state = _State.ANSWER
                self._before.clear()
                return begun[len(header) :]
        if any(opening.startswith(begun) for opening in _OPENINGS):
            self._before.append(text[: len(text) - len(begun)])
            self._held = begun
            return ""
        if self._reasoning_model:
            self._state = _State.UNDECIDED
            return text
        self._state = _State.ANSWER
        return self._release() + text

    def _reasoning(self, text: str) -> tuple[str, str]:
        assert self._mark is not None  # noqa: S101 - an opening mark began it
        reasoning, found, rest = text.partition(self._mark.close)
        if found:
            return self._closed(reasoning, rest)
        kept = _tail_of(text, (self._mark.close,))
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept], ""

    def _undecided(self, text: str) -> tuple[str, str]:
        found = _CLOSING.search(text)
        if found:
            self._mark = _CLOSINGS[found[0]]
            return self._closed(self._release() + text[: found.start()], text[found.end() :])
        kept = _tail_of(text, tuple(_CLOSINGS))
        self._before.append(text[: len(text) - kept])
        self._held = text[len(text) - kept :]
        return "", ""

    def _closed(self, reasoning: str, rest: str) -> tuple[str, str]:
        self._state = _State.GAP
        more, answer = self._gap(rest)
        return reasoning + more, answer

    def _gap(self, text: str) -> tuple[str, str]:
        assert self._mark is not None  # noqa: S101 - there was reasoning
        text = text.lstrip("\n")
        again = _TURN + self._mark.open
        for header in self._mark.headers:
            if text.startswith(header):
                text = text[len(header) :]
                break
            if text and (header.startswith(text) or again.startswith(text)):
                self._held = text
                return "", ""
        if not text:
            return "", ""
        if self._mark.headers and text.startswith(again):
            self._state = _State.REASONING
            return self._reasoning(text[len(again) :])
        self._state = _State.ANSWER
        return self._answer(text)

    def _answer(self, text: str) -> tuple[str, str]:
        """Split an answer's text that may hold more reasoning between the same marks."""
        mark = self._mark
        if mark is None:
            return "", text
        for found in _again(mark.open).finditer(text):
            start = found.start()
            if found[0] != mark.open:
                self._in_code = not self._in_code
                continue
            before = text[start - 1] if start else self._last
            if self._in_code or before in ("`", '"', "'"):
                continue
            self._state, self._held, self.behind = _State.REASONING, text[found.end() :], True
            return "", text[:start]
        kept = _tail_of(text, ("```", mark.open))
        text, self._held = text[: len(text) - kept], text[len(text) - kept :]
        self._last = text[-1:] or self._last
        return "", text


@lru_cache
def _again(opening: str) -> re.Pattern[str]:
    return re.compile(f"```|{re.escape(opening)}")


def _tail_of(text: str, marks: tuple[str, ...]) -> int:
    """Return how many characters at the end may be the beginning of one of the marks."""
    for size in range(min(max(map(len, marks)) - 1, len(text)), 0, -1):
        if any(len(mark) > size and mark.startswith(text[-size:]) for mark in marks):
            return size
    return 0
