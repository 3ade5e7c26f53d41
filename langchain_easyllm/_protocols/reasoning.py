"""Reasoning that a model writes into its answer, between marks: `<think>...</think>` and others.

DeepSeek-R1, QwQ and Qwen3 reason in `<think>` tags; Magistral, Seed-OSS, Kimi-VL, Gemma 4 and
gpt-oss have marks of their own. Some chat templates open the tag in the prompt, so that only the
closing one is answered. What is taken for reasoning, and on what evidence:

- text between an opening mark that begins the answer, and its closing mark, or the answer's end;
- in an answer that began so, each further pair of the same marks whose opening one begins a line
  outside code. It is held back until it is closed: at the end of a whole answer it is text, and
  reasoning only where the answer was cut off;
- where a model is known to leave the opening mark out (by its name, by `thinking`, by an earlier
  answer), all text before a closing mark that is not in code or quotes;
- for any other model, all text before a closing tag that stands as such templates have it: the only
  one, no opening one, outside code, at the end of a line, behind nothing or the end of a sentence.
  Any other closing tag is text of the answer, which tells about tags;
- the channel `analysis` of an answer that begins as a message of Harmony, gpt-oss's format.
"""

from __future__ import annotations

import re
from collections import deque
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from .._tool_formats.call_syntax import ParsedReasoning, Part
from .._tool_formats.harmony_messages import CHANNEL, START, HarmonyReader, begins_message

OPEN = "<think>"
CLOSE = "</think>"


class Mark(NamedTuple):
    """The marks around one family's reasoning."""

    name: str  # the `reasoning_field` of reasoning between them
    open: str
    close: str


MARKS = (
    Mark("think", OPEN, CLOSE),
    Mark("[THINK]", "[THINK]", "[/THINK]"),
    Mark("seed:think", "<seed:think>", "</seed:think>"),
    Mark("◁think▷", "◁think▷", "◁/think▷"),
    # Gemma 4
    Mark("channel", "<|channel>thought\n", "<channel|>"),
)
# Where the server does not read Harmony.
_HARMONY = Mark("harmony", "<|channel|>analysis<|message|>", "<|end|>")
_BY_NAME = {mark.name: mark for mark in (*MARKS, _HARMONY)}
_OPENINGS = (*(mark.open for mark in MARKS), CHANNEL, START)
_CLOSINGS = {mark.close: mark for mark in MARKS}
_FENCE = "```"
_CLOSING = re.compile("|".join(map(re.escape, (_FENCE, *_CLOSINGS))))
_ANY = re.compile(r"think>|THINK\]|think▷|<\|channel|<channel\|>|<\|start\|>")
_UNOPENED = re.compile(r"(?:\A|\n|[.!?。])[ \t]*</think>[ \t]*(?:\n|\Z)")
_QUOTES = ("`", '"', "'")

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
    GAP = auto()  # line breaks between the reasoning and the answer
    ANSWER = auto()
    FURTHER = auto()  # behind a further opening mark: reasoning if it is closed
    MESSAGES = auto()  # of Harmony


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
        self.unopened = False  # whether a closing mark ended what none had opened
        self._in_code = False  # whether the text is within a fence
        self._last = ""  # the last character of undecided text
        self._size = 0  # how much of that there is
        self._fenced: tuple[int, str] | None = None  # the first closing mark in an open fence
        self._blank = True  # whether the answer's last line holds nothing but white space
        self._messages = HarmonyReader()
        self._parts: deque[Part] = deque()  # read from messages, and not handed on yet

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
        if self._state is _State.FURTHER:
            return self._further(text)
        if self._state is _State.MESSAGES:
            self._parts += self._messages.feed([text])
            return self._next_parts()
        return self._answer(text) if self._state is _State.ANSWER else ("", "")

    def close(self, *, cut: bool = False) -> tuple[str, str]:
        """Return what is still held back, now that nothing more comes.

        Args:
            cut: Whether the model had not finished.
        """
        if self._state is _State.MESSAGES:
            self._parts += self._messages.close()
            return self._next_parts()
        if self._state is _State.UNDECIDED:
            return self._decide()
        text = self._release()
        if self._state is _State.REASONING or (cut and self._state is _State.FURTHER):
            return text, ""
        if self._state is _State.FURTHER and self._mark is not None:
            text = self._mark.open + text
        return "", text

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
        begins = begins_message(begun)
        if begins:
            self._mark, self._state = _HARMONY, _State.MESSAGES
            self._before.clear()
            return begun
        if begins is None or any(opening.startswith(begun) for opening in _OPENINGS):
            self._before.append(text[: len(text) - len(begun)])
            self._held = begun
            return ""
        if self._reasoning_model:
            self._state = _State.UNDECIDED
            self._size = sum(map(len, self._before))
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

    def _undecided(self, text: str, *, final: bool = False) -> tuple[str, str]:
        """Look for the closing mark; one in a fence counts only if the fence is never closed."""
        at = 0
        for found in _CLOSING.finditer(text):
            start, end = found.span()
            before = text[start - 1] if start else self._last
            if found[0] == _FENCE:
                self._in_code, self._fenced = not self._in_code, None
            elif before in _QUOTES and end == len(text) and not final:
                return self._undecided_up_to(text, start)  # a quote may follow
            elif before in _QUOTES and text[end : end + 1] == before:
                pass
            elif self._in_code:
                self._fenced = self._fenced or (self._size + start, found[0])
            else:
                self._mark, self.unopened = _CLOSINGS[found[0]], True
                return self._closed(self._release() + text[:start], text[end:])
            at = end
        kept = 0 if final else _tail_of(text[at:], (_FENCE, *_CLOSINGS))
        return self._undecided_up_to(text, len(text) - kept)

    def _undecided_up_to(self, text: str, end: int) -> tuple[str, str]:
        self._before.append(text[:end])
        self._held = text[end:]
        self._size += end
        self._last = text[end - 1] if end else self._last
        return "", ""

    def _decide(self) -> tuple[str, str]:
        held, self._held = self._held, ""
        split = self._undecided(held, final=True)
        if self._state is not _State.UNDECIDED:
            return split
        text = self._release()
        if not (self._in_code and self._fenced):
            return "", text
        start, closing = self._fenced
        self._mark, self.unopened = _CLOSINGS[closing], True
        return text[:start], text[start + len(closing) :].lstrip("\n")

    def _closed(self, reasoning: str, rest: str) -> tuple[str, str]:
        self._state = _State.GAP
        more, answer = self._gap(rest)
        return reasoning + more, answer

    def _gap(self, text: str) -> tuple[str, str]:
        text = text.lstrip("\n")
        if not text:
            return "", ""
        self._state, self._in_code, self._blank = _State.ANSWER, False, True
        return self._answer(text)

    def _answer(self, text: str) -> tuple[str, str]:
        """Split an answer's text that may hold more reasoning between the same marks."""
        mark = self._mark
        if mark is None:
            return "", text
        at = 0
        for found in _again(mark.open).finditer(text):
            start = found.start()
            self._pass(text[at:start])
            at = found.end()
            if found[0] == _FENCE:
                self._in_code = not self._in_code
            elif self._blank and not self._in_code:
                self._state, self._held, self.behind = _State.FURTHER, text[at:], True
                return "", text[:start]
            self._blank = False
        kept = _tail_of(text[at:], (_FENCE, mark.open))
        shown, self._held = text[: len(text) - kept], text[len(text) - kept :]
        self._pass(shown[at:])
        return "", shown

    def _pass(self, text: str) -> None:
        """Note whether the line is blank so far."""
        _, line_break, line = text.rpartition("\n")
        self._blank = not line.strip() and (self._blank or bool(line_break))

    def _further(self, text: str) -> tuple[str, str]:
        assert self._mark is not None  # noqa: S101 - there was reasoning
        reasoning, found, rest = text.partition(self._mark.close)
        if found:
            return self._closed(self._release() + reasoning, rest)
        kept = _tail_of(text, (self._mark.close,))
        self._before.append(text[: len(text) - kept])
        self._held = text[len(text) - kept :]
        return "", ""

    def _next_parts(self) -> tuple[str, str]:
        parts = self._parts
        reasoning: list[str] = []
        while parts and isinstance(parts[0], ParsedReasoning):
            reasoning.append(parts[0].text)
            parts.popleft()
        answer: list[str] = []
        while parts and isinstance(parts[0], str):
            answer.append(parts[0])
            parts.popleft()
        self.behind = bool(parts)
        return "".join(reasoning), "".join(answer)


@lru_cache
def _again(opening: str) -> re.Pattern[str]:
    return re.compile(f"{_FENCE}|{re.escape(opening)}")


_ANSWER_OPEN, _ANSWER_CLOSE = "<response>", "</response>"
RESPONSE_TAGS = f"{_ANSWER_OPEN}{_ANSWER_CLOSE}"
"""How a prompt that asks for these tags names them."""
_MOST_SPACE = 100


class ResponseTags:
    """Cuts off the tags around an answer: Granite writes `<response>...</response>` when it thinks.

    The closing one is cut only at the answer's end.
    """

    def __init__(self) -> None:
        self._held = ""
        self._inside: bool | None = None  # None while it is open whether the answer begins so

    def feed(self, text: str) -> str:
        text, self._held = self._held + text, ""
        if self._inside is None:
            begun = text.lstrip()
            if len(begun) < len(_ANSWER_OPEN) and _ANSWER_OPEN.startswith(begun):
                self._held = text
                return ""
            self._inside = begun.startswith(_ANSWER_OPEN)
            text = begun[len(_ANSWER_OPEN) :] if self._inside else text
        if not self._inside:
            return text
        end = text.rstrip()
        if end.endswith(_ANSWER_CLOSE) and len(text) - len(end) <= _MOST_SPACE:
            kept = len(text) - len(end) + len(_ANSWER_CLOSE)
        else:
            kept = _tail_of(text, (_ANSWER_CLOSE,))
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]

    def close(self) -> str:
        text, self._held = self._held, ""
        return "" if self._inside and text.startswith(_ANSWER_CLOSE) else text


def _tail_of(text: str, marks: tuple[str, ...]) -> int:
    """Return how many characters at the end may be the beginning of one of the marks."""
    for size in range(min(max(map(len, marks)) - 1, len(text)), 0, -1):
        if any(len(mark) > size and mark.startswith(text[-size:]) for mark in marks):
            return size
    return 0
